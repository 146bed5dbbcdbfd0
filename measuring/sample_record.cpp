#include "measuring/sample_record.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

namespace derate {
namespace {

/// In the order of SampleContent.
constexpr std::array<std::string_view, std::variant_size_v<SampleContent>> kinds{
    "campaign", "environment", "isolated", "in_context", "whole",   "drift",
    "peak",     "stopped",     "failure",  "launch_end", "finished"};

template <std::size_t... indices>
SampleContent content_at(std::size_t wanted, std::index_sequence<indices...>) {
    SampleContent content;
    (void)((indices == wanted ? (content.emplace<indices>(), true) : false) || ...);
    return content;
}

}  // namespace

std::string_view kind_of(SampleContent const& content) { return kinds.at(content.index()); }

std::optional<SampleContent> content_of_kind(std::string_view kind) {
    auto const found = std::ranges::find(kinds, kind);
    if (found == kinds.end()) return std::nullopt;
    return content_at(static_cast<std::size_t>(found - kinds.begin()),
                      std::make_index_sequence<kinds.size()>{});
}

}  // namespace derate
