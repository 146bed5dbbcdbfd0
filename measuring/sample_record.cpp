#include "measuring/sample_record.hpp"

#include <array>
#include <utility>

namespace derate {
namespace {

constexpr std::array<std::pair<SampleKind, std::string_view>, 11> names{{
    {SampleKind::campaign, "campaign"},
    {SampleKind::environment, "environment"},
    {SampleKind::isolated, "isolated"},
    {SampleKind::in_context, "in_context"},
    {SampleKind::whole, "whole"},
    {SampleKind::drift, "drift"},
    {SampleKind::peak, "peak"},
    {SampleKind::stopped, "stopped"},
    {SampleKind::failure, "failure"},
    {SampleKind::launch_end, "launch_end"},
    {SampleKind::finished, "finished"},
}};

}  // namespace

std::string_view to_string(SampleKind kind) {
    for (auto const& [value, name] : names) {
        if (value == kind) return name;
    }
    return {};
}

std::optional<SampleKind> parse_sample_kind(std::string_view text) {
    for (auto const& [value, name] : names) {
        if (name == text) return value;
    }
    return std::nullopt;
}

}  // namespace derate
