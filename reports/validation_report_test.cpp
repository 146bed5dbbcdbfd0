#include "reports/validation_report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <vector>

namespace derate {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(ValidationReport, PrintsNoIntervalThatNobodyCanUse) {
    ModelOutcome wide{.model = "wide",
                      .family = "one",
                      .measured_ms = 10,
                      .predicted_ms = 10,
                      .interval = {.lower = 0.9, .upper = 101},  // a factor of 10.6 either way
                      .log_variance = 1};
    auto narrow = wide;
    narrow.model = "narrow";
    narrow.interval = {.lower = 1.1, .upper = 91};  // 9.1
    Validation const validation{.hardware_id = "cpu",
                                .outcomes = {wide, narrow},
                                .decompositions = std::vector<ErrorDecomposition>(2)};

    auto const text = validation_text(validation);
    EXPECT_THAT(text, HasSubstr("not known"));
    EXPECT_THAT(text, Not(HasSubstr("0.900 to 101")));
    EXPECT_THAT(text, HasSubstr("1.10 to 91.0"));
    auto const models = validation_json(validation).at("models");
    EXPECT_TRUE(models.at(0).at("interval_lower_ms").is_null());
    EXPECT_TRUE(models.at(0).at("interval_upper_ms").is_null());
    EXPECT_EQ(models.at(1).at("interval_upper_ms"), 91);
}

}  // namespace
}  // namespace derate
