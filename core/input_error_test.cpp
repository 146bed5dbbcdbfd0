#include "core/input_error.hpp"

#include <gtest/gtest.h>

#include <array>

namespace derate {
namespace {

TEST(InputError, ReadsWhereProblemAndRequirement) {
    EXPECT_STREQ(InputError("a.json#/x", "got -1", "must be positive").what(),
                 "a.json#/x: got -1 (must be positive)");
}

TEST(NearestName, FindsTheNameOneLetterAway) {
    std::array<std::string, 3> const names{"resnet18", "resnet50", "vgg16"};
    EXPECT_EQ(nearest_name("resnet5O", names), "resnet50");
    EXPECT_EQ(nearest_name("vg16", names), "vgg16");
}

TEST(NearestName, IsSilentWhenNothingIsNear) {
    std::array<std::string, 2> const names{"resnet18", "vgg16"};
    EXPECT_EQ(nearest_name("whisper", names), "");
    EXPECT_EQ(nearest_name("x", std::span<std::string const>{}), "");
}

}  // namespace
}  // namespace derate
