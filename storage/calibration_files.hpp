#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "core/calibration.hpp"
#include "core/evidence.hpp"

namespace derate {

/// The calibration in a curve file (efficiency_curves.json, legacy_curves.json).
///
/// \throws InputError  not there, not readable, or not a valid calibration
[[nodiscard]] Calibration read_calibration(std::filesystem::path const& curves);

/// The evidence a calibration rests on, from the folder `evidence/` beside its curve file.
///
/// \return empty where the calibration names none, as legacy files do
/// \throws InputError  a named file is not there, its SHA-256 differs, or it is not valid evidence
[[nodiscard]] std::optional<Evidence> read_evidence_of(Calibration const& calibration,
                                                       std::filesystem::path const& curves);

/// "efficiency_curves[_<precision>][_t<threads>][_default_malloc].json": plain for FP32 at the
/// default of one thread (or where threads have no meaning), e.g. "efficiency_curves_bf16_t2.json".
[[nodiscard]] std::string calibration_file_name(Condition const& condition);

/// The curve file that `--output` means: itself when it ends in ".json", else
/// `<output>/<cpu|gpu>/<hardware id>/<calibration_file_name()>`, a folder in the registry's layout.
[[nodiscard]] std::filesystem::path curve_file_in(std::filesystem::path const& output,
                                                  Calibration const& calibration);

/// Writes evidence to `evidence/<stem>.json.gz` beside `curves`, then the calibration to `curves`
/// with that file's name and hash as its one piece of evidence: whoever sees the new curves finds
/// what they rest on. `<stem>` is that of `curves`.
///
/// \throws InputError  naming the path that cannot be written
void write_calibration(Calibration calibration, Evidence const& evidence,
                       std::filesystem::path const& curves);

}  // namespace derate
