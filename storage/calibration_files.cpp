#include "storage/calibration_files.hpp"

#include <cctype>
#include <nlohmann/json.hpp>
#include <string>

#include "core/input_error.hpp"
#include "storage/calibration_json.hpp"
#include "storage/evidence_json.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

std::filesystem::path evidence_folder(std::filesystem::path const& curves) {
    return curves.parent_path() / "evidence";
}

}  // namespace

Calibration read_calibration(std::filesystem::path const& curves) {
    return calibration_from_json(read_json(curves), curves.string());
}

std::optional<Evidence> read_evidence_of(Calibration const& calibration,
                                         std::filesystem::path const& curves) {
    auto const& named = calibration.provenance.evidence;
    if (named.empty()) return std::nullopt;
    if (named.size() > 1) {
        throw InputError{curves.string() + "#/provenance/evidence",
                         std::to_string(named.size()) + " files", "one file holds all evidence"};
    }
    auto const path = evidence_folder(curves) / named.front().file;
    auto const bytes = read_text(path);
    if (sha256_hex(bytes) != named.front().sha256) {
        throw InputError{path.string(), "its SHA-256 is not the one " + curves.string() + " names",
                         "evidence that was not changed after the fit"};
    }
    auto const text = gzip_expand(bytes, path.string());
    return evidence_from_json(parse_json(text, path.string()), path.string());
}

std::string calibration_file_name(Condition const& condition) {
    return "efficiency_curves" + file_suffix(condition) + ".json";
}

std::filesystem::path curve_file_in(std::filesystem::path const& output,
                                    Calibration const& calibration) {
    if (output.extension() == ".json") return output;
    return output / to_string(calibration.condition.execution.device) / calibration.hardware_id /
           calibration_file_name(calibration.condition);
}

void write_calibration(Calibration calibration, Evidence const& evidence,
                       std::filesystem::path const& curves) {
    auto const name = curves.stem().string() + ".json.gz";
    auto const bytes = gzip_compress(to_json(evidence).dump());
    calibration.provenance.evidence = {{.file = name, .sha256 = sha256_hex(bytes)}};
    auto const text = pretty_json(to_json(calibration));
    write_atomically(evidence_folder(curves) / name, bytes);
    write_atomically(curves, text);
}

}  // namespace derate
