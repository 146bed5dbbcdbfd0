// A model cut and prepared once for all its batches gives, to the last bit, what it gives when it
// is bound, cut and prepared for each batch alone.
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/value_rule.hpp"
#include "estimator/model_at_sizes.hpp"
#include "storage/calibration_files.hpp"
#include "workloads/linear_partition.hpp"
#include "workloads/model_set.hpp"

namespace derate {
namespace {

constexpr std::array<std::int64_t, 18> batches{1,  2,  3,  4,  5,  7,   8,   13,  16,
                                               17, 31, 56, 63, 64, 100, 197, 768, 1000};
constexpr std::int64_t most = 1000;

CompiledCalibration const& calibration() {
    static CompiledCalibration const compiled{
        read_calibration(std::filesystem::path{DERATE_REGISTRY_FOLDER} /
                         "cpu/kvm-intel-xeon-2c/efficiency_curves.json")};
    return compiled;
}

std::vector<Subgraph> subgraphs_at(SymbolicModel const& model, std::int64_t batch) {
    std::vector<Subgraph> subgraphs;
    auto const bound = bind(model.program, {.batch = batch}, model.defaults);
    for (auto& cut : partition(bound.program).subgraphs) {
        subgraphs.push_back(std::move(cut.subgraph));
    }
    return subgraphs;
}

std::optional<LinearPartition> linear(SymbolicModel const& model, std::int64_t greatest = most) {
    return LinearPartition::of(model.program, {}, "batch", greatest, model.defaults);
}

/// All numbers of an estimate, as bits.
std::vector<std::uint64_t> bits_of(LatencyEstimate const& estimate) {
    std::vector<std::uint64_t> bits;
    for (double const number :
         {estimate.latency_ms, estimate.latency_std_ms, estimate.ci_95_lower_ms,
          estimate.ci_95_upper_ms, estimate.ci_95_independent_lower_ms,
          estimate.ci_95_independent_upper_ms, estimate.log_variance, estimate.degrees_of_freedom,
          estimate.efficiency_used.value_or(-1), estimate.efficiency_std.value_or(-1),
          static_cast<double>(estimate.extrapolated_subgraphs),
          static_cast<double>(estimate.unseen_regimes), estimate.foreign_partition ? 1.0 : 0.0}) {
        bits.push_back(std::bit_cast<std::uint64_t>(number));
    }
    return bits;
}

LatencyEstimate alone(std::vector<Subgraph> const& subgraphs) {
    return estimate(calibration(),
                    prepare(calibration(), subgraphs, partition_rule(Backend::eager)));
}

ModelAtSizes repriced(LinearPartition const& cut) {
    return {calibration(), cut.kernels(), cut.kernel_of_subgraph(), partition_rule(Backend::eager)};
}

bool is_symbolic(SymbolicModel const& model) {
    return !model.program.expressions.symbols().empty();
}

TEST(SweepEquality, EqualsEachBatchAloneForAllShippedModels) {
    int cut_once = 0;
    int sizes = 0;
    for (auto const& entry : read_catalogue(models_directory())) {
        for (auto const precision : {Precision::fp32, Precision::bf16}) {
            if (entry.find(1, precision) == nullptr) continue;
            SCOPED_TRACE(entry.name);
            auto const model = read_model(entry.name, 1, precision);
            if (!is_symbolic(model)) continue;
            auto cut = linear(model);
            if (!cut) cut = linear(model, 64);  // so few sequences do not name all rows of a table
            if (!cut) continue;
            ++cut_once;
            auto priced = repriced(*cut);
            for (auto const batch : batches) {
                SCOPED_TRACE(batch);
                if (!cut->holds(batch)) continue;
                ++sizes;
                auto const subgraphs = subgraphs_at(model, batch);
                auto swept = cut->subgraphs_at(batch);
                ASSERT_EQ(swept.size(), subgraphs.size());
                auto const& kernels = cut->kernels_at(batch);
                for (std::size_t i = 0; i < subgraphs.size(); ++i) {
                    SCOPED_TRACE(i);
                    EXPECT_EQ(depends_on_values(swept[i]), depends_on_values(subgraphs[i]));
                    swept[i].descriptor = subgraphs[i].descriptor;
                    ASSERT_TRUE(swept[i] == subgraphs[i]);
                    auto const kernel = static_cast<std::size_t>(cut->kernel_of_subgraph()[i]);
                    ASSERT_TRUE(kernels[kernel] == traits_of(subgraphs[i]));
                }
                EXPECT_EQ(bits_of(priced.estimate(kernels)), bits_of(alone(subgraphs)));
            }
        }
    }
    // Each size of the others is cut for itself.
    EXPECT_GE(cut_once, 55);
    EXPECT_GE(sizes, 12 * cut_once);
}

TEST(SweepEquality, EqualsEachBatchAloneAtEverySize) {
    for (auto const* name : {"resnet50", "vit_b_16"}) {
        SCOPED_TRACE(name);
        auto const model = read_model(name);
        auto cut = linear(model);
        ASSERT_TRUE(cut);
        auto priced = repriced(*cut);
        for (std::int64_t batch = 260; batch >= 2; --batch) {
            if (!cut->holds(batch)) continue;
            EXPECT_EQ(bits_of(priced.estimate(cut->kernels_at(batch))),
                      bits_of(alone(subgraphs_at(model, batch))))
                << batch;
        }
    }
}

TEST(SweepEquality, ABatchOfOneIsAnotherPartition) {
    auto cut = linear(read_model("resnet50"));
    ASSERT_TRUE(cut);
    EXPECT_FALSE(cut->holds(1)) << "sizes of 1 have strides and layouts of their own";
    EXPECT_TRUE(cut->holds(2));
    EXPECT_TRUE(cut->holds(most));
    EXPECT_FALSE(cut->holds(most + 1));
}

/// The comparison above notices one unit in the last place of one number of one kernel.
TEST(SweepEquality, ADefectIsSeen) {
    auto const model = read_model("resnet50");
    auto cut = linear(model);
    ASSERT_TRUE(cut);
    auto priced = repriced(*cut);
    auto const right = bits_of(alone(subgraphs_at(model, 8)));
    auto kernels = cut->kernels_at(8);
    ASSERT_EQ(bits_of(priced.estimate(kernels)), right);
    for (std::size_t k = 0; k < kernels.size(); ++k) {
        auto wrong = kernels;
        wrong[k].terms.bytes *= 1 + 1e-6;
        EXPECT_NE(bits_of(priced.estimate(wrong)), right) << "bytes of kernel " << k;
        wrong = kernels;
        wrong[k].sizes[1] *= 1 + 1e-6;
        EXPECT_NE(bits_of(priced.estimate(wrong)), right) << "a size of kernel " << k;
    }
    EXPECT_EQ(bits_of(priced.estimate(kernels)), right);
}

TEST(SweepEquality, IsNotMadeWhereCountsAreNoLines) {
    auto const gpt2 = read_model("gpt2");
    EXPECT_FALSE(LinearPartition::of(gpt2.program, {.batch = 1}, "seq", 64, gpt2.defaults))
        << "attention grows with the square of its length";
}

}  // namespace
}  // namespace derate
