#include "calibration/diagnostics.hpp"

#include <gmock/gmock.h>

#include <array>
#include <cmath>

#include "statistics/mean_tests.hpp"

namespace derate {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct ModelResiduals {
    std::string model;
    std::vector<double> log_residuals;  // of its kernels, in order
};

struct Judged {
    Evidence evidence;
    CrossValidation predictions;
};

/// Convolutions of one curve, all measured at 1 ms, with the given log(measured / predicted).
Judged judged(std::vector<ModelResiduals> const& models) {
    Judged result;
    for (auto const& [name, residuals] : models) {
        CrossValidatedModel predicted{
            .model_index = static_cast<int>(result.evidence.models.size()),
            .model = name,
            .family = name,
        };
        EvidenceModel model{.name = name, .family = name};
        for (double const residual : residuals) {
            auto const index = static_cast<int>(result.evidence.cases.size());
            Subgraph subgraph{.type = OperationType::conv2d, .work = Flops{1e6 + index}};
            result.evidence.cases.push_back(
                {.subgraph = subgraph, .timing = Timing{.center_ms = 1, .mean_ms = 1}});
            predicted.kernels.push_back(
                {.case_index = index, .measured_ms = 1, .predicted_ms = std::exp(-residual)});
            model.cases.push_back(index);
        }
        result.predictions.models.push_back(std::move(predicted));
        result.evidence.models.push_back(std::move(model));
    }
    return result;
}

CurveDiagnostics only_curve(Judged const& given) {
    auto const diagnostics = diagnose(given.evidence, Calibration{}, given.predictions);
    EXPECT_EQ(diagnostics.curves.size(), 1U);
    return diagnostics.curves.at(0);
}

TEST(Diagnostics, NameTheKernelBeyondThreeSigma) {
    auto const curve = only_curve(judged({
        {"a", {0.01, -0.01, 0.01, -0.01, 0.01, -0.01}},
        {"b", {0.01, -0.01, 0.01, 0.90, -0.01, 0.01}},
    }));
    ASSERT_THAT(curve.outliers, ElementsAre(9));
    auto const& outlier = curve.kernels[9];
    EXPECT_THAT(outlier.source_subgraphs, ElementsAre("b/1/3"));
    EXPECT_EQ(outlier.case_index, 9);
    EXPECT_GT(outlier.standardised, 3);
}

TEST(Diagnostics, NoneOfTenKernelsCanBeAnOutlier) {  // with divisor n it would reach 3
    auto const curve = only_curve(judged({{"a", {0, 0, 0, 0, 0, 0, 0, 0, 0, 5}}}));
    EXPECT_THAT(curve.outliers, IsEmpty());
}

TEST(Diagnostics, SayWhichModelStandsApart) {
    std::vector<double> const like{0.01, -0.02, 0.03, 0.00, -0.01};
    std::vector<double> const shifted{0.21, 0.19, 0.24, 0.18};
    auto const consistency = only_curve(judged({{"like", like}, {"shifted", shifted}})).consistency;

    std::vector const groups{summarize(like), summarize(shifted)};
    EXPECT_NEAR(consistency.p_value.value(), one_way_analysis_of_variance(groups)->p_value, 1e-12);
    ASSERT_EQ(consistency.models.size(), 2U);
    EXPECT_EQ(consistency.models[0].model, "shifted");
    EXPECT_NEAR(consistency.models[0].mean_log_residual, 0.205, 1e-12);
    // Welch, and Holm over two models: the smaller p counts twice, the larger no less.
    double const welch = two_sample_t_test(like, shifted)->p_value;
    EXPECT_NEAR(consistency.models[0].p_value.value(), 2 * welch, 1e-9);
    EXPECT_NEAR(consistency.models[1].p_value.value(), 2 * welch, 1e-9);
}

/// The same with further models that contain the given cases of others.
Judged with_sharers(Judged given, int sharers, std::vector<int> const& cases) {
    for (int s = 0; s < sharers; ++s) {
        auto const name = "sharer" + std::to_string(s);
        CrossValidatedModel predicted{
            .model_index = static_cast<int>(given.evidence.models.size()),
            .model = name,
            .family = name,
        };
        EvidenceModel model{.name = name, .family = name};
        for (int const index : cases) {
            auto const& known = given.predictions.models;
            for (auto const& other : known) {
                for (auto const& kernel : other.kernels) {
                    if (kernel.case_index == index && predicted.kernels.size() < cases.size()) {
                        predicted.kernels.push_back(kernel);
                    }
                }
            }
            model.cases.push_back(index);
        }
        given.predictions.models.push_back(std::move(predicted));
        given.evidence.models.push_back(std::move(model));
    }
    return given;
}

// Two kernels that lie low and are in ten models are two kernels, not twenty: what is left says
// nothing of models that differ.
TEST(Diagnostics, ASharedKernelCountsOnce) {
    auto const alone = judged({{"a", {-0.3, -0.28, 0.1, -0.1}}, {"b", {0.12, -0.08, 0.02, 0.1}}});
    auto const shared = only_curve(with_sharers(alone, 10, {0, 1})).consistency;
    std::vector const own{summarize(std::array{0.1, -0.1}),
                          summarize(std::array{0.12, -0.08, 0.02, 0.1})};
    EXPECT_NEAR(shared.p_value.value(), one_way_analysis_of_variance(own)->p_value, 1e-9);
    EXPECT_GT(shared.p_value.value(), 0.3);
    // Welch of b: its four against the four it does not hold, each once.
    std::vector const others{-0.3, -0.28, 0.1, -0.1};
    std::vector const b{0.12, -0.08, 0.02, 0.1};
    double const welch = two_sample_t_test(b, others)->p_value;
    for (auto const& model : shared.models) {
        if (model.model != "b") continue;
        EXPECT_EQ(model.kernels, 4);
        EXPECT_GE(model.p_value.value(), welch);  // Holm over twelve models
        EXPECT_LE(model.p_value.value(), std::min(1.0, 12 * welch));
    }
    // Nothing but shared kernels: nothing to compare.
    auto const all_shared = only_curve(with_sharers(judged({{"a", {-0.3, 0.3, 0.1}}}), 1, {0, 1, 2}));
    EXPECT_FALSE(all_shared.consistency.p_value);
    EXPECT_FALSE(all_shared.variance.between_models);
}

// The same three kernels timed by two campaigns are three kernels, each with its mean residual.
TEST(Diagnostics, AKernelOfTwoCampaignsCountsOnce) {
    auto given = judged({{"a", {0.1, 0.2, 0.4}}, {"a", {0.3, 0.2, 0.6}}, {"b", {-0.1, 0.1, 0.0}}});
    given.evidence.models[1].campaign = 1;
    for (int i = 0; i < 6; ++i) {
        given.evidence.cases[static_cast<std::size_t>(i)].subgraph.descriptor =
            "kernel" + std::to_string(i % 3);
    }
    auto const consistency = only_curve(given).consistency;
    std::vector const groups{summarize(std::array{0.2, 0.2, 0.5}),
                             summarize(std::array{-0.1, 0.1, 0.0})};
    EXPECT_NEAR(consistency.p_value.value(), one_way_analysis_of_variance(groups)->p_value, 1e-9);
    ASSERT_EQ(consistency.models.size(), 2U);
    EXPECT_EQ(consistency.models[0].kernels, 3);
    EXPECT_NEAR(consistency.models[0].mean_log_residual, 0.3, 1e-9);
}

LaunchTimes launch(double lower, double upper) {
    return {.times_ms = summarize(std::array{lower, upper}),
            .median_ms = (lower + upper) / 2,
            .min_ms = lower,
            .max_ms = upper};
}

TEST(Diagnostics, SplitTheVarianceOfOneKernelsTime) {
    auto given = judged({{"a", {0.1, 0.3}}, {"b", {-0.1, -0.3}}});
    for (auto& kernel : given.evidence.cases) {
        kernel.timing->launches = {launch(0.85, 1.05), launch(0.95, 1.15)};
    }
    auto const budget = only_curve(given).variance;
    EXPECT_NEAR(budget.within_launch.value(), 0.02, 1e-12);      // of repetitions 0.1 about 1
    EXPECT_NEAR(budget.between_launches.value(), 0.005, 1e-12);  // of medians 0.95 and 1.05
    // Of the served time, the lesser of the launches' least 0.85 and 0.95: drawn anew, 3 of 4 times
    // 0.85; variance 3/16 of the squared distance, times k / (k - 1) = 2.
    double const noise = 3.0 / 8 * std::pow(std::log(0.95 / 0.85), 2);
    EXPECT_NEAR(budget.noise_of_mean.value(), noise, 0.05 * noise);
    // MS_within = 0.02, MS_between = 0.16: (0.16 - 0.02) / 2 and 0.02 less the noise.
    EXPECT_NEAR(budget.between_models.value(), 0.07, 1e-12);
    EXPECT_NEAR(budget.lack_of_fit.value(), 0.02 - noise, 0.05 * noise);
    EXPECT_NEAR(budget.total, 0.05, 1e-12);
}

TEST(Diagnostics, ImportedTimesTellNoLaunches) {
    auto const budget = only_curve(judged({{"a", {0.1, 0.3}}, {"b", {-0.1, -0.3}}})).variance;
    EXPECT_EQ(budget.between_launches, std::nullopt);
    EXPECT_EQ(budget.noise_of_mean, std::nullopt);
}

}  // namespace
}  // namespace derate
