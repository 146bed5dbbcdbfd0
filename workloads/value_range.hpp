#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

namespace derate {

/// Extents of a tensor, outermost first.
using Extents = std::vector<std::int64_t>;

/// Least and greatest value of every element of a tensor. A dimension along which they are the same
/// has extent 1 here, and leading ones are left out, so that equal ranges are equal objects.
struct ValueRange {
    Extents shape;  ///< of `low` and `high`; broadcasts to the tensor's. Empty: one of each
    std::vector<double> low{-std::numeric_limits<double>::infinity()};
    std::vector<double> high{std::numeric_limits<double>::infinity()};

    [[nodiscard]] static ValueRange of(double low, double high) {
        return {.shape = {}, .low = {low}, .high = {high}};
    }
    [[nodiscard]] bool is_uniform() const { return low.size() == 1; }
    [[nodiscard]] bool is_unbounded() const;
    [[nodiscard]] double least() const { return *std::ranges::min_element(low); }
    [[nodiscard]] double greatest() const { return *std::ranges::max_element(high); }
    /// Some element has no value; of integers, also where none lies between its bounds.
    [[nodiscard]] bool is_empty(bool of_floats) const;
    /// The values that are allowed for every element.
    [[nodiscard]] ValueRange in_one() const;
    /// All values of all elements.
    [[nodiscard]] ValueRange hull() const { return of(least(), greatest()); }

    friend bool operator==(ValueRange const&, ValueRange const&) = default;
};

/// For each element of a tensor of extents `to`, row-major, the element of one of extents `from`
/// that broadcasting puts there.
[[nodiscard]] std::vector<std::int64_t> broadcast_elements(Extents const& from, Extents const& to);

/// Of a tensor of these extents, given element by element.
[[nodiscard]] ValueRange range_of_elements(Extents extents, std::vector<double> low,
                                           std::vector<double> high);

/// What a tensor of `extents` may hold where its broadcast must stay within `range`.
[[nodiscard]] ValueRange narrowed_to(ValueRange const& range, Extents const& extents);

/// What is in both; for all elements alike where the shapes do not broadcast.
[[nodiscard]] ValueRange intersection(ValueRange const& a, ValueRange const& b);

/// \param held  for each element of a result, row-major, the element of its operand that it holds,
///              or -1
/// \return what the operand may hold where the result must stay within `range`
[[nodiscard]] ValueRange moved_back(ValueRange const& range, Extents const& result,
                                    Extents const& operand, std::vector<std::int64_t> const& held);

/// `combine` takes least and greatest of `a` and of `b`, and gives those of the result.
/// \return empty where the shapes do not broadcast
template <class Combine>
std::optional<ValueRange> combined(ValueRange const& a, ValueRange const& b,
                                   Combine const& combine) {
    Extents extents(std::max(a.shape.size(), b.shape.size()), 1);
    for (auto const* shape : {&a.shape, &b.shape}) {
        for (std::size_t back = 1; back <= shape->size(); ++back) {
            auto& extent = extents[extents.size() - back];
            auto const own = (*shape)[shape->size() - back];
            if (own == 1) continue;
            if (extent != 1 && extent != own) return std::nullopt;
            extent = own;
        }
    }
    auto const of_a = broadcast_elements(a.shape, extents);
    auto const of_b = broadcast_elements(b.shape, extents);
    std::vector<double> low;
    std::vector<double> high;
    for (std::size_t i = 0; i < of_a.size(); ++i) {
        auto const k = static_cast<std::size_t>(of_a[i]);
        auto const l = static_cast<std::size_t>(of_b[i]);
        auto const [least, most] = combine(a.low[k], a.high[k], b.low[l], b.high[l]);
        low.push_back(least);
        high.push_back(most);
    }
    return range_of_elements(std::move(extents), std::move(low), std::move(high));
}

}  // namespace derate
