#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "workloads/descriptor.hpp"
#include "workloads/partition.hpp"

namespace derate {
namespace {

using testing::HasSubstr;
using testing::Not;

/// Of the first subgraph whose pattern holds this.
std::string descriptor_of(ExportedProgram const& program, std::string const& pattern) {
    for (auto const& part : partition(program).subgraphs) {
        if (part.subgraph.fusion_pattern.find(pattern) != std::string::npos) {
            return part.subgraph.descriptor;
        }
    }
    return {};
}

TEST(ValueWords, TellKernelsOfOneShapeApart) {
    std::string const table = " w0:float32[100,8] | ";
    std::string const lookup = "t9:float32[6,8]=aten.embedding(weight=w0,indices=";
    auto const direct =
        descriptor_of(parse_descriptor("x0:int64[6]" + table + lookup + "x0) | t9"), "Embedding");
    auto const hot = descriptor_of(
        parse_descriptor("x0:int64[6]" + table + "t0:int64[6]=aten.clamp(self=x0,min=0,max=3) | " +
                         lookup + "t0) | t9"),
        "Embedding");
    auto const computed = descriptor_of(
        parse_descriptor("x0:float32[6,5]" + table + "t0:int64[6]=aten.argmax(self=x0,dim=1) | " +
                         lookup + "t0) | t9"),
        "Embedding");
    EXPECT_THAT(direct, HasSubstr("x0:int64[6]~ids:100 "));
    EXPECT_THAT(hot, HasSubstr("x0:int64[6]~ids:4 "));
    EXPECT_THAT(computed, HasSubstr("x0:int64[6]~made:"));
}

TEST(ValueWords, OfAPoolSayWhetherItsMapIsSmoothAndRectified) {
    std::string const conv =
        "x0:float32[1,3,32,32] w0:float32[4,3,3,3] | t0:float32[1,4,30,30]="
        "aten.conv2d(input=x0,weight=w0) | ";
    auto const pooled = [&](std::string const& between, std::string const& map) {
        return descriptor_of(
            parse_descriptor(conv + between + "t8:float32[1,4,15,15]=aten.max_pool2d(self=" + map +
                             ",kernel_size=[2,2]) | t8"),
            "MaxPool2d");
    };
    EXPECT_THAT(pooled("", "t0"), HasSubstr("~smooth "));
    EXPECT_THAT(pooled("t1:float32[1,4,30,30]=aten.relu(self=t0) | ", "t1"),
                HasSubstr("~smooth_relu "));
    auto const text = descriptor_of(
        parse_descriptor("x0:int64[2,32] w0:float32[100,8] | "
                         "t0:float32[2,32,8]=aten.embedding(weight=w0,indices=x0) | "
                         "t1:float32[2,8,32]/[256,1,8]=aten.transpose.int(self=t0,dim0=1,dim1=2) | "
                         "t2:float32[2,8,16]=aten.max_pool1d(self=t1,kernel_size=[2]) | t2"),
        "MaxPool1d");
    EXPECT_THAT(text, HasSubstr("~noise"));
}

TEST(ValueWords, EqualMakingsAreEqualAcrossModels) {
    // A causal mask made in the graph, in two models that differ elsewhere.
    std::string const mask =
        "t1:int64[8]=aten.arange(end=8) | t2:int64[8,1]=aten.unsqueeze(self=t1,dim=1) | "
        "t3:bool[8,8]=aten.gt.Tensor(self=t1,other=t2) | ";
    std::string const fill =
        "t9:float32[8,8]=aten.masked_fill.Scalar(self=x0,mask=t3,value=-inf) | t9";
    auto const one =
        descriptor_of(parse_descriptor("x0:float32[8,8] | " + mask + fill), "masked_fill");
    auto const other = descriptor_of(
        parse_descriptor("x0:float32[8,8] x1:int64[3] | t7:int64[3]=aten.neg(self=x1) | " + mask +
                         fill),
        "masked_fill");
    auto flipped = mask;
    flipped.replace(flipped.find("aten.gt"), 7, "aten.lt");
    auto const inverse =
        descriptor_of(parse_descriptor("x0:float32[8,8] | " + flipped + fill), "masked_fill");
    EXPECT_THAT(one, HasSubstr("~made:"));
    EXPECT_EQ(one, other);
    EXPECT_NE(one, inverse);
}

TEST(ValueWords, StandOnlyWhereValuesDecide) {
    auto const text =
        descriptor_of(parse_descriptor("x0:float32[8,32] w0:float32[4,32] | "
                                       "t0:float32[8,4]=aten.linear(input=x0,weight=w0) | t0"),
                      "Linear");
    EXPECT_THAT(text, Not(HasSubstr("~")));
}

}  // namespace
}  // namespace derate
