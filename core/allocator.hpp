#pragma once
#include <optional>
#include <string_view>

namespace derate {

/// In which state malloc serves tensors while a time is taken.
enum class Allocator {
    /// Both thresholds above every tensor (mallopt, or MALLOC_MMAP_THRESHOLD_ and
    /// MALLOC_TRIM_THRESHOLD_): memory that was touched once is used again without page faults.
    pinned,
    /// glibc's malloc as a program finds it: large tensors come as new pages at each call, as often
    /// as what was freed before decides.
    untouched,
};

[[nodiscard]] std::string_view to_string(Allocator allocator);  ///< "pinned", "default"
[[nodiscard]] std::optional<Allocator> parse_allocator(std::string_view name);

}  // namespace derate
