#include "calibration/model_outcome.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <random>

#include "ctest/timings.hpp"

namespace derate {
namespace {

using testing::HasSubstr;
using testing::Not;

Timing whole_of(std::vector<double> const& launches, bool numbered = true) {
    std::vector<LaunchTimes> all;
    for (double const ms : launches) {
        auto const number = static_cast<int>(all.size());
        all.push_back(launch_of(ms, numbered ? std::optional{number} : std::nullopt));
    }
    return timing_of(std::move(all));
}

Evidence of_wholes(std::vector<Timing> const& wholes, int models_of_a_family = 1) {
    Evidence evidence;
    evidence.campaigns = {{.id = "a"}};
    for (std::size_t i = 0; i < wholes.size(); ++i) {
        evidence.models.push_back(
            {.name = "m" + std::to_string(i),
             .family = "f" + std::to_string(i / static_cast<std::size_t>(models_of_a_family)),
             .whole_model = wholes[i]});
    }
    return evidence;
}

double floor_of(std::vector<double> const& launches) {
    return noise_floor(of_wholes({whole_of(launches)}))->percent / 100;
}

TEST(NoiseFloor, ComparesHalvesOfEqualSizeByHand) {
    double const e = std::exp(1);
    EXPECT_NEAR(floor_of({1, e}), 1, 1e-12);
    // Halves of one launch: 1 and 1, 1 and e, 1 and e.
    EXPECT_NEAR(floor_of({1, e, 1}), 2.0 / 3, 1e-12);
    // Halves of two serve their least: e and e^2 against 1 and 1, and twice 1 against 1.
    EXPECT_NEAR(floor_of({1, e, e * e, 1}), 1.0 / 3, 1e-12);
    // Without noise no number of launches makes any.
    for (std::size_t launches : {2U, 3U, 5U, 7U, 10U, 11U, 14U, 15U}) {
        EXPECT_EQ(floor_of(std::vector(launches, 2.0)), 0) << launches;
    }
}

// |log x - log y| of two normal logarithms of deviation s is 2 s / root pi on average. With an odd
// number of launches, a half of three would serve another quantile than one of two.
TEST(NoiseFloor, OfAnOddNumberIsTheOneOfItsHalves) {
    std::mt19937_64 random{7};
    std::lognormal_distribution<double> time{0, 0.05};
    auto const floor_of_many = [&](int launches) {
        std::vector<Timing> wholes;
        for (int m = 0; m < 1500; ++m) {
            std::vector<double> times;
            for (int k = 0; k < launches; ++k) times.push_back(time(random));
            wholes.push_back(whole_of(times));
        }
        auto totals = of_wholes(wholes);
        for (auto& model : totals.models) model.family = "one";  // spares the jackknife
        for (auto& model : totals.models) {
            for (auto& launch : model.whole_model->launches) launch.launch.reset();
        }
        return noise_floor(totals)->percent / 100;
    };
    double const of_one = 2 * 0.05 / std::sqrt(M_PI);
    EXPECT_NEAR(floor_of_many(2), of_one, 0.04 * of_one);
    EXPECT_NEAR(floor_of_many(3), of_one, 0.04 * of_one);
    double const of_two = floor_of_many(4);
    EXPECT_NEAR(floor_of_many(5), of_two, 0.05 * of_two);
}

// Twelve launches were looked at, in the order of their contents: these two were not among them.
TEST(NoiseFloor, OfManyLaunchesLeavesNoneOut) {
    std::vector<double> times(12, 1.0);
    EXPECT_EQ(floor_of(times), 0);
    for (int i = 0; i < 10; ++i) times.push_back(2.0);
    // Halves of eleven serve their fastest six: 2 only where a half drew more than five twos.
    EXPECT_GT(floor_of(times), 0.05);
    EXPECT_LT(floor_of(times), 0.35);
}

TEST(NoiseFloor, SaysWhatItRestsOn) {
    auto const numbered = noise_floor(of_wholes({whole_of({1, 1.1, 1.2}), whole_of({2, 2.1, 2.3})}));
    EXPECT_FALSE(numbered->approximate);
    EXPECT_EQ(numbered->models, 2);
    EXPECT_THAT(basis_of(*numbered),
                testing::StartsWith("between halves of one campaign's launches; 95 % interval "));
    auto const older =
        noise_floor(of_wholes({whole_of({1, 1.1, 1.2}, false), whole_of({2, 2.1, 2.3}, false)}));
    EXPECT_TRUE(older->approximate);
    EXPECT_DOUBLE_EQ(older->percent, numbered->percent);
    EXPECT_THAT(basis_of(*older), HasSubstr("launches that carry no numbers, so approximate"));
    // One family and two launches tell nothing of the floor's own error.
    EXPECT_FALSE(noise_floor(of_wholes({whole_of({1, 1.1})}))->interval_percent);
    EXPECT_THAT(basis_of(*noise_floor(of_wholes({whole_of({1, 1.1})}))), Not(HasSubstr("interval")));
    EXPECT_FALSE(noise_floor(of_wholes({whole_of({1})})));
}

// Campaigns: 1.0 and 1.1 differ by 0.1 / 1.05, 2 and 2 by nothing.
TEST(NoiseFloor, OfCampaignsComparesTheSameModel) {
    auto evidence = of_wholes({whole_of({1.0}), whole_of({2.0}), whole_of({1.1}), whole_of({2.0})});
    evidence.campaigns.push_back({.id = "b"});
    for (std::size_t i = 2; i < 4; ++i) {
        evidence.models[i].name = evidence.models[i - 2].name;
        evidence.models[i].family = evidence.models[i - 2].family;
        evidence.models[i].campaign = 1;
    }
    auto const floor = noise_floor(evidence).value();
    EXPECT_EQ(floor.basis, NoiseFloor::Basis::repeated_campaigns);
    EXPECT_NEAR(floor.percent, 50 * 0.1 / 1.05, 1e-12);
    EXPECT_FALSE(floor.approximate);
}

/// Models of six families timed in the same eight launches, which have a part of the noise in common.
Evidence corpus(std::mt19937_64& random, double common, double own) {
    std::normal_distribution<double> normal;
    std::vector<double> shift;
    for (int k = 0; k < 8; ++k) shift.push_back(common * normal(random));
    std::vector<Timing> wholes;
    for (int m = 0; m < 12; ++m) {
        std::vector<double> times;
        for (int k = 0; k < 8; ++k) {
            times.push_back(std::exp(shift[static_cast<std::size_t>(k)] + own * normal(random)));
        }
        wholes.push_back(whole_of(times));
    }
    return of_wholes(wholes, 2);
}

// The interval holds the floor that many corpora have on average, whether launches move all models
// together or each by itself.
TEST(NoiseFloor, StatesItsOwnUncertainty) {
    for (auto const& [common, own] : {std::pair{0.0, 0.03}, {0.03, 0.01}, {0.02, 0.02}}) {
        std::mt19937_64 random{11};
        double truth = 0;
        std::vector<NoiseFloor> floors;
        constexpr int corpora = 100;
        for (int i = 0; i < corpora; ++i) {
            floors.push_back(noise_floor(corpus(random, common, own)).value());
            truth += floors.back().percent / corpora;
        }
        int covered = 0;
        double widest = 0;
        for (auto const& floor : floors) {
            covered += floor.interval_percent->contains(truth) ? 1 : 0;
            widest = std::max(widest, floor.interval_percent->upper / floor.interval_percent->lower);
        }
        RecordProperty("covered_" + std::to_string(common), covered);
        RecordProperty("widest_" + std::to_string(common), std::to_string(widest));
        EXPECT_GE(covered, 0.88 * corpora) << common << " " << own;
        EXPECT_LT(widest, 2000) << common << " " << own;
        if (common == 0) {
            EXPECT_LT(widest, 6);
        }
    }
}

}  // namespace
}  // namespace derate
