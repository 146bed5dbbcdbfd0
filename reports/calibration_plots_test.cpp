#include "reports/calibration_plots.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace derate {
namespace {

using testing::HasSubstr;
using testing::Not;

/// Convolutions of 1 MFLOP that take these times (ms), of one model, beside a peak of 10 GFLOP/s:
/// efficiency 0.1 / time.
PicturedCalibration pictured(std::vector<double> const& times_ms) {
    PicturedCalibration one{.label = "cpu"};
    one.calibration.peak_flops = PeakRate{.per_second = 10e9};
    one.calibration.peak_bandwidth = PeakRate{.per_second = 1e9};  // ridge at 10 FLOP a byte
    Evidence evidence;
    EvidenceModel model{.name = "net"};
    for (double const ms : times_ms) {
        EvidenceCase kernel;
        kernel.subgraph.type = OperationType::conv2d;
        kernel.subgraph.work = Flops{1e6};
        kernel.timing = Timing{.center_ms = ms, .mean_ms = ms};
        model.cases.push_back(static_cast<int>(evidence.cases.size()));
        evidence.cases.push_back(kernel);
    }
    evidence.models = {model};
    one.evidence = evidence;
    return one;
}

TEST(EfficiencyPlot, CountsWhatItsBandHoldsAndNamesWhatIsAboveThePeak) {
    std::vector<PicturedCalibration> const all{pictured({0.2, 0.21, 0.19, 0.2, 0.05})};
    auto const plot = efficiency_plot(all, OperationType::conv2d, false);
    ASSERT_TRUE(plot);
    EXPECT_THAT(plot->caption, HasSubstr("it holds 5 of the 5 drawn"));
    EXPECT_THAT(plot->caption, HasSubstr("Above the roof"));
    EXPECT_THAT(plot->caption, HasSubstr("net b1 #4"));
    EXPECT_THAT(plot->caption, Not(HasSubstr("net b1 #3")));

    std::vector<PicturedCalibration> const below{pictured({0.2, 0.21})};
    EXPECT_THAT(efficiency_plot(below, OperationType::conv2d, false)->caption,
                Not(HasSubstr("Above the roof")));
}

TEST(RooflinePlot, NamesPointsAboveEitherRoof) {
    auto const point = [](int id, double flops, double bytes, double ms) {
        RooflinePoint one{.latency_ms = ms, .bound = Bound::memory};
        one.subgraph.id = id;
        one.subgraph.work = Flops{flops};
        one.subgraph.traffic = {Bytes{bytes}, Bytes{0}, Bytes{0}};
        return one;
    };
    // 1 MFLOP over 1 MB: at most 1 GFLOP/s. Over 10 kB: at most 10 GFLOP/s.
    std::vector<RooflinePoint> const points{point(0, 1e6, 1e6, 1.1), point(1, 1e6, 1e6, 0.9),
                                            point(2, 1e6, 1e4, 0.11), point(3, 1e6, 1e4, 0.09)};
    auto const plot = roofline_plot(pictured({0.2}), "net", points);
    ASSERT_TRUE(plot);
    EXPECT_THAT(plot->caption, HasSubstr(": #1, #3."));
}

}  // namespace
}  // namespace derate
