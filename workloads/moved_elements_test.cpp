#include "workloads/moved_elements.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "workloads/descriptor.hpp"

namespace derate {
namespace {

using Elements = std::vector<std::int64_t>;

/// Of the last call of a program with the input x0:int64[2,3].
std::optional<Elements> held(std::string const& calls, std::size_t result = 0,
                             std::size_t operand = 0) {
    auto const program = parse_descriptor("x0:int64[2,3] x1:int64[1,3] | " + calls + " | t9");
    return elements_held(program, program.nodes.back(), result, operand);
}

// The elements of x0 are 0 1 2 / 3 4 5.
TEST(MovedElements, AreFoundByShapesAndNumbers) {
    struct Case {
        char const* call;
        Elements expected;
    };
    for (auto const& [call, expected] : {
             Case{"t9:int64[6]=aten.view(self=x0,size=[6])", {0, 1, 2, 3, 4, 5}},
             Case{"t9:int64[3,2]=aten.t(self=x0)", {0, 3, 1, 4, 2, 5}},
             Case{"t9:int64[3,2]=aten.permute(self=x0,dims=[-1,0])", {0, 3, 1, 4, 2, 5}},
             Case{"t9:int64[3]=aten.select.int(self=x0,dim=0,index=-1)", {3, 4, 5}},
             Case{"t9:int64[2]=aten.select.int(self=x0,dim=1,index=1)", {1, 4}},
             Case{"t9:int64[2,2]=aten.slice.Tensor(self=x0,dim=1,start=-2,end=99)", {1, 2, 4, 5}},
             Case{"t9:int64[2,2]=aten.slice.Tensor(self=x0,dim=1,step=2)", {0, 2, 3, 5}},
             Case{"t9:int64[2,2,3]=aten.expand(self=x0,size=[2,2,3])",
                  {0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5}},
             Case{"t9:int64[2,3]=aten.flip(self=x0,dims=[1])", {2, 1, 0, 5, 4, 3}},
             Case{"t9:int64[2,3]=aten.roll(self=x0,shifts=[1],dims=[1])", {2, 0, 1, 5, 3, 4}},
             Case{"t9:int64[2,6]=aten.repeat(self=x0,repeats=[1,2])",
                  {0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5}},
             Case{"t9:int64[2,4]=aten.constant_pad_nd(self=x0,pad=[1,0],value=7)",
                  {-1, 0, 1, 2, -1, 3, 4, 5}},
         }) {
        EXPECT_EQ(held(call), expected) << call;
    }
}

TEST(MovedElements, OfSeveralOperandsAndResultsAreApart) {
    std::string const joined = "t9:int64[3,3]=aten.cat(tensors={x0,x1})";
    EXPECT_EQ(held(joined, 0, 0), (Elements{0, 1, 2, 3, 4, 5, -1, -1, -1}));
    EXPECT_EQ(held(joined, 0, 1), (Elements{-1, -1, -1, -1, -1, -1, 0, 1, 2}));
    std::string const stacked = "t9:int64[2,2,3]=aten.stack(tensors={x0,x0},dim=1)";
    EXPECT_EQ(held(stacked, 0, 1), (Elements{-1, -1, -1, 0, 1, 2, -1, -1, -1, 3, 4, 5}));
    std::string const scattered =
        "t9:int64[2,3]=aten.slice_scatter(self=x0,src=x1,dim=0,start=1,end=2)";
    EXPECT_EQ(held(scattered, 0, 0), (Elements{0, 1, 2, -1, -1, -1}));
    EXPECT_EQ(held(scattered, 0, 1), (Elements{-1, -1, -1, 0, 1, 2}));
    EXPECT_EQ(held("{t0:int64[2,1],t9:int64[2,2]}=aten.split_with_sizes(self=x0,split_sizes=[1,2],"
                   "dim=1)",
                   1),
              (Elements{1, 2, 4, 5}));
    EXPECT_EQ(held("{t0:int64[3],t9:int64[3]}=aten.unbind.int(self=x0)", 1), (Elements{3, 4, 5}));
    // What lay there before is written over; what is written is broadcast.
    EXPECT_EQ(held("t9:int64[2,3]=aten.copy_(self=x0,src=x1)", 0, 0), Elements(6, -1));
    EXPECT_EQ(held("t9:int64[2,3]=aten.copy_(self=x0,src=x1)", 0, 1), (Elements{0, 1, 2, 0, 1, 2}));
}

TEST(MovedElements, OfWhatValuesDecideAreUnknown) {
    EXPECT_FALSE(held("t9:int64[2,3],t8:int64[2,3]=aten.sort(self=x0,dim=1)"));
    EXPECT_FALSE(held("t9:int64[1,3]=aten.gather(self=x0,dim=0,index=x1)"));
}

}  // namespace
}  // namespace derate
