#include "core/allocator.hpp"

namespace derate {

std::string_view to_string(Allocator allocator) {
    return allocator == Allocator::pinned ? "pinned" : "default";
}

std::optional<Allocator> parse_allocator(std::string_view name) {
    for (auto const allocator : {Allocator::pinned, Allocator::untouched}) {
        if (to_string(allocator) == name) return allocator;
    }
    return std::nullopt;
}

}  // namespace derate
