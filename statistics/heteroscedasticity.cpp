#include "statistics/heteroscedasticity.hpp"

#include <stdexcept>
#include <vector>

#include "statistics/distributions.hpp"
#include "statistics/sample_summary.hpp"

namespace derate {

std::optional<BreuschPagan> breusch_pagan(std::span<double const> residuals,
                                          std::span<double const> regressor) {
    if (residuals.size() != regressor.size()) {
        throw std::invalid_argument{"breusch_pagan: one regressor value per residual"};
    }
    if (residuals.size() < 4) return std::nullopt;
    std::vector<double> squares;
    for (double const e : residuals) squares.push_back(e * e);
    auto const of_squares = summarize(squares);
    auto const of_regressor = summarize(regressor);
    if (!(of_squares.sum_squared_deviations > 0) || !(of_regressor.sum_squared_deviations > 0)) {
        return std::nullopt;
    }

    double cross = 0;
    for (std::size_t i = 0; i < squares.size(); ++i) {
        cross += (squares[i] - of_squares.mean) * (regressor[i] - of_regressor.mean);
    }
    double const r_squared =
        cross * cross / (of_squares.sum_squared_deviations * of_regressor.sum_squared_deviations);
    double const statistic = static_cast<double>(squares.size()) * r_squared;
    return BreuschPagan{
        .statistic = statistic,
        .p_value = chi_squared_survival(statistic, 1),
        .slope = cross / of_regressor.sum_squared_deviations,
    };
}

}  // namespace derate
