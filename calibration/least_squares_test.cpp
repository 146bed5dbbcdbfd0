#include "calibration/least_squares.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <regex>
#include <sstream>

namespace derate {
namespace {

/// A data set of the NIST Statistical Reference Datasets, as published: certified values in the
/// head, data from line 61. https://www.itl.nist.gov/div898/strd/ (public domain, US government
/// work).
struct NistProblem {
    std::vector<std::vector<double>> starts{2};  // nonlinear only
    std::vector<double> certified;
    std::vector<double> certified_errors;
    double residual_sum_of_squares = 0;
    std::vector<double> response;
    std::vector<std::vector<double>> predictors;  // one row an observation
};

NistProblem read_nist(std::string const& name) {
    std::ifstream file{std::string{DERATE_TEST_DATA} + "/nist/" + name + ".dat"};
    EXPECT_TRUE(file) << name;
    std::regex const linear{R"(^\s*B\d+\s+(\S+)\s+(\S+)\s*$)"};
    std::regex const nonlinear{R"(^\s*b\d+\s*=\s*(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s*$)"};
    std::regex const linear_residual{R"(^\s*Residual\s+\d+\s+(\S+)\s+(\S+)\s*$)"};
    std::regex const nonlinear_residual{R"(^\s*Residual Sum of Squares:\s+(\S+)\s*$)"};
    NistProblem problem;
    std::string line;
    for (int number = 1; std::getline(file, line); ++number) {
        std::smatch match;
        if (number > 60) {
            std::istringstream values{line};
            std::vector<double> row;
            for (double value = 0; values >> value;) row.push_back(value);
            if (row.size() < 2) continue;
            problem.response.push_back(row.front());
            problem.predictors.emplace_back(row.begin() + 1, row.end());
        } else if (std::regex_match(line, match, linear)) {
            problem.certified.push_back(std::stod(match[1]));
            problem.certified_errors.push_back(std::stod(match[2]));
        } else if (std::regex_match(line, match, nonlinear)) {
            problem.starts[0].push_back(std::stod(match[1]));
            problem.starts[1].push_back(std::stod(match[2]));
            problem.certified.push_back(std::stod(match[3]));
            problem.certified_errors.push_back(std::stod(match[4]));
        } else if (std::regex_match(line, match, linear_residual) ||
                   std::regex_match(line, match, nonlinear_residual)) {
            problem.residual_sum_of_squares = std::stod(match[1]);
        }
    }
    return problem;
}

/// Number of decimal digits that agree, at most 15. Where the certified value is 0, of the value.
double agreeing_digits(double value, double certified) {
    double const error = std::abs(value - certified) / (certified == 0 ? 1 : std::abs(certified));
    return error == 0 ? 15 : std::min(15.0, -std::log10(error));
}

// ---------------------------------------------------------------------------------------------
// By hand

TEST(LinearLeastSquares, StraightLineThroughThreePoints) {
    // y = 1, 2, 4 at x = 0, 1, 2: slope 3/2, intercept 5/6, residuals 1/6, -1/3, 1/6.
    std::vector<long double> const design{1, 0, 1, 1, 1, 2};
    auto const fit = linear_least_squares(design, std::array{1.0, 2.0, 4.0});

    EXPECT_NEAR(fit.parameters[0], 5.0 / 6, 1e-15);
    EXPECT_NEAR(fit.parameters[1], 1.5, 1e-15);
    EXPECT_NEAR(fit.chi_squared, 1.0 / 6, 1e-15);
    EXPECT_EQ(fit.degrees_of_freedom, 1);
    EXPECT_NEAR(fit.standard_errors()[1], std::sqrt(1.0 / 12), 1e-15);
    EXPECT_NEAR(fit.packed_covariance[packed_index(0, 1)], -1.0 / 12, 1e-15);
}

TEST(LinearLeastSquares, WeightsAreRelative) {
    std::vector<long double> const design{1, 0, 1, 1, 1, 2};
    std::array const response{1.0, 2.0, 4.0};
    auto const once = linear_least_squares(design, response, std::array{1.0, 2.0, 3.0});
    auto const tenfold = linear_least_squares(design, response, std::array{10.0, 20.0, 30.0});

    for (std::size_t i = 0; i < 2; ++i) {
        EXPECT_NEAR(once.parameters[i], tenfold.parameters[i], 1e-14);
        EXPECT_NEAR(once.standard_errors()[i], tenfold.standard_errors()[i], 1e-14);
    }
}

TEST(LinearLeastSquares, HeavyWeightDrawsTheFit) {
    std::vector<long double> const design{1, 1};
    auto const fit = linear_least_squares(design, std::array{0.0, 10.0}, std::array{1.0, 4.0});
    EXPECT_NEAR(fit.parameters[0], 8, 1e-15);
}

TEST(LinearLeastSquares, SaysWhyThereIsNoFit) {
    std::vector<long double> const dependent{1, 2, 2, 4, 3, 6};
    std::array const response{1.0, 2.0, 4.0};
    EXPECT_THROW((void)linear_least_squares(dependent, response), FitFailure);
    EXPECT_THROW((void)linear_least_squares(dependent, std::array{1.0}), FitFailure);
    EXPECT_THROW((void)linear_least_squares(dependent, response, std::array{1.0, 0.0, 1.0}),
                 std::invalid_argument);
}

TEST(NonlinearLeastSquares, EqualsTheLinearFitOfALinearFunction) {
    std::array const x{0.0L, 1.0L, 2.0L, 5.0L};
    std::array const y{1.0, 2.0, 4.0, 6.0};
    std::array const weights{1.0, 3.0, 2.0, 0.5};
    std::vector<long double> design;
    for (auto const value : x) design.insert(design.end(), {1, value});
    auto const linear = linear_least_squares(design, y, weights);
    auto const nonlinear =
        nonlinear_least_squares([&](auto b, std::size_t i) { return b[0] + b[1] * x[i]; },
                                std::array{0.0, 0.0}, y, weights);
    for (std::size_t i = 0; i < 2; ++i) {
        EXPECT_NEAR(nonlinear.parameters[i], linear.parameters[i], 1e-12);
        EXPECT_NEAR(nonlinear.standard_errors()[i], linear.standard_errors()[i], 1e-10);
    }
}

// ---------------------------------------------------------------------------------------------
// NIST, linear: at least 8 digits of parameters and of their standard deviations

struct LinearCase {
    char const* name;
    int degree;  // of the polynomial; 0: the predictors are the columns
    bool intercept;
};

class NistLinear : public testing::TestWithParam<LinearCase> {};

TEST_P(NistLinear, AgreesToEightDigits) {
    auto const [name, degree, intercept] = GetParam();
    auto const problem = read_nist(name);
    std::vector<long double> design;
    for (auto const& row : problem.predictors) {
        if (intercept) design.push_back(1);
        for (double const x : row) {
            long double power = 1;
            for (int exponent = 1; exponent <= std::max(degree, 1); ++exponent) {
                power *= x;
                design.push_back(power);
            }
        }
    }
    ASSERT_FALSE(problem.certified.empty());

    auto const fit = linear_least_squares(design, problem.response);

    ASSERT_EQ(fit.parameters.size(), problem.certified.size());
    for (std::size_t i = 0; i < fit.parameters.size(); ++i) {
        EXPECT_GE(agreeing_digits(fit.parameters[i], problem.certified[i]), 8) << "B" << i;
        if (problem.residual_sum_of_squares > 0) {
            EXPECT_GE(agreeing_digits(fit.standard_errors()[i], problem.certified_errors[i]), 8)
                << "error of B" << i;
        }
    }
    if (problem.residual_sum_of_squares > 0) {  // Wampler1 and 2 lie on their polynomial exactly
        EXPECT_GE(agreeing_digits(fit.chi_squared, problem.residual_sum_of_squares), 8);
    } else {
        EXPECT_LT(fit.chi_squared, 1e-18);
    }
}

INSTANTIATE_TEST_SUITE_P(
    StRD, NistLinear,
    testing::Values(LinearCase{"Norris", 1, true}, LinearCase{"Pontius", 2, true},
                    LinearCase{"NoInt1", 1, false}, LinearCase{"NoInt2", 1, false},
                    LinearCase{"Longley", 0, true}, LinearCase{"Wampler1", 5, true},
                    LinearCase{"Wampler2", 5, true}, LinearCase{"Wampler3", 5, true},
                    LinearCase{"Wampler4", 5, true}, LinearCase{"Wampler5", 5, true},
                    LinearCase{"Filip", 10, true}),
    [](auto const& tested) { return tested.param.name; });

// ---------------------------------------------------------------------------------------------
// NIST, nonlinear: at least 6 digits from both published starts

using Parameters = std::span<long double const>;

struct NonlinearCase {
    char const* name;
    long double (*function)(Parameters b, long double x);
};

class NistNonlinear : public testing::TestWithParam<NonlinearCase> {};

TEST_P(NistNonlinear, AgreesToSixDigitsFromBothStarts) {
    auto const& [name, function] = GetParam();
    auto const problem = read_nist(name);
    ASSERT_FALSE(problem.certified.empty());
    auto const model = [&](Parameters b, std::size_t i) {
        return function(b, problem.predictors[i][0]);
    };
    for (auto const& start : problem.starts) {
        auto const fit = nonlinear_least_squares(model, start, problem.response);

        for (std::size_t i = 0; i < start.size(); ++i) {
            EXPECT_GE(agreeing_digits(fit.parameters[i], problem.certified[i]), 6)
                << "b" << i + 1 << " from " << start[0];
            EXPECT_GE(agreeing_digits(fit.standard_errors()[i], problem.certified_errors[i]), 6)
                << "error of b" << i + 1 << " from " << start[0];
        }
        EXPECT_GE(agreeing_digits(fit.chi_squared, problem.residual_sum_of_squares), 6);
    }
}

INSTANTIATE_TEST_SUITE_P(
    StRD, NistNonlinear,
    testing::Values(
        NonlinearCase{"Misra1a",
                      [](Parameters b, long double x) { return b[0] * (1 - std::exp(-b[1] * x)); }},
        NonlinearCase{"Misra1b",
                      [](Parameters b, long double x) {
                          return b[0] * (1 - std::pow(1 + b[1] * x / 2, -2.0L));
                      }},
        NonlinearCase{
            "Chwirut2",
            [](Parameters b, long double x) { return std::exp(-b[0] * x) / (b[1] + b[2] * x); }},
        NonlinearCase{"Lanczos3",
                      [](Parameters b, long double x) {
                          return b[0] * std::exp(-b[1] * x) + b[2] * std::exp(-b[3] * x) +
                                 b[4] * std::exp(-b[5] * x);
                      }},
        NonlinearCase{"DanWood",
                      [](Parameters b, long double x) { return b[0] * std::pow(x, b[1]); }},
        NonlinearCase{"Gauss1",
                      [](Parameters b, long double x) {
                          auto const bell = [x](long double center, long double width) {
                              return std::exp(-(x - center) * (x - center) / (width * width));
                          };
                          return b[0] * std::exp(-b[1] * x) + b[2] * bell(b[3], b[4]) +
                                 b[5] * bell(b[6], b[7]);
                      }},
        NonlinearCase{"Hahn1",
                      [](Parameters b, long double x) {
                          return (b[0] + x * (b[1] + x * (b[2] + x * b[3]))) /
                                 (1 + x * (b[4] + x * (b[5] + x * b[6])));
                      }},
        NonlinearCase{"Thurber",
                      [](Parameters b, long double x) {
                          return (b[0] + x * (b[1] + x * (b[2] + x * b[3]))) /
                                 (1 + x * (b[4] + x * (b[5] + x * b[6])));
                      }},
        NonlinearCase{
            "Rat42",
            [](Parameters b, long double x) { return b[0] / (1 + std::exp(b[1] - b[2] * x)); }},
        NonlinearCase{"Rat43",
                      [](Parameters b, long double x) {
                          return b[0] / std::pow(1 + std::exp(b[1] - b[2] * x), 1 / b[3]);
                      }},
        NonlinearCase{"MGH09",
                      [](Parameters b, long double x) {
                          return b[0] * (x * x + x * b[1]) / (x * x + x * b[2] + b[3]);
                      }},
        NonlinearCase{"MGH10", [](Parameters b,
                                  long double x) { return b[0] * std::exp(b[1] / (x + b[2])); }},
        NonlinearCase{"MGH17",
                      [](Parameters b, long double x) {
                          return b[0] + b[1] * std::exp(-x * b[3]) + b[2] * std::exp(-x * b[4]);
                      }},
        NonlinearCase{"Eckerle4",
                      [](Parameters b, long double x) {
                          long double const z = (x - b[2]) / b[1];
                          return b[0] / b[1] * std::exp(-0.5L * z * z);
                      }},
        NonlinearCase{"BoxBOD",
                      [](Parameters b, long double x) { return b[0] * (1 - std::exp(-b[1] * x)); }},
        NonlinearCase{
            "Bennett5",
            [](Parameters b, long double x) { return b[0] * std::pow(b[1] + x, -1 / b[2]); }}),
    [](auto const& tested) { return tested.param.name; });

}  // namespace
}  // namespace derate
