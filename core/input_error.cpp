#include "core/input_error.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

namespace derate {
namespace {

std::size_t levenshtein_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i + 1;
        for (std::size_t j = 0; j < b.size(); ++j) {
            std::size_t const substituted = diagonal + (a[i] == b[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({substituted, row[j] + 1, diagonal + 1});
        }
    }
    return row.back();
}

}  // namespace

std::string nearest_name(std::string_view given, std::span<std::string const> candidates) {
    std::string_view best;
    std::size_t best_distance = 0;
    for (auto const& candidate : candidates) {
        auto const distance = levenshtein_distance(given, candidate);
        if (best.empty() || distance < best_distance) {
            best = candidate;
            best_distance = distance;
        }
    }
    bool const near = 3 * best_distance <= std::max(best.size(), given.size());
    return near ? std::string{best} : std::string{};
}

}  // namespace derate
