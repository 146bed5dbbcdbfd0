#include "campaign/measurements_of_reports.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "campaign/campaign_settings.hpp"
#include "campaign/samples.hpp"
#include "core/input_error.hpp"
#include "core/value_rule.hpp"
#include "workloads/descriptor.hpp"
#include "workloads/model_set.hpp"
#include "workloads/partition.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view shipped_probes = "probes_b";

struct TimedKernel {
    ReportedKernel reported;  ///< as the first report has it
    std::string where;
    Repetitions repetitions;
};

void append(Repetitions& repetitions, int launch, ReportedTimes const& times) {
    auto& one = repetitions[launch];
    one.times_ms.insert(one.times_ms.end(), times.mean_ms.begin(), times.mean_ms.end());
    one.fast_ms.insert(one.fast_ms.end(), times.fast_ms.begin(), times.fast_ms.end());
    one.steady.resize(one.times_ms.size(), true);  // the report does not say
}

/// A descriptor without the kinds of values that its kernel was timed with.
std::string without_values(std::string const& descriptor) {
    if (descriptor.find('~') == std::string::npos) return descriptor;
    auto program = parse_descriptor(descriptor);
    for (auto& input : program.inputs) input.values.clear();
    return format_descriptor(program);
}

/// The reports of one campaign by kernel and model.
class TimedCases {
  public:
    explicit TimedCases(std::span<BenchmarkReport const> reports) {
        for (auto const& report : reports) {
            for (auto const& kernel : report.kernels) {
                auto& timed = kernels_[kernel.descriptor];
                if (timed.where.empty()) {
                    timed.reported = kernel;
                    timed.where = report.where;
                }
                append(timed.repetitions, report.launch, kernel.times);
                owners_[model_label(kernel.model, kernel.batch)].insert(
                    {kernel.subgraph, kernel.descriptor});
            }
            for (auto const& whole : report.whole_models) {
                append(wholes_[model_label(whole.model, whole.batch)], report.launch,
                       whole.times);
            }
            for (auto const& failure : report.failures) {
                failures_.try_emplace(failure.name, failure.reason);
            }
            models_.insert(report.models.begin(), report.models.end());
        }
        for (auto const& [label, kernels] : owners_) models_.insert(label);
        for (auto const& [label, whole] : wholes_) models_.insert(label);
        std::map<std::string, Repetitions> isolated;
        for (auto const& [descriptor, timed] : kernels_) isolated[descriptor] = timed.repetitions;
        least_of_ = least_of(isolated, wholes_);
        // Of the same rule, another kind of values is another kernel.
        if (reports.front().value_rule == value_rule) return;
        for (auto const& [descriptor, timed] : kernels_) {
            auto const [known, is_new] = by_shape_.try_emplace(without_values(descriptor), &timed);
            if (!is_new) known->second = nullptr;
        }
    }

    [[nodiscard]] std::set<std::string> const& models() const { return models_; }

    /// The kernel of that descriptor, or the only one that differs from it in the kind of values,
    /// which older rules gave otherwise.
    [[nodiscard]] TimedKernel const* find(std::string const& descriptor) const {
        if (auto const same = kernels_.find(descriptor); same != kernels_.end()) {
            return &same->second;
        }
        auto const alike = by_shape_.find(without_values(descriptor));
        return alike == by_shape_.end() ? nullptr : alike->second;
    }

    /// Those that name this model in their label, in their order in it.
    [[nodiscard]] std::set<std::pair<int, std::string>> kernels_of(std::string const& label) const {
        auto const found = owners_.find(label);
        return found == owners_.end() ? std::set<std::pair<int, std::string>>{} : found->second;
    }

    [[nodiscard]] std::optional<Timing> isolated(TimedKernel const& kernel) const {
        return timing_of(kernel.repetitions, least_of_);
    }

    [[nodiscard]] std::optional<Timing> whole(std::string const& label) const {
        auto const found = wholes_.find(label);
        return found == wholes_.end() ? std::nullopt : timing_of(found->second, least_of_);
    }

    [[nodiscard]] std::string failure(std::string const& name) const {
        auto const found = failures_.find(name);
        return found == failures_.end() ? "not timed: the report has no row of it" : found->second;
    }

  private:
    std::map<std::string, TimedKernel> kernels_;          ///< by descriptor
    std::map<std::string, TimedKernel const*> by_shape_;  ///< null where several are alike
    std::map<std::string, std::set<std::pair<int, std::string>>> owners_;  ///< by model_label()
    std::map<std::string, Repetitions> wholes_;                            ///< by model_label()
    std::map<std::string, std::string> failures_;                          ///< by name
    LeastOf least_of_;
    std::set<std::string> models_;                                         ///< model_label()
};

