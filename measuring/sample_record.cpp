#include "measuring/sample_record.hpp"

#include "core/name_table.hpp"

namespace derate {
namespace {

constexpr NameTable<SampleKind, 11> names{{
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
    return name_of(kind, names);
}

std::optional<SampleKind> parse_sample_kind(std::string_view text) {
    return value_named(text, names);
}

}  // namespace derate
