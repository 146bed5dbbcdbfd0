#include "benchmarks/eager_model.hpp"

#include <ATen/Parallel.h>
#include <ATen/ops/allclose.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>

#include "benchmarks/seeded_tensors.hpp"
#include "measuring/cannot_time.hpp"
#include "workloads/model_set.hpp"

namespace derate::benchmarks {
namespace {

/// Evicts nothing and takes 1 ms a call: what is computed is tested here, not how long it takes.
class UntimedDevice : public TimingDevice {
  public:
    std::string name() const override { return "cpu"; }
    double time_ms(std::function<void()> const& work) override {
        work();
        return 1.0;
    }
    std::vector<double> time_laps_ms(std::size_t count,
                                     std::function<void(std::size_t)> const& work) override {
        for (std::size_t i = 0; i < count; ++i) work(i);
        return std::vector<double>(count, 1.0);
    }
    void evict(std::span<MemoryRange const> ranges) override {
        for (auto const& range : ranges) evicted_bytes += range.bytes;
    }
    void rouse() override {}
    double time_drift_probe(std::size_t) override { return 1; }
    std::vector<PeakResult> measure_peaks() override { return {}; }
    Environment describe() override { return {}; }

    std::size_t evicted_bytes = 0;
};

ExportedProgram shipped(std::string const& name) { return load_model(name).program; }

std::vector<int> all_subgraphs(ExportedProgram const& program) {
    std::vector<int> ids(partition(program).subgraphs.size());
    std::iota(ids.begin(), ids.end(), 0);
    return ids;
}

/// What a tensor held, and the strides it had: a copy of a view may have others.
struct Result {
    at::Tensor values;
    std::vector<std::int64_t> strides;
};

/// What each subgraph's outputs held right after it ran inside the whole model.
std::vector<std::vector<Result>> outputs_in_context(ExportedProgram const& program) {
    c10::InferenceMode const inference;
    auto slots = seeded_inputs(program, 0, "cpu");
    Interpreter interpreter{program, "cpu"};
    std::vector<std::vector<Result>> outputs;
    for (auto const& part : partition(program).subgraphs) {
        interpreter.run(slots, static_cast<std::size_t>(part.nodes.front()),
                        static_cast<std::size_t>(part.nodes.back()) + 1);
        auto& made = outputs.emplace_back();
        for (auto const output : part.outputs) {
            // A tensor changed in place may be read later by another name only.
            auto const& tensor = slots[static_cast<std::size_t>(output)];
            made.push_back(tensor.defined() ? Result{tensor.clone(), tensor.strides().vec()}
                                            : Result{});
        }
    }
    return outputs;
}

/// In-place additions and activations on tensors that others read too (resnet), views of one
/// storage (shufflenet, swin), token ids and masks (distilbert).
class IsolatedCase : public testing::TestWithParam<char const*> {};

TEST_P(IsolatedCase, ComputesTheSameAsInsideTheModelEveryTime) {
    at::set_num_threads(1);
    c10::InferenceMode const inference;
    auto const program = shipped(GetParam());
    auto const expected = outputs_in_context(program);
    UntimedDevice device;
    EagerModel model{program, all_subgraphs(program), 0, device};
    for (auto const& part : model.parts().subgraphs) {
        auto const id = part.subgraph.id;
        auto const run = model.isolated(id, CacheState::cold_all);
        (void)run();
        (void)run();
        auto const made = model.compute(id);
        auto const& wanted = expected[static_cast<std::size_t>(id)];
        ASSERT_EQ(made.size(), wanted.size());
        for (std::size_t i = 0; i < made.size(); ++i) {
            ASSERT_EQ(made[i].defined(), wanted[i].values.defined());
            if (!made[i].defined()) continue;
            EXPECT_TRUE(at::allclose(made[i], wanted[i].values, 1e-5, 1e-6, /*equal_nan=*/true))
                << "subgraph " << id << " " << part.subgraph.fusion_pattern;
            EXPECT_EQ(made[i].strides().vec(), wanted[i].strides) << "subgraph " << id;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Models, IsolatedCase,
                         testing::Values("resnet18", "shufflenet_v2_x0_5", "swin_t", "distilbert"),
                         [](auto const& file) {
                             std::string const name{file.param};
                             return name.substr(0, name.find('.'));
                         });

/// Each kernel alone, from a run that ends with it: what it computes is what it computes when the
/// whole model runs, also where weights that only later subgraphs read were never made.
TEST(EagerModel, CapturesFromARunThatEndsWithTheLastSubgraphAskedFor) {
    at::set_num_threads(1);
    c10::InferenceMode const inference;
    for (auto const* name : {"resnet18", "shufflenet_v2_x0_5", "swin_t", "distilbert"}) {
        auto const program = shipped(name);
        auto const expected = outputs_in_context(program);
        auto const last = static_cast<int>(expected.size()) - 1;
        for (int const id : {0, 1, last / 2, last}) {
            UntimedDevice device;
            EagerModel model{program, {id}, 0, device, Extent::subgraphs};
            auto const made = model.compute(id);
            auto const& wanted = expected[static_cast<std::size_t>(id)];
            ASSERT_EQ(made.size(), wanted.size());
            for (std::size_t i = 0; i < made.size(); ++i) {
                if (!wanted[i].values.defined()) continue;
                EXPECT_TRUE(at::allclose(made[i], wanted[i].values, 1e-5, 1e-6, true))
                    << name << " subgraph " << id;
            }
            EXPECT_EQ(model.outputs().empty(), id != last) << "it ends with subgraph " << id;
            EXPECT_THROW((void)model.whole(), std::logic_error);
        }
    }
}

TEST(EagerModel, EvictsEachByteOfACaseOnce) {
    auto const program = shipped("resnet18");
    UntimedDevice device;
    EagerModel model{program, {0}, 0, device};
    auto const& traffic = model.parts().subgraphs[0].subgraph.traffic;
    auto const run = model.isolated(0, CacheState::cold_all);
    (void)run();
    EXPECT_EQ(static_cast<double>(device.evicted_bytes),
              traffic.input.value() + traffic.weights.value());
    device.evicted_bytes = 0;
    (void)model.isolated(0, CacheState::cold_activations)();
    EXPECT_EQ(static_cast<double>(device.evicted_bytes), traffic.input.value());
    device.evicted_bytes = 0;
    (void)model.isolated(0, CacheState::hot)();
    EXPECT_EQ(device.evicted_bytes, 0U);
}

TEST(EagerModel, TimesEverySubgraphInContext) {
    auto const program = shipped("squeezenet1_1");
    UntimedDevice device;
    EagerModel model{program, {}, 0, device};
    auto const run = model.time_in_context(RepetitionPolicy{});
    EXPECT_EQ(run.subgraph_ms.size(), model.parts().subgraphs.size());
    EXPECT_EQ(run.runs, RepetitionPolicy{}.min_iterations);
    EXPECT_DOUBLE_EQ(run.run_ms, static_cast<double>(run.subgraph_ms.size()));
}

TEST(EagerModel, SaysWhichOperatorIsUnknown) {
    auto program = shipped("squeezenet1_1");
    program.nodes[3].target = "torch.ops.aten.not_an_operator.default";
    UntimedDevice device;
    try {
        EagerModel const model{program, {}, 0, device};
        FAIL() << "expected CannotTime";
    } catch (CannotTime const& error) {
        EXPECT_STREQ(error.what(),
                     "operator torch.ops.aten.not_an_operator.default is not in this LibTorch");
    }
}

TEST(EagerModel, SaysThatAModelDoesNotFitInMemory) {
    auto program = shipped("squeezenet1_1");
    auto const weight = program.inputs.front().value;
    program.values[static_cast<std::size_t>(weight)].sizes = {std::int64_t{1} << 50, 3, 3, 3};
    program.values[static_cast<std::size_t>(weight)].strides = {27, 9, 3, 1};
    UntimedDevice device;
    EXPECT_THROW((EagerModel{program, {}, 0, device}), CannotTime);
}

TEST(EagerModel, WhateverALibraryThrowsIsAReason) {
    // oneDNN throws types that neither LibTorch nor derate knows.
    class Throwing : public UntimedDevice {
      public:
        double time_ms(std::function<void()> const&) override {
            throw std::runtime_error{"could not create a primitive"};
        }
    };
    Throwing device;
    auto program = shipped("squeezenet1_1");
    EagerModel model{std::move(program), {0}, 0, device};
    try {
        (void)model.isolated(0, CacheState::hot)();
        FAIL() << "nothing thrown";
    } catch (CannotTime const& error) {
        EXPECT_NE(std::string{error.what()}.find("could not create a primitive"),
                  std::string::npos);
    }
}

}  // namespace
}  // namespace derate::benchmarks
