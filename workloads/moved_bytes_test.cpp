#include "workloads/moved_bytes.hpp"

#include <gtest/gtest.h>

#include "workloads/descriptor.hpp"
#include "workloads/partition.hpp"

namespace derate {
namespace {

Traffic traffic_of(std::string const& descriptor) {
    auto const cut = partition(parse_descriptor(descriptor));
    EXPECT_EQ(cut.subgraphs.size(), 1U) << descriptor;
    return cut.subgraphs.at(0).subgraph.traffic;
}

double work_of_only(std::string const& descriptor) {
    auto const program = parse_descriptor(descriptor);
    return work_of(program, program.nodes.back()).value();
}

/// Bytes of a cache of 1 x 2 x 64 x 8 floats that gets one new row of 1 x 2 x 1 x 8: 64 of 4096.
void expect_row(std::string const& call, double read, double written) {
    auto const moved = traffic_of(call);
    EXPECT_EQ(moved.input.value() + moved.weights.value(), read) << call;
    EXPECT_EQ(moved.output.value(), written) << call;
}

TEST(InPlaceWrites, MoveWhatTheyWrite) {
    std::string const cache = "w0:float32[1,2,64,8] ";
    expect_row("x0:int64[1] x1:float32[1,2,1,8] " + cache +
                   "| t0:float32[1,2,64,8]=aten.index_copy_(self=w0,dim=2,index=x0,source=x1) | ",
               64 + 8, 64);
    expect_row("x0:float32[2,1,8] x1:int64[1] " + cache +
                   "| t0:float32[1,2,64,8]=aten.index_put_(self=w0,indices=?{_,_,x1},values=x0) | ",
               64 + 8, 64);
    expect_row("x0:int64[1,2,1,8]/[1,0,1,0] x1:float32[1,2,1,8] " + cache +
                   "| t0:float32[1,2,64,8]=aten.scatter_.src(self=w0,dim=2,index=x0,src=x1) | ",
               64 + 8, 64);
    expect_row("x0:float32[1,2,1,8] " + cache +
                   "| t0:float32[1,2,1,8]/[1024,512,8,1]=aten.slice.Tensor(self=w0,dim=2,start=5,"
                   "end=6) | t1:float32[1,2,1,8]/[1024,512,8,1]=aten.copy_(self=t0,src=x0) | ",
               64, 64);
    expect_row("x0:int64[3] " + cache +
                   "| t0:float32[1,2,64,8]=aten.index_fill_.int_Scalar(self=w0,dim=2,index=x0,"
                   "value=0) | ",
               24, 3 * 64);
    expect_row("x0:int64[16] x1:float32[16] " + cache +
                   "| t0:float32[1,2,64,8]=aten.put_(self=w0,index=x0,source=x1) | ",
               64 + 128, 64);
    expect_row("x0:int64[1,2,5,8] " + cache +
                   "| t0:float32[1,2,64,8]=aten.scatter_.value(self=w0,dim=2,index=x0,value=1) | ",
               8 * 80, 4 * 80);
    expect_row("w0:float32[6,9] | t0:float32[6,9]=aten.fill_diagonal_(self=w0,fill_value=1) | ", 0,
               24);
}

TEST(InPlaceWrites, ReadWhatTheyAddTo) {
    std::string const cache = "w0:float32[64,8] ";
    expect_row("x0:int64[2] x1:float32[2,8] " + cache +
                   "| t0:float32[64,8]=aten.index_add_(self=w0,dim=0,index=x0,source=x1) | ",
               64 + 64 + 16, 64);
    expect_row("x0:int64[2,8] x1:float32[2,8] " + cache +
                   "| t0:float32[64,8]=aten.scatter_add_(self=w0,dim=0,index=x0,src=x1) | ",
               64 + 64 + 128, 64);
    expect_row("x0:int64[2] x1:float32[2,8] " + cache +
                   "| t0:float32[64,8]=aten.index_put_(self=w0,indices=?{x0},values=x1,"
                   "accumulate=true) | ",
               64 + 64 + 16, 64);
    EXPECT_EQ(work_of_only("x0:int64[2] x1:float32[2,8] w0:float32[64,8] | t0:float32[64,8]="
                           "aten.index_add_(self=w0,dim=0,index=x0,source=x1) | "),
              16)
        << "an addition an element of the source, not of the buffer";
    EXPECT_EQ(work_of_only("x0:int64[500,8] x1:float32[500,8] w0:float32[64,8] | t0:float32[64,8]="
                           "aten.scatter_add_(self=w0,dim=0,index=x0,src=x1) | "),
              4000)
        << "many to one place";
}

// torch.export writes a list without gaps as one of tensors, not of optional ones: a paged cache,
// `cache[block, offset] = x` (PyTorch 2.15.0), seemed to be written whole.
TEST(InPlaceWrites, OfAListOfIndicesWithoutGaps) {
    std::string const inputs = "x0:int64[3] x1:int64[3] x2:float32[3,8] w0:float32[16,4,8] ";
    expect_row(
        inputs + "| t0:float32[16,4,8]=aten.index_put_(self=w0,indices={x0,x1},values=x2) | ",
        24 + 24 + 96, 96);
    expect_row(inputs +
                   "| t0:float32[16,4,8]=aten.index_put_(self=w0,indices={x0,x1},values=x2,"
                   "accumulate=true) | ",
               96 + 24 + 24 + 96, 96);
    EXPECT_EQ(work_of_only(inputs + "| t0:float32[16,4,8]=aten.index_put_(self=w0,indices={x0,x1},"
                                    "values=x2,accumulate=true) | "),
              24);
}

TEST(InPlaceWrites, OfAnOperatorOfOnesOwnThatReturnsNothing) {
    // torch.library.custom_op(mutates_args={"x"}): what it changes is not in the export.
    expect_row("x0:float32[64,8] w0:float32[8] | =mylib.scale_rows(x=x0,w=w0) | ", 2048 + 32, 2048);
    expect_row("x0:int64[4] x1:float16[4,8] | =mylib.drop_rows(rows=x0,of=x1) | ", 32 + 64, 64);
    expect_row("x0:int64[4] | =mylib.sort_ids(ids=x0) | ", 32, 32);
    EXPECT_EQ(work_of_only("x0:int64[4] x1:float16[4,8] | =mylib.drop_rows(rows=x0,of=x1) | "), 32);
}

TEST(InPlaceWrites, OfAMaskMayReachEverything) {
    std::string const inputs = "x0:bool[64,8] w0:float32[64,8] ";
    expect_row(inputs + "| t0:float32[64,8]=aten.masked_fill_.Scalar(self=w0,mask=x0,value=0) | ",
               512, 2048);
    expect_row("x1:float32[10] " + inputs +
                   "| t0:float32[64,8]=aten.masked_scatter_(self=w0,mask=x0,source=x1) | ",
               512 + 40, 40);
    expect_row("x1:float32[] " + inputs +
                   "| t0:float32[64,8]=aten.index_put_(self=w0,indices=?{x0},values=x1) | ",
               512 + 4, 2048);
}

TEST(ScatteredWrites, OutOfPlaceCopyTheWholeTensor) {
    expect_row(
        "x0:int64[1] x1:float32[1,2,1,8] w0:float32[1,2,64,8] | t0:float32[1,2,64,8]="
        "aten.index_copy(self=w0,dim=2,index=x0,source=x1) | t0",
        4096 + 64 + 8, 4096);
    expect_row(
        "x1:float32[1,2,1,8] w0:float32[1,2,64,8] | t0:float32[1,2,64,8]="
        "aten.slice_scatter(self=w0,src=x1,dim=2,start=5,end=6) | t0",
        4096 + 64, 4096);
    expect_row(
        "x1:float32[2,8] w0:float32[2,64,8] | t0:float32[2,64,8]="
        "aten.select_scatter(self=w0,src=x1,dim=1,index=3) | t0",
        4096 + 64, 4096);
}

// 1.2 MB of swin_t's windows were counted where a mask of 784 bytes is filled.
TEST(MovedBytes, ATensorThatLendsItsFormIsNotRead) {
    std::string const given = "x0:float32[64,49,96] | ";
    for (auto const* call :
         {"t0:float32[14,14]=aten.new_zeros(self=x0,size=[14,14]) | t0",
          "t0:float32[14,14]=aten.new_ones(self=x0,size=[14,14]) | t0",
          "t0:float32[14,14]=aten.new_full(self=x0,size=[14,14],fill_value=2) | t0"}) {
        expect_row(given + call, 0, 784);
    }
    std::string const small = "x0:float32[7,7] | ";
    for (auto const* call : {"t0:float32[7,7]=aten.zeros_like(self=x0) | t0",
                             "t0:float32[7,7]=aten.full_like(self=x0,fill_value=1) | t0",
                             "t0:float32[7,7]=aten.rand_like(self=x0) | t0",
                             "t0:float32[7,7]=aten.fill.Scalar(self=x0,value=1) | t0"}) {
        expect_row(small + call, 0, 196);
    }
    expect_row(
        "x0:float32[7,7] x1:float64[50,50] | t0:float64[7,7]=aten.type_as(self=x0,other=x1) | t0",
        196, 392);
    // A value that is filled in is read.
    expect_row(
        "x0:float32[7,7] x1:float32[] | t0:float32[7,7]=aten.fill.Tensor(self=x0,value=x1) | t0", 4,
        196);
}

TEST(MovedBytes, TheNameOfACustomOperatorSaysNothing) {
    std::string const given = "x0:float32[7,7] | t0:float32[7,7]=mylib.";
    for (auto const* name : {"new_gelu", "softmax_like", "empty_fuse", "fill"}) {
        expect_row(given + name + "(self=x0) | t0", 196, 196);
    }
}

TEST(MovedBytes, RandomNumbersInPlaceAreOnlyWritten) {
    expect_row("x0:float32[7,7] | t0:float32[7,7]=aten.uniform_(self=x0) | t0", 0, 196);
    expect_row("x0:float32[7,7] | t0:float32[7,7]=aten.relu_(self=x0) | t0", 196, 196);
}

TEST(MovedBytes, MemoryThatIsOnlyAskedForIsNotWritten) {
    std::string const given = "x0:float32[7,7] | t0:float32[7,7]=aten.";
    expect_row(given + "empty_like(self=x0) | t0", 0, 0);
    expect_row(given + "new_empty(self=x0,size=[7,7]) | t0", 0, 0);
    expect_row(given + "new_empty_strided(self=x0,size=[7,7],stride=[7,1]) | t0", 0, 0);
    expect_row(given + "ones_like(self=x0) | t0", 0, 196);
}

TEST(LookUps, ReadTheRowsThatAreRead) {
    std::string const table = "w0:float32[1000,16] ";
    expect_row(
        "x0:int64[6] " + table + "| t0:float32[6,16]=aten.embedding(weight=w0,indices=x0) | t0",
        48 + 6 * 64, 6 * 64);
    // 20 ids in two bags: 20 rows are read, two written.
    expect_row("x0:int64[20] x1:int64[2] " + table +
                   "| t0:float32[2,16],t1:int64[0],t2:int64[2],t3:int64[2]="
                   "aten.embedding_bag(weight=w0,indices=x0,offsets=x1) | t0",
               160 + 16 + 20 * 64, 2 * 64);
    expect_row("x0:int64[20000] x1:int64[2] " + table +
                   "| t0:float32[2,16],t1:int64[0],t2:int64[2],t3:int64[2]="
                   "aten.embedding_bag(weight=w0,indices=x0,offsets=x1) | t0",
               160000 + 16 + 64000, 2 * 64);
    expect_row("x0:int64[4,6]/[0,1] " + table +
                   "| t0:float32[4,6,16]=aten.embedding(weight=w0,indices=x0) | t0",
               48 + 6 * 64, 4 * 6 * 64);
    expect_row("x0:int64[3] " + table +
                   "| t0:float32[3,16]=aten.index_select(self=w0,dim=0,index=x0) | t0",
               24 + 3 * 64, 3 * 64);
    expect_row("x0:int64[7] " + table + "| t0:float32[7]=aten.take(self=w0,index=x0) | t0", 56 + 28,
               28);
}

}  // namespace
}  // namespace derate
