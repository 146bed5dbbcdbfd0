#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/calibration.hpp"
#include "core/evidence.hpp"
#include "core/input_error.hpp"

namespace derate {

/// A curve file with all that lies beside it, faults included: for those who judge it instead of
/// using it.
struct StoredCalibration {
    std::filesystem::path curves;
    std::optional<Calibration> calibration;  ///< empty: not readable as one
    std::optional<InputError> refusal;       ///< why it is not; empty where it is
    std::optional<Evidence> evidence;  ///< empty: none recorded, missing, changed or unreadable
    std::vector<EvidenceFileState> evidence_files;
    std::vector<std::string> violations;  ///< of schema and rules, one line each
};

/// Reads what can be read and reports the rest; see read_calibration() for a reader that refuses.
///
/// \throws InputError  the file is not there, or is no JSON
[[nodiscard]] StoredCalibration read_stored_calibration(std::filesystem::path const& curves);

/// The curve files (`efficiency_curves*.json`) below a folder, sorted; a file names itself.
///
/// \throws InputError  not there, or none found
[[nodiscard]] std::vector<std::filesystem::path> calibration_files_below(
    std::filesystem::path const& place);

}  // namespace derate
