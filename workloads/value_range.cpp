#include "workloads/value_range.hpp"

#include <cmath>
#include <utility>

namespace derate {
namespace {

std::size_t count_of(Extents const& extents) {
    std::size_t count = 1;
    for (auto const extent : extents) count *= static_cast<std::size_t>(extent);
    return count;
}

}  // namespace

bool ValueRange::is_unbounded() const {
    for (std::size_t i = 0; i < low.size(); ++i) {
        if (std::isfinite(low[i]) || std::isfinite(high[i])) return false;
    }
    return true;
}

bool ValueRange::is_empty(bool of_floats) const {
    for (std::size_t i = 0; i < low.size(); ++i) {
        if (of_floats ? low[i] > high[i] : std::ceil(low[i]) > std::floor(high[i])) return true;
    }
    return false;
}

ValueRange ValueRange::in_one() const {
    return of(*std::ranges::max_element(low), *std::ranges::min_element(high));
}

std::vector<std::int64_t> broadcast_elements(Extents const& from, Extents const& to) {
    // The step of `from` along each dimension of `to`: 0 where it is broadcast.
    std::vector<std::int64_t> steps(to.size(), 0);
    std::int64_t stride = 1;
    for (std::size_t back = 1; back <= std::min(from.size(), to.size()); ++back) {
        auto const extent = from[from.size() - back];
        if (extent != 1) steps[to.size() - back] = stride;
        stride *= extent;
    }
    std::vector<std::int64_t> elements(count_of(to));
    Extents at(to.size(), 0);
    std::int64_t element = 0;
    for (auto& place : elements) {
        place = element;
        for (std::size_t d = to.size(); d-- > 0;) {
            element += steps[d];
            if (++at[d] < to[d]) break;
            element -= steps[d] * to[d];
            at[d] = 0;
        }
    }
    return elements;
}

ValueRange range_of_elements(Extents extents, std::vector<double> low, std::vector<double> high) {
    if (low.empty()) return {};
    std::size_t inner = 1;
    for (std::size_t d = extents.size(); d-- > 0;) {
        auto const extent = static_cast<std::size_t>(extents[d]);
        auto const whole = inner * extent;
        bool varies = false;
        for (std::size_t i = 0; i < low.size() && !varies; ++i) {
            auto const first = i - i % whole + i % inner;
            varies = low[i] != low[first] || high[i] != high[first];
        }
        if (varies) {
            inner = whole;
            continue;
        }
        auto const keep_first = [&](std::vector<double>& list) {
            std::vector<double> kept;
            for (std::size_t i = 0; i < list.size(); ++i) {
                if (i % whole < inner) kept.push_back(list[i]);
            }
            list = std::move(kept);
        };
        keep_first(low);
        keep_first(high);
        extents[d] = 1;
    }
    auto const leading = std::ranges::find_if(extents, [](auto extent) { return extent != 1; });
    extents.erase(extents.begin(), leading);
    return {.shape = std::move(extents), .low = std::move(low), .high = std::move(high)};
}

ValueRange intersection(ValueRange const& a, ValueRange const& b) {
    auto const both = [](double a_low, double a_high, double b_low, double b_high) {
        return std::pair{std::max(a_low, b_low), std::min(a_high, b_high)};
    };
    auto const exact = combined(a, b, both);
    return exact ? *exact : *combined(a.in_one(), b.in_one(), both);
}

ValueRange narrowed_to(ValueRange const& range, Extents const& extents) {
    Extents kept(range.shape.size(), 1);
    for (std::size_t back = 1; back <= kept.size(); ++back) {
        auto const wanted = range.shape[kept.size() - back];
        auto const own = back <= extents.size() ? extents[extents.size() - back] : 1;
        if (wanted != 1 && own != 1 && wanted != own) return range.in_one();
        if (own != 1) kept[kept.size() - back] = wanted;
    }
    if (kept == range.shape) return range;
    return moved_back(range, range.shape, kept, broadcast_elements(kept, range.shape));
}

ValueRange moved_back(ValueRange const& range, Extents const& result, Extents const& operand,
                      std::vector<std::int64_t> const& held) {
    ValueRange const anything;
    std::vector<double> low(count_of(operand), anything.low.front());
    std::vector<double> high(count_of(operand), anything.high.front());
    auto const bounds = broadcast_elements(range.shape, result);
    for (std::size_t i = 0; i < held.size(); ++i) {
        if (held[i] < 0) continue;
        auto const element = static_cast<std::size_t>(held[i]);
        auto const bound = static_cast<std::size_t>(bounds[i]);
        low[element] = std::max(low[element], range.low[bound]);
        high[element] = std::min(high[element], range.high[bound]);
    }
    return range_of_elements(operand, std::move(low), std::move(high));
}

}  // namespace derate
