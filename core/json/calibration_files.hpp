#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "core/calibration.hpp"
#include "core/evidence.hpp"
#include "core/hardware.hpp"

namespace derate {

/// "efficiency_curves[_<precision>][_t<threads>].json": plain for FP32 at the default of one thread
/// (or where threads have no meaning), e.g. "efficiency_curves_bf16_t2.json".
[[nodiscard]] std::string calibration_file_name(Precision precision, int threads);

/// The same for the evidence: "evidence[_<precision>][_t<threads>].json.gz".
[[nodiscard]] std::string evidence_file_name(Precision precision, int threads);

/// Where a calibration and what belongs to it lie.
struct CalibrationFiles {
    std::filesystem::path calibration;
    std::filesystem::path evidence;
    std::optional<std::filesystem::path> hardware;  ///< empty beside a single file
};

/// Writes a calibration with its evidence, and with what is known of the hardware.
///
/// `output` ending in ".json" is the calibration itself, with `evidence/` beside it; else it is a
/// folder in the registry's layout: `<output>/<cpu|gpu>/<hardware id>/` gets hardware.json, the
/// calibration and `evidence/`. A hardware.json that is there keeps what this one does not know
/// (peaks of other precisions). The calibration's provenance gets the evidence file's name and
/// hash. Everything is made before the first file is written; each file is replaced whole, the
/// calibration last, so that a reader never sees one without its evidence.
///
/// \throws InputError  a path that cannot be written; a hardware.json that cannot be read
CalibrationFiles write_calibration(std::filesystem::path const& output, Calibration calibration,
                                   Evidence const& evidence, Hardware const& hardware);

}  // namespace derate
