#include "calibration/size_band.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/evidence.hpp"
#include "storage/stored_calibration.hpp"

namespace derate {
namespace {

TEST(SizeBands, OfOneSizeIsThePredictionIntervalOfALogNormalSample) {
    // log efficiencies -2, -1, 0: mean -1, variance 1. Left-one-out errors 1.5, 0, 1.5: mean square
    // 1.5. s^2 = (2 * 1.5 + 2 * 1) / 4 = 1.25, half = t(0.975, 4) sqrt(1.25 * 4 / 3).
    std::vector<SizedEfficiency> const kernels{
        {1e6, std::exp(-2.0)}, {1e6, std::exp(-1.0)}, {1e6, 1.0}};
    auto const band = SizeBands{kernels}.at(1e6);
    double const half = 2.7764451051977987 * std::sqrt(1.25 * 4 / 3);
    EXPECT_NEAR(band.center, std::exp(-1.0), 1e-12);
    EXPECT_NEAR(band.band.lower, std::exp(-1 - half), 1e-9);
    EXPECT_NEAR(band.band.upper, std::exp(-1 + half), 1e-9 * std::exp(half));
}

TEST(SizeBands, FollowsASlopeAndIsNarrowWhereKernelsAgree) {
    std::vector<SizedEfficiency> kernels;
    for (int i = 0; i <= 40; ++i) {
        double const work = std::pow(10.0, 4 + i * 0.1);
        double const scatter = i < 20 ? (i % 2 == 0 ? 2.0 : 0.5) : 1.0;
        kernels.push_back({work, 1e-3 * std::sqrt(work) / 100 * scatter});
    }
    SizeBands const bands{kernels};
    auto const wide = bands.at(1e5);
    auto const narrow = bands.at(1e7);
    EXPECT_NEAR(std::log10(narrow.center / wide.center), 1.0, 0.1);
    EXPECT_GT(wide.band.upper / wide.band.lower, 2 * narrow.band.upper / narrow.band.lower);
}

TEST(SizeBands, RefusesWhatHasNoBand) {
    std::vector<SizedEfficiency> const one{{1e6, 0.5}};
    EXPECT_THROW((SizeBands{one}), std::invalid_argument);
    std::vector<SizedEfficiency> const zero{{1e6, 0.5}, {0, 0.5}};
    EXPECT_THROW((SizeBands{zero}), std::invalid_argument);
}

TEST(SizeBands, HoldsTheNominalShareOfKernelsDrawnFromOneLaw) {
    // 60 kernels over three decades and one more, drawn 2,000 times: 95 %, standard error 0.5 %.
    std::mt19937_64 random{20261128};
    std::uniform_real_distribution<double> log_work{std::log(1e5), std::log(1e8)};
    std::normal_distribution<double> scatter{0, 0.5};
    int held = 0;
    constexpr int draws = 2000;
    auto const draw = [&] {
        double const x = log_work(random);
        return SizedEfficiency{std::exp(x), std::exp(0.2 * (x - 15) - 2 + scatter(random))};
    };
    for (int i = 0; i < draws; ++i) {
        std::vector<SizedEfficiency> kernels(60);
        for (auto& kernel : kernels) kernel = draw();
        auto const one_more = draw();
        auto const band = SizeBands{kernels}.at(one_more.work).band;
        held += band.lower <= one_more.efficiency && one_more.efficiency <= band.upper ? 1 : 0;
    }
    EXPECT_GT(held, 0.935 * draws);
    EXPECT_LT(held, 0.975 * draws);
}

struct Share {
    int held = 0;
    int kernels = 0;
};

struct TimedKernel {
    SizedEfficiency point;
    std::set<std::string> models;
};

using KernelsOfTypes = std::map<std::pair<OperationType, bool>, std::vector<TimedKernel>>;

KernelsOfTypes timed_kernels(Evidence const& evidence) {
    std::map<int, std::set<std::string>> models;
    for (auto const& model : evidence.models) {
        for (int const index : model.cases) models[index].insert(model.name);
    }
    KernelsOfTypes types;
    for (std::size_t i = 0; i < evidence.cases.size(); ++i) {
        auto const& one = evidence.cases[i];
        bool const zero_flop = !(one.subgraph.work.value() > 0);
        double const work =
            zero_flop ? one.subgraph.traffic.total().value() : one.subgraph.work.value();
        if (!one.timing || !(work > 0)) continue;
        types[{one.subgraph.type, zero_flop}].push_back(
            {{work, work / one.timing->center_ms}, models[static_cast<int>(i)]});
    }
    return types;
}

/// \param left_out  empty: the band is judged by the kernels it is drawn from; else by those that
///                  this model alone holds, drawn from the others
void judge(std::vector<TimedKernel> const& kernels, std::string const& left_out, Share& share) {
    std::vector<SizedEfficiency> drawn;
    std::vector<SizedEfficiency> judged;
    for (auto const& kernel : kernels) {
        bool const is_left_out = kernel.models == std::set{left_out};
        if (!is_left_out) drawn.push_back(kernel.point);
        if (is_left_out || left_out.empty()) judged.push_back(kernel.point);
    }
    if (drawn.size() < 5 || judged.empty()) return;
    SizeBands const bands{drawn};
    for (auto const& kernel : judged) {
        auto const band = bands.at(kernel.work).band;
        share.held += band.lower <= kernel.efficiency && kernel.efficiency <= band.upper ? 1 : 0;
        ++share.kernels;
    }
}

TEST(SizeBands, HoldsKernelsOfShippedCalibrationsInAndOutOfSample) {
    for (std::string const file :
         {"kvm-intel-xeon-2c/efficiency_curves.json", "kvm-amd-epyc-zen5-2c/efficiency_curves.json",
          "i7-12700K/efficiency_curves.json"}) {
        auto const stored = read_stored_calibration(std::filesystem::path{DERATE_SOURCE_DIR} /
                                                    "hardware_registry/cpu" / file);
        ASSERT_TRUE(stored.evidence) << file;
        Share in_sample;
        Share out_of_sample;
        std::set<std::string> models;
        for (auto const& model : stored.evidence->models) models.insert(model.name);
        for (auto const& [type, kernels] : timed_kernels(*stored.evidence)) {
            Share own;
            judge(kernels, "", own);
            in_sample.held += own.held;
            in_sample.kernels += own.kernels;
            if (own.kernels >= 20) {
                EXPECT_GE(own.held, 0.9 * own.kernels) << file << " " << to_string(type.first);
            }
            for (auto const& model : models) judge(kernels, model, out_of_sample);
        }
        std::printf("%s: in sample %d of %d, models left out %d of %d\n", file.c_str(),
                    in_sample.held, in_sample.kernels, out_of_sample.held, out_of_sample.kernels);
        EXPECT_GE(in_sample.held, 0.94 * in_sample.kernels) << file;
        EXPECT_LE(in_sample.held, 0.99 * in_sample.kernels) << file;
        // Kernels of one model are alike: a model left out takes many with it.
        EXPECT_GE(out_of_sample.held, 0.85 * out_of_sample.kernels) << file;
        EXPECT_GT(out_of_sample.kernels, 100) << file;
    }
}

}  // namespace
}  // namespace derate
