#include <gtest/gtest.h>

#include <filesystem>

#include "workloads/exported_program.hpp"
#include "workloads/model_set.hpp"

namespace derate {
namespace {

std::optional<int> batch_of_file(std::string const& name) {
    return batch_of(read_exported_program(std::filesystem::path{DERATE_TEST_DATA} / name));
}

TEST(BatchOf, IsTheFirstDimensionWhereItsEntriesAreIndependent) {
    EXPECT_EQ(batch_of_file("batch_gru.pt2"), 5);
    EXPECT_EQ(batch_of_file("batch_attention.pt2"), 5);
    EXPECT_EQ(batch_of_file("tiny_cnn.pt2"), 2);
}

TEST(BatchOf, IsUnknownWhereTheFirstDimensionIsNoBatch) {
    EXPECT_EQ(batch_of_file("no_batch_gru.pt2"), std::nullopt) << "time steps";
    EXPECT_EQ(batch_of_file("no_batch_attention.pt2"), std::nullopt) << "tokens";
    EXPECT_EQ(batch_of_file("no_batch_graph.pt2"), std::nullopt) << "nodes of a graph";
    EXPECT_EQ(batch_of_file("no_batch_image.pt2"), std::nullopt) << "channels of one image";
}

TEST(BatchOf, IsUnknownWhereInputsDisagree) {
    ExportedProgram program;
    program.values = {{.name = "x", .sizes = {2700, 300}, .strides = {300, 1}},
                      {.name = "edges", .sizes = {2, 10500}, .strides = {10500, 1}}};
    program.inputs = {{.kind = InputKind::user_input, .value = 0, .name = "x"}};
    EXPECT_EQ(batch_of(program), 2700);
    program.inputs.push_back({.kind = InputKind::user_input, .value = 1, .name = "edges"});
    EXPECT_EQ(batch_of(program), std::nullopt);
}

TEST(BatchOf, IsThatOfEveryShippedModel) {
    for (auto const& entry : read_catalogue(models_directory())) {
        for (auto const& file : entry.files) {
            // Probes are many kernels of batch sizes of their own.
            if (file.batch == 1) continue;
            EXPECT_EQ(batch_of(read_exported_program(file.path)), file.batch) << file.path;
        }
    }
}

}  // namespace
}  // namespace derate
