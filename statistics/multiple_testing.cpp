#include "statistics/multiple_testing.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace derate {
namespace {

std::vector<std::size_t> ascending_order(std::span<double const> p_values) {
    for (double const p : p_values) {
        if (!(p >= 0 && p <= 1)) throw std::invalid_argument{"p-values lie between 0 and 1"};
    }
    std::vector<std::size_t> order(p_values.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, {}, [&](std::size_t i) { return p_values[i]; });
    return order;
}

}  // namespace

std::vector<double> holm_adjusted(std::span<double const> p_values) {
    auto const order = ascending_order(p_values);
    std::vector<double> adjusted(p_values.size());
    double largest = 0;
    for (std::size_t rank = 0; rank < order.size(); ++rank) {
        auto const remaining = static_cast<double>(order.size() - rank);
        largest = std::max(largest, std::min(1.0, remaining * p_values[order[rank]]));
        adjusted[order[rank]] = largest;
    }
    return adjusted;
}

std::vector<double> benjamini_hochberg_adjusted(std::span<double const> p_values) {
    auto const order = ascending_order(p_values);
    auto const tests = static_cast<double>(order.size());
    std::vector<double> adjusted(p_values.size());
    double smallest = 1;
    for (std::size_t rank = order.size(); rank-- > 0;) {
        smallest =
            std::min(smallest, p_values[order[rank]] * tests / static_cast<double>(rank + 1));
        adjusted[order[rank]] = smallest;
    }
    return adjusted;
}

}  // namespace derate
