#include "core/calibration.hpp"

#include <array>
#include <utility>

namespace derate {
namespace {

constexpr std::array<std::pair<CurveSource, std::string_view>, 4> source_names{{
    {CurveSource::measured, "measured"},
    {CurveSource::imported, "imported"},
    {CurveSource::legacy_hardcoded, "legacy_hardcoded"},
    {CurveSource::conservative_default, "default"},
}};

}  // namespace

std::string days_of(Provenance const& provenance) {
    auto const day = [](std::string const& date) { return date.substr(0, 10); };
    auto const newest = day(provenance.date);
    auto const oldest = day(provenance.oldest_date.value_or(provenance.date));
    return oldest == newest ? newest : oldest + " to " + newest;
}

std::string_view to_string(CurveSource source) {
    for (auto const& [value, name] : source_names) {
        if (value == source) return name;
    }
    return {};
}

std::optional<CurveSource> parse_curve_source(std::string_view text) {
    for (auto const& [value, name] : source_names) {
        if (name == text) return value;
    }
    return std::nullopt;
}

std::optional<Calibration> under_allocator(Calibration calibration, Allocator allocator) {
    if (calibration.allocator.value_or(Allocator::pinned) == allocator) return calibration;
    if (allocator == Allocator::pinned || !calibration.default_allocator_context) {
        return std::nullopt;
    }
    calibration.context = *calibration.default_allocator_context;
    calibration.allocator = allocator;
    return calibration;
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
