#include "workloads/descriptor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/input_error.hpp"
#include "workloads/model_set.hpp"

namespace derate {
namespace {

using testing::HasSubstr;

TEST(Descriptor, OfEveryShippedSubgraphTurnsBackIntoTheCase) {
    std::size_t subgraphs = 0;
    for (auto const& entry : read_catalogue(models_directory())) {
        for (auto const& file : entry.files) {
            for (int const batch : catalogued_batches) {
                auto const program = load_model(entry.name, batch, file.precision).program;
                for (auto const& subgraph : partition(program).subgraphs) {
                    auto const extracted = extract_subgraph(program, subgraph);
                    auto const& text = subgraph.subgraph.descriptor;
                    ASSERT_EQ(text, format_descriptor(extracted)) << file.path;
                    ASSERT_TRUE(parse_descriptor(text) == extracted) << file.path << "\n" << text;
                    ++subgraphs;
                }
            }
        }
    }
    EXPECT_GT(subgraphs, 5'000U);
}

TEST(Descriptor, CutAgainIsOneSubgraphOfTheSameTypeWorkAndTraffic) {
    for (auto const* name : {"resnet18", "mobilenet_v3_large", "gpt2", "vit_b_16"}) {
        for (auto const& part : partition(load_model(name).program).subgraphs) {
            auto const& subgraph = part.subgraph;
            auto const again = partition(parse_descriptor(subgraph.descriptor));
            ASSERT_EQ(again.subgraphs.size(), 1U) << subgraph.descriptor;
            auto const& only = again.subgraphs.front().subgraph;
            EXPECT_EQ(only.descriptor, subgraph.descriptor);
            EXPECT_EQ(only.type, subgraph.type);
            EXPECT_EQ(only.fusion_pattern, subgraph.fusion_pattern);
            EXPECT_EQ(only.work, subgraph.work) << subgraph.descriptor;
            EXPECT_EQ(only.traffic, subgraph.traffic) << subgraph.descriptor;
        }
    }
}

TEST(Descriptor, HoldsEveryKindOfArgument) {
    ExportedProgram program;
    auto const add_value = [&](std::string name, std::vector<std::int64_t> sizes,
                               std::vector<std::int64_t> strides) {
        program.values.push_back({.name = std::move(name),
                                  .dtype = ScalarType::bfloat16,
                                  .sizes = std::move(sizes),
                                  .strides = std::move(strides)});
        return static_cast<ValueId>(program.values.size() - 1);
    };
    auto const x = add_value("x0", {2, 3}, {1, 2});
    auto const w = add_value("w0", {}, {});
    program.inputs = {{.kind = InputKind::user_input, .value = x, .name = "x0"},
                      {.kind = InputKind::parameter, .value = w, .name = "w0"}};
    auto const t0 = add_value("t0", {0}, {1});
    auto const t1 = add_value("t1", {1, 5}, {7, 1});
    program.nodes.push_back(
        {.target = "torch.ops.custom.every_kind.out",
         .name = "",
         .arguments = {{"none", std::monostate{}},
                       {"tensor", TensorArgument{x}},
                       {"tensors", TensorListArgument{{x, w}}},
                       {"optional", OptionalTensorListArgument{{std::nullopt, w}}},
                       {"flag", true},
                       {"integer", std::int64_t{-12}},
                       {"whole_number", 2.0},
                       {"small", 1e-05},
                       {"infinite", -std::numeric_limits<double>::infinity()},
                       {"word", std::string{"a | b = \"c\\d\", (e)"}},
                       {"flags", std::vector<bool>{true, false}},
                       {"integers", std::vector<std::int64_t>{}},
                       {"numbers", std::vector<double>{1.0, 0.1}},
                       {"words", std::vector<std::string>{"x", ""}},
                       {"dtype", ScalarType::boolean},
                       {"device", Device{.type = "cuda", .index = 1}},
                       {"layout", Layout::strided},
                       {"format", MemoryFormat::channels_last_3d}},
         .outputs = {TensorListArgument{{t0}}, std::monostate{}, TensorArgument{t1}}});
    program.outputs = {t1, t0};
    auto const text = format_descriptor(program);
    EXPECT_THAT(text, HasSubstr("x0:bfloat16[2,3]/[1,2] w0:bfloat16[] | {t0:bfloat16[0]},_,"));
    EXPECT_TRUE(parse_descriptor(text) == program) << text;
}

TEST(Descriptor, RefusesDamageSayingWhere) {
    std::string const whole =
        "x0:float32[2] w0:float32[2] | t0:float32[2]=aten.add.Tensor(self=x0,other=w0,alpha=1) | "
        "t0";
    EXPECT_EQ(format_descriptor(parse_descriptor(whole)), whole);
    for (std::size_t kept = 0; kept + 1 < whole.size(); ++kept) {
        if (whole.substr(0, kept).ends_with("| ")) continue;  // a subgraph without results
        EXPECT_THROW(static_cast<void>(parse_descriptor(whole.substr(0, kept))), InputError)
            << whole.substr(0, kept);
    }
    for (auto const* text :
         {"x0:float32[5,5333333333333333333] | x0", "x0:float32[-1,2] | x0",
          "x0:float32[0,4294967296,4294967296] | x0", "x0:float33[2] | x0",
          "x0:float32[2] x0:float32[2] | x0", "x0:float32[2] | x1", "x0:float32[2]~ | x0",
          "x0:float32[2]~ids: | x0", "x0:float32[2]/[1,1] | x0", "x0 | x0"}) {
        EXPECT_THROW(static_cast<void>(parse_descriptor(text)), InputError) << text;
    }
}

TEST(CaseName, IsTheTypeAndTheFnv1aHash) {
    EXPECT_EQ(case_name(OperationType::conv2d, ""), "conv2d/cbf29ce484222325");
    EXPECT_EQ(case_name(OperationType::norm, "a"), "norm/af63dc4c8601ec8c");
}

}  // namespace
}  // namespace derate
