#include "cli/evidence_inputs.hpp"

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "calibration/ingest.hpp"
#include "campaign/host_environment.hpp"
#include "campaign/measurement_of_samples.hpp"
#include "campaign/samples_file.hpp"
#include "core/input_error.hpp"
#include "core/json/evidence_json.hpp"
#include "core/json/file.hpp"
#include "core/json/measurement_json.hpp"
#include "core/json/plan_json.hpp"
#include "workloads/count_again.hpp"

namespace derate::cli {
namespace {

namespace fs = std::filesystem;

constexpr char const* accepted =
    "a measurement file, an evidence file, X.samples.jsonl, or derate-bench's Google Benchmark "
    "JSON";

bool is_samples_file(fs::path const& path) { return path.extension() == ".jsonl"; }

/// The state that curves are fitted to, where a campaign timed several.
CacheState state_to_use(Plan const& plan) {
    for (auto const& planned : plan.cases) {
        if (planned.state == CacheState::cold_all) return CacheState::cold_all;
    }
    return plan.cases.empty() ? CacheState::cold_all : plan.cases.front().state;
}

/// A model of the plan from the file it was timed from, or, where that is gone, by its name.
CampaignModel model_of(PlannedModel const& planned) {
    bool const there = fs::exists(planned.file);
    auto model = campaign_model(
        load_model(there ? planned.file : planned.name, planned.batch, planned.precision));
    model.name = planned.name;
    return model;
}

std::vector<EvidencePart> parts_of_samples(fs::path const& path,
                                           std::optional<std::string> const& hardware_id) {
    CampaignResult result;
    read_samples(path, [&](SampleRecord const& record) { result.samples.add(record); });
    auto const& samples = result.samples;
    if (!samples.settings) {
        throw InputError{path.string(), "no campaign line", "a file that derate measure wrote"};
    }
    auto const plan = plan_from_json(*samples.settings, path.string() + ":1");

    CampaignSettings settings;
    settings.threads = plan.threads;
    settings.device = plan.device;
    auto const id = hardware_id.value_or(hardware_id_of(samples.environment));
    auto const sha256 = sha256_of_file(path);
    std::vector<EvidencePart> parts;
    for (auto const& planned : plan.models) {
        auto const model = model_of(planned);
        auto const hardware = hardware_of(samples, id, plan.threads, planned.precision);
        auto measurement = measurement_of(result, settings, model, state_to_use(plan), hardware,
                                          path.filename().string(), DERATE_VERSION);
        measurement.source.timing = samples.rules.value_or("");
        EvidencePart part{path.string(), evidence_of(measurement, path.string())};
        for (auto& campaign : part.evidence.campaigns) campaign.samples_sha256 = sha256;
        parts.push_back(std::move(part));
    }
    if (parts.empty()) throw InputError{path.string(), "its plan has no models", accepted};
    return parts;
}

EvidencePart part_of_json(fs::path const& path) {
    auto const where = path.string();
    auto const json = read_json(path);
    auto const format =
        json.is_object() ? json.value("format", nlohmann::json{}) : nlohmann::json{};
    if (format == "derate_measurement") {
        auto measurement = measurement_from_json(json, where);
        count_again(measurement);
        return {where, evidence_of(measurement, where)};
    }
    if (format == "derate_evidence") {
        auto evidence = evidence_from_json(json, where);
        count_again(evidence);
        return {where, std::move(evidence)};
    }
    throw InputError{where, "unknown kind of file", accepted};
}

}  // namespace

EvidenceInputs read_evidence_inputs(std::vector<fs::path> const& paths,
                                    std::optional<std::string> const& hardware_id) {
    EvidenceInputs inputs;
    std::map<std::string, fs::path> seen;  // by content
    std::vector<EvidencePart> parts;
    for (auto const& path : paths) {
        if (fs::is_directory(path)) {
            throw InputError{path.string(), "is a folder",
                             "files, e.g. " + (path / "*.json").string()};
        }
        if (!seen.emplace(sha256_of_file(path), path).second) {
            inputs.duplicates.push_back(path);
            continue;
        }
        ++inputs.files;
        if (is_samples_file(path)) {
            auto more = parts_of_samples(path, hardware_id);
            std::ranges::move(more, std::back_inserter(parts));
        } else {
            parts.push_back(part_of_json(path));
        }
    }
    if (parts.empty()) throw InputError{"--input", "no file given", accepted};
    inputs.evidence = merge(parts);
    return inputs;
}

}  // namespace derate::cli
