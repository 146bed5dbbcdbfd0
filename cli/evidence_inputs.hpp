#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/evidence.hpp"

namespace derate::cli {

/// Evidence from any number of files of one hardware and precision, and what was read.
struct EvidenceInputs {
    Evidence evidence;
    int files = 0;
    /// Files left out because another one has the same content.
    std::vector<std::filesystem::path> duplicates;
    std::vector<std::string> notes;  ///< what of a file was left out and why, a line each
};

/// Reads measurement files, evidence files, derate's samples and derate-bench's Google Benchmark
/// JSON, told apart by content, and merges them.
///
/// Reports of derate-bench whose contexts are equal are launches of one campaign. The peaks of
/// their machine are those of a hardware.json of that name beside them; else unknown.
///
/// \param hardware_id  name of the machine in files that carry none: samples (else the name their
///                     environment block gives it) and Google Benchmark JSON (else asked for)
/// \throws InputError  a file that is none of these, or files that do not belong together
[[nodiscard]] EvidenceInputs read_evidence_inputs(
    std::vector<std::filesystem::path> const& paths,
    std::optional<std::string> const& hardware_id = std::nullopt);

}  // namespace derate::cli
