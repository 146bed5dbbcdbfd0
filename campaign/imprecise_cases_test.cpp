#include "campaign/imprecise_cases.hpp"

#include <gtest/gtest.h>

#include "campaign/measurement_of_samples.hpp"

namespace derate {
namespace {

/// Launches as given, one repetition each.
Repetitions launches_of(std::vector<double> const& times) {
    Repetitions repetitions;
    for (std::size_t i = 0; i < times.size(); ++i) {
        repetitions[static_cast<int>(i)] = {{times[i]}, {true}};
    }
    return repetitions;
}

CampaignSettings one_model() {
    CampaignSettings settings;
    settings.models = {{.name = "m"}};
    return settings;
}

CampaignResult three_cases() {
    CampaignResult result;
    for (auto const* key : {"tight", "loose", "absent"}) {
        result.cases.push_back({.key = key, .name = std::string{"conv2d/"} + key});
    }
    result.samples.isolated["tight"] = launches_of({6, 6, 6});
    // Served: 1.9, of 27 draws with replacement 1.8 to 2.2.
    result.samples.isolated["loose"] = launches_of({1.8, 2.0, 2.2});
    result.stop_reasons = {{"tight", StopReason::precise},
                           {"loose", StopReason::noise_floor},
                           {"absent", StopReason::failed}};
    result.samples.failures["absent"] = "no memory";
    return result;
}

TEST(ImpreciseCases, NamesWhatPreciseShareLeavesOut) {
    auto const result = three_cases();
    auto const found = imprecise_cases(result, one_model(), 0.03);
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(found[0].key, "loose");
    EXPECT_EQ(found[0].model, "m/b1");
    EXPECT_EQ(found[0].half_width,
              relative_half_width(result.samples.isolated.at("loose")));
    EXPECT_GT(found[0].half_width, 0.03);
    EXPECT_DOUBLE_EQ(found[0].share_of_time, 1.9 / 7.9);
    EXPECT_DOUBLE_EQ(precise_share(result, 0.03), 1 - found[0].share_of_time);
    EXPECT_EQ(found[1].key, "absent");
    EXPECT_EQ(found[1].time_ms, std::nullopt);
}

TEST(ImpreciseCases, EachHasItsReason) {
    auto const found = imprecise_cases(three_cases(), one_model(), 0.03);
    EXPECT_EQ(reason_text(found[0]), "noise_floor: 3 launches show a spread that no more will mend");
    EXPECT_EQ(reason_text(found[1]), "failed: no memory");
}

TEST(ImpreciseCases, ModelThatCouldNotBeLoadedIsTheReasonOfItsCases) {
    auto result = three_cases();
    result.samples.failures = {{"m/b1", "too large"}};
    EXPECT_EQ(reason_text(imprecise_cases(result, one_model(), 0.03)[1]), "failed: too large");
}

TEST(ImpreciseCases, TwoSpeedsAreNamed) {
    auto result = three_cases();
    result.stop_reasons["loose"] = StopReason::budget;
    result.samples.isolated["loose"] =
        launches_of({1.0, 1.001, 1.002, 1.003, 1.004, 1.2, 1.201, 1.202, 1.203, 1.204});
    EXPECT_EQ(reason_text(imprecise_cases(result, one_model(), 0.03)[0]),
              "budget: the time was spent after 10 launches; two speeds, 1 and 1.2 ms");
}

}  // namespace
}  // namespace derate
