#include "workloads/unknown_work.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "workloads/descriptor.hpp"

namespace derate {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

UnknownWork unknown(std::string const& descriptor) {
    return unknown_work(parse_descriptor(descriptor));
}

TEST(UnknownWork, OfKnownOperatorsIsNone) {
    auto const result = unknown("x0:float32[4,8] | t0:float32[4,8]=aten.relu(self=x0) | t0");
    EXPECT_THAT(result.operators, IsEmpty());
    EXPECT_EQ(result.possible_share_of_work, 0);
    EXPECT_FALSE(result.may_be_a_good_part());
}

TEST(UnknownWork, OfExpertsIsThatOfAllTheirWeights) {
    // 2 x 4 rows x (2 x 16 x 8) elements = 2048 beside a router of 2 x 4 x 8 x 2 = 128.
    auto const result = unknown(
        "x0:float32[4,8] w0:float32[2,8] w1:float32[2,16,8] | "
        "t0:float32[4,2]=aten.linear(input=x0,weight=w0) | "
        "t1:float32[4,8]=own.experts(x=x0,routes=t0,weights=w1) | t1");
    EXPECT_THAT(result.operators, ElementsAre("own.experts"));
    EXPECT_EQ(result.calls, 1);
    EXPECT_EQ(result.share_of_calls, 0.5);
    EXPECT_DOUBLE_EQ(result.possible_share_of_work, 2048.0 / (2048 + 128));
    // 128 + 64 + 32 read and returned by the router, 128 + 32 + 1024 + 128 by the experts.
    EXPECT_DOUBLE_EQ(result.share_of_bytes, 1312.0 / (1312 + 224));
    EXPECT_TRUE(result.may_be_a_good_part());
}

TEST(UnknownWork, OfOneTensorIsThatOfASquareMatrix) {
    // 2 x 10 x 10 beside 2 x 1 x 100 x 100.
    auto const result = unknown(
        "x0:float32[1,100] w0:float32[100,100] x1:float32[1,10] | "
        "t0:float32[1,100]=aten.linear(input=x0,weight=w0) | "
        "t1:float32[1,10]=own.wavelet(x=x1) | t0,t1");
    EXPECT_DOUBLE_EQ(result.possible_share_of_work, 200.0 / (200 + 20000));
    EXPECT_FALSE(result.may_be_a_good_part());
}

TEST(UnknownWork, OfAProgramThatCallsNothingIsNone) {
    auto const result = unknown("x0:float32[4,8] | x0");
    EXPECT_EQ(result.calls, 0);
    EXPECT_EQ(result.share_of_calls, 0);
    EXPECT_EQ(result.share_of_bytes, 0);
    EXPECT_EQ(result.possible_share_of_work, 0);
}

}  // namespace
}  // namespace derate
