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
#include "campaign/measurements_of_reports.hpp"
#include "campaign/plan_making.hpp"
#include "campaign/samples_file.hpp"
#include "campaign/trust_grade.hpp"
#include "cli/campaign_evidence.hpp"
#include "core/input_error.hpp"
#include "storage/benchmark_report.hpp"
#include "storage/evidence_json.hpp"
#include "storage/file.hpp"
#include "storage/hardware_json.hpp"
#include "storage/measurement_json.hpp"
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
CampaignModel model_of(PlannedModel const& planned, Backend backend) {
    fs::path file = planned.file;
    if (!fs::exists(file)) file = models_directory() / file.filename();
    RequestedDimensions dimensions;
    for (auto const& [symbol, value] : planned.dimensions) {
        dimensions.named.emplace_back(symbol, value);
    }
    // The plan says under which batch its records stand: older ones say 1 of the probes.
    auto model = campaign_model(fs::exists(file)
                                    ? load_model(file.string(), dimensions, planned.precision)
                                    : load_model(planned.name, planned.batch, planned.precision),
                                backend);
    model.name = planned.name;
    model.batch = planned.batch;
    model.partial = planned.partial;
    return model;
}

std::string id_in(Samples const& samples, fs::path const& path) {
    auto id = hardware_id_of(samples.environment);
    if (!parse_hardware_id(id)) {
        throw InputError{path.string(), "the machine it names makes '" + id + "' of an id",
                         "--hardware ID"};
    }
    return id;
}

EvidencePart part_of_samples(fs::path const& path, std::optional<std::string> const& hardware_id) {
    CampaignResult result;
    read_samples(path, [&](SampleRecord const& record) { result.samples.add(record); });
    auto const& samples = result.samples;
    if (!samples.settings) {
        throw InputError{path.string(), "no campaign line", "a file that derate measure wrote"};
    }
    auto const& plan = *samples.settings;
    if (plan.models.empty()) throw InputError{path.string(), "its plan has no models", accepted};
    CampaignSettings settings;
    settings.execution = plan.execution;
    settings.states = {state_to_use(plan)};
    std::set<std::string> planned_keys;
    for (auto const& item : plan.cases) planned_keys.insert(item.key);
    for (std::size_t m = 0; m < plan.models.size(); ++m) {
        auto const& planned = plan.models[m];
        auto model = model_of(planned, plan.execution.backend);
        if (model.partial) {
            std::set<int> chosen;
            for (auto const& item : plan.cases) {
                if (item.model == m) chosen.insert(item.subgraph);
            }
            std::erase_if(model.subgraphs,
                          [&](Subgraph const& part) { return !chosen.contains(part.id); });
            if (model.subgraphs.empty()) continue;
        }
        // Of a held-out model only the whole was asked for: parts of it are no cases of the plan.
        model.isolated = std::ranges::all_of(model.subgraphs, [&](Subgraph const& part) {
            return planned_keys.contains(
                key_of_case(settings, model, part, settings.states.front()));
        });
        // Samples of before `held_out` do not say it otherwise.
        model.in_budget = model.isolated && !planned.held_out;
        settings.models.push_back(std::move(model));
    }
    result.cases = distinct_cases(settings);
    auto const hardware = hardware_of(samples, hardware_id.value_or(id_in(samples, path)),
                                      plan.execution, plan.models.front().precision);
    // Whether it was --quick the file does not say; three launches tell as much.
    auto const trust = judge_trust(samples.environment, quality_of(result, false));
    return {path.string(), evidence_of_campaign(result, settings, hardware, path, trust)};
}

std::string text_of(fs::path const& path) {
    auto text = read_text(path);
    return path.extension() == ".gz" ? gzip_expand(text, path.string()) : text;
}

EvidencePart part_of_json(std::string_view text, std::string const& where) {
    auto const json = parse_json(text, where);
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

/// The machine of a report, which says no more of it than whether it is a GPU: as the other input
/// knows it, else as a hardware.json beside.
Hardware hardware_of(BenchmarkReport const& report, std::optional<std::string> const& given,
                     std::vector<EvidencePart> const& others) {
    auto const id = report.hardware_id ? report.hardware_id : given;
    if (!id) {
        throw InputError{report.where, "does not name its machine", "--hardware NAME"};
    }
    for (auto const& other : others) {
        if (other.evidence.hardware.id == *id) return other.evidence.hardware;
    }
    auto const beside = fs::path{report.where}.parent_path() / "hardware.json";
    if (fs::exists(beside)) {
        auto hardware = hardware_from_json(read_json(beside), beside.string());
        if (hardware.id == *id) return hardware;
    }
    return {.id = *id, .kind = report.condition.execution.device, .name = *id};
}

/// Reports by campaign. A launch that is there already counts once.
class Reports {
  public:
    /// \return false  this launch is there
    bool add(BenchmarkReport report) {
        auto& campaign = campaigns_[report.context_hash];
        auto const place = campaign.try_emplace(report.launch, std::move(report));
        return place.second;
    }

    void add_parts(EvidenceInputs& inputs, std::vector<EvidencePart>& parts,
                   std::optional<std::string> const& hardware_id) const {
        for (auto const& [context, launches] : campaigns_) {
            std::vector<BenchmarkReport> reports;
            for (auto const& [launch, report] : launches) reports.push_back(report);
            auto const where = reports.front().where;
            auto const read =
                measurements_of_reports(reports, hardware_of(reports.front(), hardware_id, parts));
            inputs.notes.insert(inputs.notes.end(), read.notes.begin(), read.notes.end());
            for (auto const& measurement : read.measurements) {
                parts.push_back({where, evidence_of(measurement, where)});
            }
        }
    }

  private:
    std::map<std::string, std::map<int, BenchmarkReport>> campaigns_;  ///< by context_hash, launch
};

}  // namespace

EvidenceInputs read_evidence_inputs(std::vector<fs::path> const& paths,
                                    std::optional<std::string> const& hardware_id) {
    EvidenceInputs inputs;
    std::map<std::string, fs::path> seen;  // by content
    std::vector<EvidencePart> parts;
    Reports reports;
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
            continue;
        }
        auto const text = text_of(path);
        if (!looks_like_benchmark_report(text)) {
            parts.push_back(part_of_json(text, path.string()));
        } else if (!reports.add(benchmark_report_from_text(text, path.string()))) {
            --inputs.files;
            inputs.duplicates.push_back(path);
        }
    }
    reports.add_parts(inputs, parts, hardware_id);
    if (parts.empty()) throw InputError{"--input", "no file given", accepted};
    inputs.evidence = merge(parts);
    return inputs;
}

}  // namespace derate::cli
