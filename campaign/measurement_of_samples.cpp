#include "campaign/measurement_of_samples.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>

#include "campaign/host_environment.hpp"
#include "campaign/plan_making.hpp"
#include "core/value_rule.hpp"
#include "statistics/quantiles.hpp"
#include "storage/environment_json.hpp"
#include "workloads/partition.hpp"

namespace derate {
namespace {

/// Why a case has no time although its model did not fail: a case that several models share is
/// timed in the first of them.
std::string reason_of_owner(CampaignResult const& result, CampaignSettings const& settings,
                            std::string const& key) {
    auto const found = std::ranges::find(result.cases, key, &DistinctCase::key);
    if (found == result.cases.end()) return {};
    auto const& owner = settings.models[found->model];
    auto const label = model_label(owner.name, owner.batch);
    auto const failed = result.samples.failures.find(label);
    if (failed == result.samples.failures.end()) return {};
    return "it is timed in " + label + ", which failed: " + failed->second;
}

/// In-context times of every subgraph, as repetitions by launch; one entry a subgraph.
std::vector<Repetitions> in_context_repetitions(Samples const& samples,
                                                CampaignModel const& model) {
    std::vector<Repetitions> parts(model.subgraphs.size());
    auto const found = samples.in_context.find(model_label(model.name, model.batch));
    if (found == samples.in_context.end()) return parts;
    for (auto const& [launch, runs] : found->second) {
        for (auto const& run : runs) {
            for (std::size_t i = 0; i < std::min(run.size(), parts.size()); ++i) {
                if (!(run[i] > 0)) continue;  // below the clock's step: a view
                parts[i][launch].times_ms.push_back(run[i]);
                parts[i][launch].steady.push_back(true);
            }
        }
    }
    return parts;
}

/// The best probe's best launch: a ceiling is what the machine reaches when nothing holds it back.
std::optional<PeakRate> best_peak(std::map<std::string, std::vector<PeakSample>> const& probes) {
    std::optional<PeakRate> best;
    for (auto const& [probe, samples] : probes) {
        std::map<int, double> by_launch;
        for (auto const& sample : samples) {
            auto& rate = by_launch[sample.launch];
            rate = std::max(rate, sample.per_second);
        }
        std::vector<double> rates;
        for (auto const& [launch, rate] : by_launch) rates.push_back(rate);
        double const peak = std::ranges::max(rates);
        if (best && best->per_second >= peak) continue;
        best =
            PeakRate{.per_second = peak,
                     .source = "measured",
                     .method = probe + ", best of " + std::to_string(rates.size()) + " launches"};
        auto const summary = summarize(rates);
        if (auto const variance = summary.variance()) {
            best->relative_spread = std::sqrt(*variance) / summary.mean;
        }
        best->clock_hz = std::ranges::max_element(samples, {}, &PeakSample::per_second)->clock_hz;
    }
    return best;
}

}  // namespace

Measurement measurement_of(CampaignResult const& result, CampaignSettings const& settings,
                           CampaignModel const& model, CacheState state, Hardware const& hardware,
                           std::string const& samples_file, std::string const& tool_version) {
    auto const& samples = result.samples;
    auto const label = model_label(model.name, model.batch);
    auto const compared = samples.least_of();
    Measurement measurement{
        .model = model.name,
        .model_family = model.family,
        .batch = model.batch,
        .condition = {.precision = model.precision,
                      .cache_state = state,
                      .partition = std::string{partition_rule(settings.execution.backend)},
                      .flop_rule = std::string{flop_rule}},
        .hardware = hardware,
        .source = {.origin = "derate " + tool_version,
                   .campaign = samples.campaign,
                   .date = samples.campaign,
                   .file = samples_file,
                   .timing = to_string(settings.rules),
                   .environment_hash = environment_hash(samples.environment),
                   .value_rule = std::string{value_rule}},
        .whole_model = {},
        .subgraphs = {}};
    auto& execution = measurement.condition.execution;
    execution = settings.execution;
    execution.cpus.clear();  // files of measurements do not say
    if (!is_host(execution.device)) {
        execution.threads.reset();
        execution.allocator.reset();
    }
    if (auto const found = samples.whole.find(label); found != samples.whole.end()) {
        measurement.whole_model = timing_of(found->second, compared);
    }
    auto const in_context = in_context_repetitions(samples, model);
    for (std::size_t i = 0; i < model.subgraphs.size(); ++i) {
        auto const& subgraph = model.subgraphs[i];
        MeasuredSubgraph measured{.subgraph = subgraph,
                                  .isolated = {},
                                  .in_context = timing_of(in_context[i]),
                                  .failure = {}};
        auto const key = key_of_case(settings, model, subgraph, state);
        if (auto const timed = samples.isolated.find(key); timed != samples.isolated.end()) {
            measured.isolated = timing_of(timed->second, compared);
        } else if (auto const failed = samples.failures.find(key);
                   failed != samples.failures.end()) {
            measured.failure = failed->second;
        } else if (auto const model_failed = samples.failures.find(label);
                   model_failed != samples.failures.end()) {
            measured.failure = model_failed->second;
        } else if (auto const reason = reason_of_owner(result, settings, key); !reason.empty()) {
            measured.failure = reason;
        } else {
            measured.failure = model.isolated ? "not timed: the budget was spent first"
                                              : "not timed: only the whole model was asked for";
        }
        measurement.subgraphs.push_back(std::move(measured));
    }
    return measurement;
}

Hardware hardware_of(Samples const& samples, std::string const& hardware_id,
                     Execution const& execution, Precision precision) {
    auto const& environment = samples.environment;
    bool const gpu = environment.gpu_name.has_value();
    Hardware hardware{
        .id = hardware_id,
        .kind = gpu ? DeviceKind::gpu : DeviceKind::cpu,
        .name = gpu ? *environment.gpu_name : environment.cpu_name.value_or("unknown processor")};
    if (!gpu) hardware.last_level_cache_bytes = environment.last_level_cache_bytes;
    auto const threads = gpu ? std::nullopt : execution.threads;
    if (auto const peak = best_peak(samples.peak_flops)) {
        hardware.compute_peaks.push_back(
            {.precision = precision, .threads = threads, .rate = *peak});
    }
    if (auto const peak = best_peak(samples.peak_bandwidth)) {
        hardware.bandwidth_peaks.push_back({.threads = threads, .rate = *peak});
    }
    return hardware;
}

std::vector<ContextRatio> context_ratios(CampaignResult const& result,
                                         CampaignSettings const& settings, CacheState state) {
    std::vector<ContextRatio> ratios;
    for (auto const& model : settings.models) {
        auto const measurement = measurement_of(result, settings, model, state, {}, "", "");
        if (!measurement.whole_model) continue;
        ContextRatio ratio{.model = model_label(model.name, model.batch),
                           .whole_ms = measurement.whole_model->center_ms,
                           .whole_over_isolated = {},
                           .whole_over_in_context = {}};
        double isolated = 0;
        double in_context = 0;
        bool all_isolated = true;
        for (auto const& part : measurement.subgraphs) {
            if (part.isolated) isolated += part.isolated->center_ms;
            all_isolated = all_isolated && part.isolated.has_value();
            if (part.in_context) in_context += part.in_context->center_ms;
        }
        if (all_isolated && isolated > 0) ratio.whole_over_isolated = ratio.whole_ms / isolated;
        if (in_context > 0) ratio.whole_over_in_context = ratio.whole_ms / in_context;
        ratios.push_back(std::move(ratio));
    }
    return ratios;
}

MeasuredQuality quality_of(CampaignResult const& result, bool quick) {
    return {.launches = result.samples.launches_begun(),
            .quick = quick,
            .precise_share = precise_share(result, 0.02),
            .drift = analyse_drift(result.samples.drift)};
}

double precise_share(CampaignResult const& result, double limit) {
    double all = 0;
    double precise = 0;
    std::set<std::string_view> sparse;
    for (auto const& item : result.cases) {
        if (item.sparse) sparse.insert(item.key);
    }
    for (auto const& [key, repetitions] : result.samples.isolated) {
        if (sparse.contains(key)) continue;
        auto const timing = timing_of(repetitions);
        if (!timing) continue;
        all += timing->center_ms;
        auto const width = relative_half_width(repetitions);
        if (width && *width <= limit) precise += timing->center_ms;
    }
    return all > 0 ? precise / all : 0;
}

}  // namespace derate
