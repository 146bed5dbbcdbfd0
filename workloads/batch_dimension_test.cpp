#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <string>

#include "workloads/descriptor.hpp"
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

TEST(BatchOf, LeavesOutTheOnePositionOfADecodeStep) {
    std::string const cache = "x0:float32[8,2,24,4] x1:int64[1] x2:float32[8,2,1,4] | ";
    EXPECT_EQ(
        batch_of(parse_descriptor(
            cache + "t9:float32[8,2,24,4]=aten.index_copy(self=x0,dim=2,index=x1,source=x2) | t9")),
        8);
    EXPECT_EQ(batch_of(parse_descriptor("x0:float32[8,4] x1:float32[1] | "
                                        "t9:float32[8,4]=aten.mul.Tensor(self=x0,other=x1) | t9")),
              std::nullopt)
        << "a number that is none of the positions";
    EXPECT_EQ(batch_of(parse_descriptor("x0:int64[1] | t9:int64[1]=aten.neg(self=x0) | t9")), 1);
}

// Every entry meets every other, so that the first dimension is no batch.
TEST(BatchOf, IsUnknownWhereEntriesMeetEachOther) {
    auto const batch = [](std::string const& calls) {
        return batch_of(parse_descriptor("x0:float32[8,4] | " + calls + " | t9"));
    };
    EXPECT_EQ(batch("t9:float32[8,4]=aten.relu(self=x0)"), 8);
    EXPECT_EQ(batch("t9:float32[8,8]=aten.cdist(x1=x0,x2=x0)"), std::nullopt);
    EXPECT_EQ(batch("t1:float32[8,4]=aten.roll(self=x0,shifts=[1],dims=[0]) | "
                    "t9:float32[8,4]=aten.mul.Tensor(self=t1,other=x0)"),
              std::nullopt);
    EXPECT_EQ(batch("t1:float32[8,4]=aten.flip(self=x0,dims=[-2]) | "
                    "t9:float32[8,4]=aten.mul.Tensor(self=t1,other=x0)"),
              std::nullopt);
    EXPECT_EQ(batch("t1:float32[8,4]=aten.flip(self=x0,dims=[1]) | "
                    "t9:float32[8,4]=aten.mul.Tensor(self=t1,other=x0)"),
              8);
    EXPECT_EQ(batch("t1:float32[8,1,4]=aten.unsqueeze(self=x0,dim=1) | "
                    "t2:float32[1,8,4]=aten.unsqueeze(self=x0,dim=0) | "
                    "t9:float32[8,8,4]=aten.sub.Tensor(self=t1,other=t2)"),
              std::nullopt);
}

TEST(BatchOf, IsThatOfEveryShippedModel) {
    for (auto const& entry : read_catalogue(models_directory())) {
        for (int const batch : {4, 16}) {
            EXPECT_EQ(batch_of(load_model(entry.name, batch).program), batch) << entry.name;
        }
    }
}

}  // namespace
}  // namespace derate