/// The shipped model of that name and batch, if its subgraphs are those that the kernels say.
std::optional<CampaignModel> shipped_model(std::string const& label, Condition const& condition,
                                           TimedCases const& timed) {
    auto const precision = condition.precision;
    auto const backend = condition.execution.backend;
    auto const named = parse_model_at_batch(label);
    if (!named) return std::nullopt;
    auto const catalogue = read_catalogue(models_directory());
    bool const is_shipped = std::ranges::any_of(catalogue, [&](CatalogueEntry const& entry) {
        return entry.name == named->model && named->batch &&
               entry.find(*named->batch, precision) != nullptr;
    });
    std::optional<CampaignModel> model;
    if (is_shipped) {
        model = campaign_model(load_model(named->model, named->batch, precision), backend);
    } else if (named->model.starts_with(shipped_probes)) {
        auto const file = models_directory() / fs::path{named->model + ".json.gz"}.filename();
        if (!fs::exists(file)) return std::nullopt;
        model = campaign_model(load_model(file.string()), backend);
    } else {
        return std::nullopt;
    }
    auto const is_elsewhere = [&](std::pair<int, std::string> const& kernel) {
        auto const& [id, descriptor] = kernel;
        auto const index = static_cast<std::size_t>(id);
        return index >= model->subgraphs.size() ||
               without_values(model->subgraphs[index].descriptor) != without_values(descriptor);
    };
    if (std::ranges::any_of(timed.kernels_of(label), is_elsewhere)) return std::nullopt;
    return model;
}

/// A kernel as its descriptor says it.
Subgraph subgraph_of(TimedKernel const& kernel, Backend backend) {
    auto cut = partition(parse_descriptor(kernel.reported.descriptor), backend);
    if (cut.subgraphs.size() != 1) {
        throw InputError{kernel.where,
                         "the descriptor of " + kernel.reported.name + " is no kernel",
                         "one of partition " + std::string{cut.rule}};
    }
    auto subgraph = std::move(cut.subgraphs.front().subgraph);
    subgraph.id = kernel.reported.subgraph;
    subgraph.fusion_pattern = kernel.reported.fusion_pattern;
    subgraph.descriptor = kernel.reported.descriptor;
    for (std::size_t i = 0; i < subgraph.nodes.size(); ++i) {
        auto& node = subgraph.nodes[i];  // a descriptor has no names
        node.name = node.op + "_" + std::to_string(subgraph.id) + "_" + std::to_string(i);
    }
    return subgraph;
}

MeasuredSubgraph measured(Subgraph subgraph, TimedCases const& timed) {
    MeasuredSubgraph result{
        .subgraph = std::move(subgraph), .isolated = {}, .in_context = {}, .failure = {}};
    auto& part = result.subgraph;
    if (auto const* const kernel = timed.find(part.descriptor)) {
        part.descriptor = kernel->reported.descriptor;
        result.isolated = timed.isolated(*kernel);
    } else {
        result.failure = timed.failure(case_name(part.type, part.descriptor));
    }
    return result;
}

Measurement frame_of(std::span<BenchmarkReport const> reports, Hardware const& hardware) {
    auto const& first = reports.front();
    Measurement measurement;
    measurement.condition = first.condition;
    measurement.condition.flop_rule = flop_rule;
    measurement.hardware = hardware;
    auto& source = measurement.source;
    source.origin = "derate " + first.tool_version.value_or("(version unknown)");
    source.campaign = "derate-bench/" + first.context_hash.substr(0, 16);
    source.date = std::ranges::min(reports, {}, &BenchmarkReport::date).date;
    source.file = fs::path{first.where}.filename().string();
    source.timing = "Google Benchmark reports, one a launch; means of iterations";
    source.environment_hash = first.context_hash;
    source.value_rule = first.value_rule ? first.value_rule : std::string{first_value_rule};
    return measurement;
}

}  // namespace

ReportedMeasurements measurements_of_reports(std::span<BenchmarkReport const> reports,
                                             Hardware const& hardware) {
    auto const& first = reports.front();
    auto const rule = partition_rule(first.condition.execution.backend);
    if (first.condition.partition != rule) {
        throw InputError{first.where, "its partition is '" + first.condition.partition + "'", rule};
    }
    ReportedMeasurements result;
    TimedCases const timed{reports};
    auto const frame = frame_of(reports, hardware);
    for (auto const& label : timed.models()) {
        auto measurement = frame;
        measurement.whole_model = timed.whole(label);
        if (auto model = shipped_model(label, frame.condition, timed)) {
            measurement.model = model->name;
            measurement.model_family = model->family;
            measurement.batch = model->batch;
            for (auto& part : model->subgraphs) {
                measurement.subgraphs.push_back(measured(std::move(part), timed));
            }
        } else if (auto const named = parse_model_at_batch(label)) {
            measurement.model = named->model;
            measurement.model_family = named->model;
            measurement.batch = named->batch;
            for (auto const& [id, descriptor] : timed.kernels_of(label)) {
                measurement.subgraphs.push_back(measured(
                    subgraph_of(*timed.find(descriptor), frame.condition.execution.backend),
                    timed));
            }
            if (measurement.whole_model) {
                result.notes.push_back(first.where + ": " + label +
                                       " is no shipped model: its time as a whole is left out");
                measurement.whole_model = std::nullopt;
            }
        }
        bool const has_time =
            measurement.whole_model ||
            std::ranges::any_of(measurement.subgraphs, [](MeasuredSubgraph const& part) {
                return part.isolated.has_value();
            });
        if (has_time) result.measurements.push_back(std::move(measurement));
    }
    if (result.measurements.empty()) {
        throw InputError{first.where, "nothing of it was timed", "a report with one timed case"};
    }
    for (auto const& report : reports) {
        for (auto const& [name, reason] : report.failures) {
            result.notes.push_back(report.where + ": " + name + " has no time: " + reason);
        }
    }
    return result;
}

}  // namespace derate
