#include "benchmarks/cuda_device.hpp"

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "benchmarks/eager_model.hpp"
#include "measuring/repetition.hpp"
#include "workloads/model_set.hpp"

namespace derate::benchmarks {
namespace {

ExportedProgram resnet18() { return load_model("resnet18").program; }

TEST(CudaDevice, TimesPartsThatSumToAboutTheWhole) {
    auto const device = make_cuda_device(Precision::fp32);
    EagerModel model{resnet18(), {0, 1, 2}, 0, *device};
    RepetitionPolicy policy;
    auto const whole = take_repetition(model.whole(), policy).mean_ms();
    auto const in_context = model.time_in_context(policy);
    EXPECT_EQ(in_context.subgraph_ms.size(), model.parts().subgraphs.size());
    EXPECT_GT(whole, 0);
    // Events between subgraphs cost something on a GPU, and never make the model faster.
    EXPECT_GT(in_context.run_ms, 0.5 * whole);
    for (auto const state : {CacheState::hot, CacheState::cold_all}) {
        EXPECT_GT(take_repetition(model.isolated(1, state), policy).mean_ms(), 0);
    }
}

TEST(CudaDevice, ComputesWhatTheProcessorComputes) {
    auto const device = make_cuda_device(Precision::fp32);
    EagerModel model{resnet18(), {0}, 0, *device};
    auto const output = model.outputs().at(0).to(at::kCPU).flatten();
    // benchmarks/testdata/eager_golden.json; TF32 is off by default, kernels sum in another order.
    EXPECT_NEAR(output[0].item<float>(), -1.9870574474334717, 1e-2);
    EXPECT_NEAR(output[968].item<float>(), -1.5962742567062378, 1e-2);
}

TEST(CudaDevice, KnowsItsGpu) {
    auto const environment = make_cuda_device(Precision::fp32)->describe();
    EXPECT_FALSE(environment.gpu_name.value_or("").empty());
    EXPECT_TRUE(environment.cuda.has_value());
}

TEST(CudaDevice, MeasuresPositivePeaks) {
    for (auto const& peak : make_cuda_device(Precision::fp32)->measure_peaks()) {
        EXPECT_GT(std::ranges::min(peak.per_second), 0) << peak.probe;
    }
}

}  // namespace
}  // namespace derate::benchmarks
