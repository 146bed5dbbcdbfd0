#include "storage/stored_calibration.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "storage/calibration_files.hpp"
#include "storage/calibration_json.hpp"
#include "storage/file.hpp"
#include "storage/schema_check.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;

EvidenceFileState state_of(EvidenceFile const& recorded, fs::path const& folder) {
    EvidenceFileState state{.recorded = recorded, .actual_sha256 = std::nullopt};
    auto const path = folder / recorded.file;
    if (fs::exists(path)) state.actual_sha256 = sha256_hex(read_text(path));
    return state;
}

}  // namespace

StoredCalibration read_stored_calibration(fs::path const& curves) {
    StoredCalibration stored{.curves = curves};
    auto const json = read_json(curves);
    for (auto const& violation : check_schema(json, SchemaName::efficiency_calibration)) {
        stored.violations.push_back("#" + violation.pointer + ": " + violation.problem + " (" +
                                    violation.required + ")");
    }
    try {
        stored.calibration = calibration_from_json(json, curves.string());
    } catch (InputError const& error) {
        stored.refusal = error;
        if (stored.violations.empty()) stored.violations.emplace_back(error.what());
        return stored;
    }
    for (auto const& file : stored.calibration->provenance.evidence) {
        stored.evidence_files.push_back(state_of(file, curves.parent_path() / "evidence"));
    }
    bool const intact = std::ranges::all_of(stored.evidence_files, [](auto const& file) {
        return file.actual_sha256 == file.recorded.sha256;
    });
    if (intact) {
        try {
            stored.evidence = read_evidence_of(*stored.calibration, curves);
        } catch (InputError const& error) {
            stored.violations.emplace_back(error.what());
        }
    }
    return stored;
}

std::vector<fs::path> calibration_files_below(fs::path const& place) {
    if (fs::is_regular_file(place)) return {place};
    if (!fs::is_directory(place)) {
        throw InputError{place.string(), "not there", "a registry folder or a curve file"};
    }
    std::vector<fs::path> files;
    for (auto const& entry : fs::recursive_directory_iterator{place}) {
        auto const name = entry.path().filename().string();
        if (entry.is_regular_file() && name.starts_with("efficiency_curves") &&
            name.ends_with(".json")) {
            files.push_back(entry.path());
        }
    }
    if (files.empty()) {
        throw InputError{place.string(), "holds no efficiency_curves*.json",
                         "a registry tree with a calibration"};
    }
    std::ranges::sort(files);
    return files;
}

}  // namespace derate
