#include "core/calibration.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <string_view>
#include <utility>

#include "core/name_table.hpp"

namespace derate {
namespace {

constexpr NameTable<CurveSource, 4> source_names{{
    {CurveSource::measured, "measured"},
    {CurveSource::imported, "imported"},
    {CurveSource::legacy_hardcoded, "legacy_hardcoded"},
    {CurveSource::conservative_default, "default"},
}};

constexpr std::string_view zero_flop_suffix = "|0";

}  // namespace

std::string curve_key(std::string_view name, bool zero_flop) {
    return std::string{name}.append(zero_flop ? zero_flop_suffix : "");
}

std::string curve_key(EfficiencyCurve const& curve) {
    return curve_key(to_string(curve.type), curve.zero_flop);
}

std::pair<std::string_view, bool> split_curve_key(std::string_view key) {
    bool const zero_flop = key.ends_with(zero_flop_suffix);
    if (zero_flop) key.remove_suffix(zero_flop_suffix.size());
    return {key, zero_flop};
}

std::string days_of(Provenance const& provenance) {
    auto const day = [](std::string const& date) { return date.substr(0, 10); };
    auto const newest = day(provenance.date);
    auto const oldest = day(provenance.oldest_date.value_or(provenance.date));
    return oldest == newest ? newest : oldest + " to " + newest;
}

std::string_view to_string(CurveSource source) {
    return name_of(source, source_names);
}

std::optional<CurveSource> parse_curve_source(std::string_view text) {
    return value_named(text, source_names);
}

double log_distance_below(ContextFactor const& context, double model_bytes) {
    constexpr double alike = 1.01;  // files round it
    if (!context.least_model_bytes || alike * model_bytes >= *context.least_model_bytes) return 0;
    return std::log(*context.least_model_bytes / std::max(model_bytes, 1.0));
}

double operator_seconds_in(ContextFactor const& context, double model_bytes) {
    return context.operator_seconds * std::exp(-log_distance_below(context, model_bytes));
}

bool holds_rules(Calibration const& calibration) {
    return calibration.legacy_rules || calibration.default_rules;
}

std::optional<Calibration> under_allocator(Calibration calibration, Allocator allocator) {
    if (calibration.condition.execution.allocator.value_or(Allocator::pinned) == allocator)
        return calibration;
    if (allocator == Allocator::pinned || !calibration.default_allocator_context) {
        return std::nullopt;
    }
    calibration.context = *calibration.default_allocator_context;
    calibration.condition.execution.allocator = allocator;
    return calibration;
}

std::vector<int> timed_batches(Calibration const& calibration) {
    if (!calibration.provenance.batches.empty()) return calibration.provenance.batches;
    std::set<int> batches;
    for (auto const& curve : calibration.curves) {
        for (auto const& point : curve.data_points) {
            for (std::string_view const name : point.source_subgraphs) {
                if (name.starts_with("probe/")) continue;  // a kernel alone has no batch
                // "model/batch/subgraph_id"; a model's name may hold a slash.
                auto const id = name.rfind('/');
                auto const before = name.substr(0, id == std::string_view::npos ? 0 : id);
                auto const text = before.substr(before.rfind('/') + 1);
                int batch = 0;
                auto const [stop, fault] =
                    std::from_chars(text.data(), text.data() + text.size(), batch);
                if (fault != std::errc{} || stop != text.data() + text.size()) return {};
                batches.insert(batch);
            }
        }
    }
    return {batches.begin(), batches.end()};
}

std::optional<std::string> unseen_batch_note(std::string_view hardware_id,
                                             std::span<int const> timed, int batch) {
    if (timed.empty() || std::ranges::count(timed, batch) > 0) return std::nullopt;
    if (timed.front() < batch && batch < timed.back()) return std::nullopt;
    std::string listed;
    for (int const one : timed) {
        listed.append(listed.empty()        ? ""
                      : one == timed.back() ? " and "
                                            : ", ")
            .append(std::to_string(one));
    }
    return std::string{hardware_id} + " was timed at batch " + listed + "; what batch " +
           std::to_string(batch) +
           " takes follows from its sizes alone, and libraries may run other kernels there.";
}

ValidationClaim const* headline_claim(Calibration const& calibration) {
    for (char const* left_out : {"family", "model"}) {
        for (auto const& claim : calibration.claims) {
            if (claim.leave_out == left_out) return &claim;
        }
    }
    return nullptr;
}

}  // namespace derate
