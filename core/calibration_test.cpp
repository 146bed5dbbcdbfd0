#include "core/calibration.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace derate {
namespace {

Calibration with_points(std::vector<std::string> const& sources) {
    Calibration calibration;
    auto& curve = calibration.curves.emplace_back();
    for (auto const& source : sources) {
        curve.data_points.emplace_back().source_subgraphs = {source};
    }
    return calibration;
}

TEST(TimedBatches, AreWhatTheFileSaysElseWhatItsPointsDo) {
    auto calibration = with_points({"resnet18/1/3", "my/net/16/0", "resnet18/1/4"});
    EXPECT_EQ(timed_batches(calibration), (std::vector{1, 16}));
    EXPECT_EQ(timed_batches(with_points({"probe/x0:float32[1,8,7,7]", "resnet18/1/3"})),
              std::vector{1});
    calibration.provenance.batches = {1, 2};
    EXPECT_EQ(timed_batches(calibration), (std::vector{1, 2}));
    EXPECT_TRUE(timed_batches(with_points({"gcn/unknown/3", "a/1/2"})).empty());
    EXPECT_TRUE(timed_batches(with_points({"3"})).empty());
    EXPECT_TRUE(timed_batches({}).empty());
}

TEST(UnseenBatchNote, IsForWhatTheCurvesDoNotShow) {
    auto const note = [](std::vector<int> const& timed, int batch) {
        return unseen_batch_note("box", timed, batch).value_or("").substr(0, 50);
    };
    EXPECT_EQ(note({1, 2, 16}, 2), "");
    EXPECT_EQ(note({1, 2, 16}, 3), "") << "between two that were timed";
    EXPECT_EQ(note({1, 2, 16}, 17), "box was timed at batch 1, 2 and 16; what batch 17 ");
    EXPECT_EQ(note({1}, 1), "");
    EXPECT_EQ(note({4}, 1), "box was timed at batch 4; what batch 1 takes follo");
    EXPECT_NE(note({4, 16}, 1), "") << "below all that were timed";
    EXPECT_EQ(note({}, 64), "") << "unknown";
}

}  // namespace
}  // namespace derate
