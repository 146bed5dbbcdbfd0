#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "cli/estimate_output.hpp"
#include "cli/subgraph_table.hpp"
#include "core/format_quantity.hpp"
#include "reports/report_text.hpp"

namespace derate::cli {
namespace {

std::string percent(double fraction) {
    constexpr double least = 1e-4;
    if (fraction > 0 && fraction < least) return "< 0.01 %";
    return percent_of(fraction, 3);
}

std::string bound_name(std::optional<Bound> bound) {
    return std::string{bound ? to_string(*bound) : "unknown"};
}

/// "Tanh (1, 7, 14) 95.1 %, Conv2d (0) 3.20 %".
std::string text_of(std::vector<WidthSource> const& sources) {
    constexpr std::size_t most = 8;
    std::string text;
    for (auto const& source : sources) {
        if (!text.empty()) text += ", ";
        if (!source.fusion_pattern) {
            text += "what all kernels share " + percent(source.variance_share);
            continue;
        }
        text += *source.fusion_pattern + " (";
        for (std::size_t i = 0; i < source.subgraph_ids.size() && i < most; ++i) {
            text += (i == 0 ? "" : ", ") + std::to_string(source.subgraph_ids[i]);
        }
        if (source.subgraph_ids.size() > most) text += ", ...";
        text += ") " + percent(source.variance_share);
    }
    return text;
}

/// The interval about a kernel's time: "+-8.1 %", "x 3.4" where wide, "> x 10", "-" unknown.
std::string spread_text(std::optional<double> spread) {
    if (!spread) return "-";
    if (!(*spread <= most_spread)) return "> x " + format_significant(most_spread, 2);
    if (*spread > 1.5) return "x " + format_significant(*spread, 2);
    return "+-" + format_significant(100 * (*spread - 1), 2) + " %";
}

std::string model_text(ModelToPrice const& model) {
    std::string text{model.name};
    if (model.batch) text += ", batch " + std::to_string(*model.batch);
    return text.append(", ").append(to_string(model.precision));
}

std::string place_text(Target const& target) {
    auto const threads = target.calibrations.front().condition.execution.threads;
    return target.hardware_id + (threads ? ", " + threads_text(threads) : "");
}

void print_types(ModelToPrice const& model, ChainEstimate const& estimate) {
    std::vector<TableRow> rows{{"type", "subgraphs", "latency", "share"}};
    for (auto const& [type, total] : totals_of_types(model, estimate)) {
        rows.push_back({std::string{type}, std::to_string(total.subgraphs),
                        format_ms(total.latency_ms),
                        percent(total.latency_ms / estimate.total.latency_ms)});
    }
    std::printf("\n%s", text_table(rows, 1).c_str());
}

void print_slowest(ModelToPrice const& model, ChainEstimate const& estimate) {
    std::vector<std::size_t> order(model.subgraphs.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::stable_sort(order, std::ranges::greater{},
                             [&](std::size_t i) { return estimate.subgraphs[i].latency_ms; });
    std::vector<TableRow> rows{
        {"id", "pattern", "type", "bound", "source", "work", "memory", "latency", "95 %", "share"}};
    for (auto const i : order) {
        auto const& subgraph = model.subgraphs[i];
        auto const& part = estimate.subgraphs[i];
        std::string source{to_string(part.source)};
        if (part.unseen_regime) source += ", unseen: " + *part.unseen_regime;
        if (part.extrapolated) source += ", extrapolated";
        rows.push_back({std::to_string(part.subgraph_id), subgraph.fusion_pattern,
                        std::string{to_string(subgraph.type)}, bound_name(part.bound), source,
                        format_flops(subgraph.work), format_bytes(subgraph.traffic.total()),
                        format_ms(part.latency_ms), spread_text(part.spread),
                        percent(part.latency_ms / estimate.total.latency_ms)});
    }
    std::printf("\n%s", slowest_table(rows, 5).c_str());
}

/// What a run needs to take the time that was predicted, where malloc serves its tensors.
std::string allocator_note(Target const& target) {
    auto const& calibration = target.calibrations.front();
    auto const& execution = calibration.condition.execution;
    if (!is_host(execution.device) || !execution.allocator) return {};
    if (execution.allocator == Allocator::untouched) {
        return "With glibc's default malloc; a run without its page faults is --allocator "
               "pinned.\n";
    }
    std::string const without =
        "without both it may take more than twice as long" +
        std::string{under_allocator(calibration, Allocator::untouched)
                        ? " (--allocator default says how long).\n"
                        : ", which these curves cannot tell: `derate calibrate` on that machine "
                          "makes some that can.\n"};
    return "Plain PyTorch runs like this with MALLOC_MMAP_THRESHOLD_=1073741824 and "
           "MALLOC_TRIM_THRESHOLD_=2147483647 set; " +
           without;
}

/// The interval is too wide to print. Of legacy rules, nobody knows how wide it is.
bool is_guess(ChainEstimate const& estimate) {
    return !estimate.spread_known && estimate.source() != CurveSource::legacy_hardcoded;
}

/// The curve behind a subgraph and the data points nearest to its work.
void print_points(EfficiencyCurve const& curve, Subgraph const& subgraph) {
    bool const by_flops = curve.axis == WorkAxis::flops;
    double const work = by_flops ? subgraph.work.value() : subgraph.traffic.total().value();
    std::vector<TableRow> rows{
        {"", by_flops ? "work" : "memory", "efficiency", "repetitions", "kernels seen there"}};
    auto const nearest = std::ranges::min_element(curve.data_points, {}, [&](auto const& point) {
        return std::abs(std::log(point.work / std::max(work, 1.0)));
    });
    for (auto const& point : curve.data_points) {
        std::string seen;
        for (std::size_t i = 0; i < point.source_subgraphs.size() && i < 3; ++i) {
            seen += (i > 0 ? ", " : "") + point.source_subgraphs[i];
        }
        if (point.source_subgraphs.size() > 3) {
            seen += " and " + std::to_string(point.source_subgraphs.size() - 3) + " more";
        }
        rows.push_back(
            {&point == &*nearest ? ">" : "",
             by_flops ? format_flops(Flops{point.work}) : format_bytes(Bytes{point.work}),
             format_significant(point.efficiency_mean, 3), std::to_string(point.num_observations),
             seen});
    }
    std::printf("\nwhat the curve rests on (> nearest):\n%s", text_table(rows, 5).c_str());
}

}  // namespace

std::string judgement_text(UsedCalibration const& used) {
    if (!used.validate_command) return {};
    std::string text = used.file.filename().string() + ": trust grade " +
                       used.trust_grade.value_or("unknown") + ", gate " +
                       used.verdict.value_or("unknown") +
                       (used.provisional ? ", provisional" : "") + "\n  ";
    if (used.trust_grade) text += "grade: A (quiet machine) to D; ";
    if (used.verdict == "INCONCLUSIVE") {
        text += "INCONCLUSIVE: too little evidence for some rules; ";
    } else if (used.verdict == "FAIL") {
        text += "FAIL: a rule is broken; ";
    }
    return text + "why: " + *used.validate_command + "\n";
}

std::string unknown_warning(UnknownWork const& unknown) {
    if (unknown.calls == 0) return {};
    std::string names;
    for (auto const& name : unknown.operators) names += (names.empty() ? "" : ", ") + name;
    return "unknown_operators: " + names +
           ": work unknown, priced by bytes and one FLOP per "
           "element returned; " +
           percent(unknown.share_of_calls) + " of the calls, " + percent(unknown.share_of_bytes) +
           " of the bytes, up to " + percent(unknown.possible_share_of_work) + " of the work" +
           (unknown.may_be_a_good_part() ? ", so that nothing bounds the latency from above" : "");
}

void print_estimate(ModelToPrice const& model, Target const& target,
                    ChainEstimate const& estimate) {
    auto const& total = estimate.total;
    if (model.subgraphs.empty()) {
        std::printf("%s on %s: 0 ms: it calls no operator\n", model_text(model).c_str(),
                    place_text(target).c_str());
        return;
    }
    bool const open_above = model.unknown.may_be_a_good_part();
    std::string const unseen =
        estimate.unseen_share > 0.5 ? ", most of it of kernels that no calibration case shows" : "";
    std::printf("%s on %s: %s%s%s%s\n", model_text(model).c_str(), place_text(target).c_str(),
                is_guess(estimate) ? "not known, at a guess " : "",
                format_ms(total.latency_ms).c_str(), open_above ? " or more" : "", unseen.c_str());
    if (auto const warning = unknown_warning(model.unknown); !warning.empty()) {
        std::printf("%s\n", warning.c_str());
    }
    if (estimate.spread_known && open_above) {
        std::printf("95 %% prediction interval %s to not known\n",
                    format_ms(total.ci_95_lower_ms).c_str());
    } else if (estimate.spread_known) {
        std::printf(
            "95 %% prediction interval %s to %s (as if errors were independent: %s to %s)\n",
            format_ms(total.ci_95_lower_ms).c_str(), format_ms(total.ci_95_upper_ms).c_str(),
            format_ms(total.ci_95_independent_lower_ms).c_str(),
            format_ms(total.ci_95_independent_upper_ms).c_str());
    } else {
        std::printf("interval unknown: %s\n", estimate.why_spread_unknown.c_str());
    }
    if (auto const sources = width_sources(model, estimate); !sources.empty()) {
        std::printf("most of the width: %s of its variance\n", text_of(sources).c_str());
    }
    for (auto const& share : estimate.shares) {
        std::printf("from %s curves: %d subgraphs, %s%s\n",
                    std::string{to_string(share.source)}.c_str(), share.subgraphs,
                    format_ms(share.latency_ms).c_str(),
                    estimate.unseen_share > 0.5 ? ", most of it by curves of other kernels" : "");
    }
    for (auto const& one : used_calibrations(target, estimate)) {
        std::fputs(judgement_text(one).c_str(), stdout);
    }
    if (total.foreign_partition) {
        std::printf("the curves were made on another partition of models: the interval is wider\n");
    }
    if (total.extrapolated()) {
        bool const one = total.extrapolated_subgraphs == 1;
        std::printf("%d subgraph%s outside the range %s curve was made on\n",
                    total.extrapolated_subgraphs, one ? " lies" : "s lie", one ? "its" : "their");
    }
    print_types(model, estimate);
    print_slowest(model, estimate);
    std::printf(
        "\nTime of the ATen operators through LibTorch's dispatcher: not of Python, not of "
        "torch.compile.\n%s",
        allocator_note(target).c_str());
}

void print_explanation(ModelToPrice const& model, Explanation const& all) {
    auto const& subgraph = *all.subgraph;
    auto const& found = *all.estimate;
    std::printf("subgraph %d of %s: %s (%s), %s, %s\n", found.subgraph_id, model.name.c_str(),
                subgraph.fusion_pattern.c_str(), std::string{to_string(subgraph.type)}.c_str(),
                format_flops(subgraph.work).c_str(),
                format_bytes(subgraph.traffic.total()).c_str());
    std::printf("%s, %s of the model; limited by %s\n", format_ms(found.latency_ms).c_str(),
                percent(all.share_of_model).c_str(), bound_name(found.bound).c_str());
    if (found.spread && *found.spread <= most_spread) {
        std::printf("95 %% prediction interval of it %s to %s (%s)",
                    format_ms(found.latency_ms / *found.spread).c_str(),
                    format_ms(found.latency_ms * *found.spread).c_str(),
                    spread_text(found.spread).c_str());
    } else {
        std::printf("95 %% prediction interval of it not known%s",
                    found.spread ? ": wider than a factor of 10 either way" : "");
    }
    if (found.variance_share) {
        std::printf("; %s of the variance of the model's time",
                    percent(*found.variance_share).c_str());
    }
    std::printf("\n");
    std::printf("priced by the %s curve \"%s\"\n", std::string{to_string(found.source)}.c_str(),
                found.curve.c_str());
    if (!all.inside_model_factor) return;
    std::printf("curve alone %s, times %s for its shape, times %s inside a whole model\n",
                format_ms(found.roofline_ms).c_str(),
                format_significant(found.residual_factor, 3).c_str(),
                format_significant(*all.inside_model_factor, 3).c_str());
    for (auto const* curve : all.curves) print_points(*curve, subgraph);
    for (auto const& [file, sha256] : all.evidence) {
        std::printf("evidence: evidence/%s, SHA-256 %s\n", file.c_str(), sha256.c_str());
    }
}

}  // namespace derate::cli
