#include "workloads/program_warnings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/input_error.hpp"
#include "workloads/model_set.hpp"
#include "workloads/partition.hpp"

namespace derate {
namespace {

std::vector<std::string> sentences_of(ExportedProgram const& program) {
    return texts_of(warnings_of(program));
}

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

ExportedProgram read(std::string const& name) {
    return read_exported_program(std::filesystem::path{DERATE_TEST_DATA} / name);
}

/// One call of `target` on tensor x, with more arguments.
ExportedProgram program_of(std::string const& target, std::vector<NamedArgument> arguments) {
    TensorValue const tensor{
        .name = "x", .dtype = ScalarType::float32, .sizes = {2, 3}, .strides = {3, 1}};
    ExportedProgram program;
    program.values = {tensor, tensor};
    program.inputs = {{.kind = InputKind::user_input, .value = 0, .name = "x"}};
    arguments.insert(arguments.begin(), {.name = "input", .value = TensorArgument{0}});
    program.nodes = {{.target = "torch.ops.aten." + target + ".default",
                      .name = target,
                      .arguments = std::move(arguments),
                      .outputs = {TensorArgument{1}}}};
    program.outputs = {1};
    return program;
}

TEST(WarningsOf, NamesAModelExportedInTrainingMode) {
    EXPECT_THAT(sentences_of(read("training.pt2")),
                ElementsAre(HasSubstr("training mode (1 batch_norm, 1 dropout)")));
    EXPECT_THAT(sentences_of(program_of("dropout", {{"p", 0.5}, {"train", true}})),
                ElementsAre(HasSubstr("training mode (1 dropout)")));
    EXPECT_THAT(sentences_of(program_of("scaled_dot_product_attention", {{"dropout_p", 0.1}})),
                ElementsAre(HasSubstr("training mode")));
    EXPECT_THAT(sentences_of(program_of("lstm", {{"dropout", 0.1}, {"train", true}})),
                ElementsAre(HasSubstr("training mode (1 lstm)")));
}

TEST(WarningsOf, TakesNoModelInEvalModeForATrainedOne) {
    EXPECT_THAT(sentences_of(read("tiny_cnn.pt2")), IsEmpty());
    EXPECT_THAT(sentences_of(program_of("dropout", {{"p", 0.5}, {"train", false}})), IsEmpty());
    EXPECT_THAT(sentences_of(program_of("dropout", {{"p", 0.0}, {"train", true}})), IsEmpty());
    // nn.BatchNorm2d(8, track_running_stats=False) takes the batch's statistics in eval mode too.
    EXPECT_THAT(sentences_of(program_of("batch_norm",
                                       {{"running_mean", std::monostate{}}, {"training", true}})),
                IsEmpty());
    for (auto const* const name : {"resnet18", "vit_b_16", "gpt2", "swin_t", "efficientnet_b0"}) {
        EXPECT_THAT(sentences_of(load_model(name).program), IsEmpty()) << name;
    }
}

TEST(WarningsOf, NamesInputsThatNothingReadsAndTablesWithoutValues) {
    auto program = program_of("relu", {});
    program.values.push_back(program.values[0]);
    program.inputs.push_back({.kind = InputKind::user_input, .value = 2, .name = "key"});
    EXPECT_THAT(sentences_of(program), ElementsAre(HasSubstr("nothing reads the input key")));
    EXPECT_THAT(sentences_of(read("meta_device_2_15.pt2")),
                ElementsAre(HasSubstr("the values of order are not in the file")));
    EXPECT_THAT(sentences_of(read("torch_2_6.pt2")), IsEmpty());
}

TEST(ReadExportedProgram, CountsNoTrafficForTheWeightsOfATensorSubclass) {
    auto const program = read("subclass_weights.pt2");
    for (auto const& node : program.nodes) EXPECT_NE(operator_namespace(node), "export");
    // 16 x 32 and 8 x 16 INT8 weights, each read once by the cast that widens it.
    double weights = 0;
    for (auto const& part : partition(program).subgraphs) {
        if (part.subgraph.fusion_pattern == "to") {
            weights += part.subgraph.traffic.weights.value();
        }
    }
    EXPECT_EQ(weights, 16 * 32 + 8 * 16);
    EXPECT_EQ(precision_of(program), Precision::fp32);
}

std::string refusal_of(std::string const& name) {
    try {
        static_cast<void>(read(name));
    } catch (InputError const& error) {
        return error.what();
    }
    return "none";
}

TEST(ReadExportedProgram, RefusesAnExportUnderAutocast) {
    EXPECT_THAT(refusal_of("autocast.pt2"),
                HasSubstr("linear takes float32 and returns bfloat16: the model was exported "
                          "under autocast"));
    EXPECT_EQ(refusal_of("tiny_cnn_bf16.pt2"), "none");
}

}  // namespace
}  // namespace derate
