#include "cli/evidence_inputs.hpp"

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "calibration/ingest.hpp"
#include "campaign/host_environment.hpp"
#include "campaign/measurement_of_samples.hpp"
#include "campaign/plan_making.hpp"
#include "campaign/samples_file.hpp"
#include "cli/campaign_evidence.hpp"
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

/// A model of the plan from the file it was timed from, or, where that is gone, from the shipped
/// file of that name.
CampaignModel model_of(PlannedModel const& planned) {
    fs::path file = planned.file;
    if (!fs::exists(file)) file = models_directory() / file.filename();
    // Of the file no batch is asked: the probes share none, and the plan says under which one its
    // records stand.
    auto model = campaign_model(fs::exists(file)
                                    ? load_model(file.string(), std::nullopt, planned.precision)
                                    : load_model(planned.name, planned.batch, planned.precision));
    model.name = planned.name;
    model.batch = planned.batch;
    return model;
}

EvidencePart part_of_samples(fs::path const& path, std::optional<std::string> const& hardware_id) {
    CampaignResult result;
    read_samples(path, [&](SampleRecord const& record) { result.samples.add(record); });
    auto const& samples = result.samples;
    if (!samples.settings) {
        throw InputError{path.string(), "no campaign line", "a file that derate measure wrote"};
    }
    auto const plan = plan_from_json(*samples.settings, path.string() + ":1");

    if (plan.models.empty()) throw InputError{path.string(), "its plan has no models", accepted};
    CampaignSettings settings;
    settings.threads = plan.threads;
    settings.cpus = plan.cpus;
    settings.device = plan.device;
    settings.allocator = plan.allocator;
    settings.states = {state_to_use(plan)};
    std::set<std::string> planned_keys;
    for (auto const& item : plan.cases) planned_keys.insert(item.key);
    for (auto const& planned : plan.models) {
        auto model = model_of(planned);
        // Of a held-out model only the whole was asked for: parts of it are no cases of the plan.
        model.isolated = std::ranges::all_of(model.subgraphs, [&](Subgraph const& part) {
            return planned_keys.contains(
                key_of_case(settings, model, part, settings.states.front()));
        });
        model.in_budget = model.isolated;
        settings.models.push_back(std::move(model));
    }
    result.cases = distinct_cases(settings);
    auto const hardware =
        hardware_of(samples, hardware_id.value_or(hardware_id_of(samples.environment)),
                    plan.threads, plan.models.front().precision);
    EvidencePart part{path.string(), evidence_of_campaign(result, settings, hardware, path, {})};
    for (auto& campaign : part.evidence.campaigns) campaign.trust_grade.reset();  // not in the file
    return part;
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
            parts.push_back(part_of_samples(path, hardware_id));
        } else {
            parts.push_back(part_of_json(path));
        }
    }
    if (parts.empty()) throw InputError{"--input", "no file given", accepted};
    inputs.evidence = merge(parts);
    return inputs;
}

}  // namespace derate::cli
