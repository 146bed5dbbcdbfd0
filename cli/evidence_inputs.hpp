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
};

/// Reads measurement files, evidence files, derate's samples and derate-bench's Google Benchmark
/// JSON, told apart by content, and merges them.
///
/// \param hardware_id  name of the machine in files that carry none (samples and Google Benchmark
///                     JSON); else the name their environment block gives it
/// \throws InputError  a file that is none of these, or files that do not belong together
[[nodiscard]] EvidenceInputs read_evidence_inputs(
    std::vector<std::filesystem::path> const& paths,
    std::optional<std::string> const& hardware_id = std::nullopt);

}  // namespace derate::cli
