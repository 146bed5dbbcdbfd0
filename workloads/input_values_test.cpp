#include "workloads/input_values.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "workloads/descriptor.hpp"
#include "workloads/model_set.hpp"

namespace derate {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

/// Values of the first input of a program that is written down as a descriptor.
InputValues first_input(std::string const& text) {
    auto const program = parse_descriptor(text);
    return values_of(program).inputs.at(program.inputs.at(0).value);
}

/// The ids x0 go through `way` (from x0 to t9) into a table of 100 rows.
InputValues through(std::string const& way, std::string const& ids = "int64[4,6]") {
    return first_input("x0:" + ids + " w0:float32[100,8] | " + way +
                       " | t1:float32[4,6,8]=" + "aten.embedding(weight=w0,indices=t9) | t1");
}

void expect_spread(InputValues const& values, std::int64_t low, std::int64_t high,
                   std::string const& what) {
    EXPECT_EQ(values.pattern, ValuePattern::spread) << what;
    EXPECT_THAT(values.low, ElementsAre(low)) << what;
    EXPECT_THAT(values.high, ElementsAre(high)) << what;
}

TEST(InputValues, IdsAreFollowedBackToTheInput) {
    struct Case {
        char const* way;
        std::int64_t low;
        std::int64_t high;
    };
    for (auto const& [way, low, high] : {
             Case{"t9:int64[4,6]=aten.alias(self=x0)", 0, 99},
             Case{"t0:int64[24]=aten.flatten(self=x0) | t9:int64[4,6]=aten.view(self=t0,"
                  "size=[4,6])",
                  0, 99},
             Case{"t9:int64[4,5]/[6,1]=aten.slice.Tensor(self=x0,dim=1,start=1,end=6)", 0, 99},
             Case{"t9:int64[4,6]=aten.add.Tensor(self=x0,other=1)", -1, 98},
             Case{"t9:int64[4,6]=aten.add.Tensor(self=x0,other=3,alpha=2)", -6, 93},
             Case{"t9:int64[4,6]=aten.add_.Tensor(self=x0,other=1)", -1, 98},
             Case{"t9:int64[4,6]=aten.sub.Tensor(self=x0,other=10)", 10, 109},
             Case{"t9:int64[4,6]=aten.rsub.Scalar(self=x0,other=99)", 0, 99},
             Case{"t9:int64[4,6]=aten.neg(self=x0)", -99, 0},
             Case{"t9:int64[4,6]=aten.mul.Tensor(self=x0,other=4)", 0, 24},
             Case{"t9:int64[4,6]=aten.mul.Tensor(self=x0,other=-4)", -24, 0},
             Case{"t9:int64[4,6]=aten.floor_divide(self=x0,other=4)", 0, 399},
             Case{"t9:int64[4,6]=aten.div.Tensor_mode(self=x0,other=4,rounding_mode=\"floor\")", 0,
                  399},
             Case{"t9:int64[4,6]=aten.remainder.Scalar(self=x0,other=50)", 0, 49},
             Case{"t9:int64[4,6]=aten.remainder.Scalar(self=x0,other=5000)", 0, 99},
             Case{"t9:int64[4,6]=aten.bitwise_and.Scalar(self=x0,other=63)", 0, 63},
             Case{"t9:int64[4,6]=aten.bitwise_right_shift.Tensor_Scalar(self=x0,other=3)", 0, 799},
             Case{"t9:int64[4,6]=aten.clamp(self=x0,min=5,max=60)", 5, 60},
             Case{"t9:int64[4,6]=aten.clamp_min(self=x0,min=5)", 5, 99},
             Case{"t9:int64[4,6]=aten.clamp(self=x0,max=1000)", 0, 99},
             Case{"t9:int64[4,6]=aten.cumsum(self=x0,dim=1)", 0, 16},
             Case{"t0:int32[4,6]=aten.to.dtype(self=x0,dtype=dtype:int32) | "
                  "t2:int32[4,6]=aten.clamp(self=t0,min=0,max=40) | "
                  "t9:int64[4,6]=aten._to_copy(self=t2,dtype=dtype:int64)",
                  0, 40},
             Case{"t0:int64[8,6]=aten.cat(tensors={x0,x0},dim=0) | "
                  "t9:int64[4,6]=aten.slice.Tensor(self=t0,dim=0,start=2,end=6)",
                  0, 99},
             Case{"t0:bool[4,6]=aten.ge.Scalar(self=x0,other=7) | "
                  "t2:int64[4,6]=aten.add.Tensor(self=x0,other=2) | "
                  "t9:int64[4,6]=aten.where.self(condition=t0,self=t2,other=x0)",
                  0, 97},
             Case{"t0:bool[4,6]=aten.eq.Scalar(self=x0,other=7) | "
                  "t9:int64[4,6]=aten.masked_fill.Scalar(self=x0,mask=t0,value=0)",
                  0, 99},
         }) {
        expect_spread(through(way), low, high, way);
    }
}

TEST(InputValues, CoordinatesThatBecomeCellsAreSpreadOverThem) {
    auto const values = first_input(
        "x0:float32[4,6] w0:float32[100,8] | t0:float32[4,6]=aten.mul.Tensor(self=x0,other=128) | "
        "t2:float32[4,6]=aten.floor(self=t0) | t9:int64[4,6]=aten.to.dtype(self=t2,"
        "dtype=dtype:int64) | t1:float32[4,6,8]=aten.embedding(weight=w0,indices=t9) | t1");
    EXPECT_THAT(values.high, ElementsAre(99.0 / 128));
}

TEST(InputValues, APositionCountedFromAMaskLeavesItAMask) {
    // As RoBERTa and OPT find positions.
    auto const values = first_input(
        "x0:int64[2,100] w0:float32[514,8] w1:float32[2,100] | "
        "t0:int64[2,100]=aten.cumsum(self=x0,dim=1) | t1:int64[2,100]=aten.mul.Tensor(self=t0,"
        "other=x0) | t2:int64[2,100]=aten.add.Tensor(self=t1,other=1) | "
        "t3:float32[2,100,8]=aten.embedding(weight=w0,indices=t2) | "
        "t4:bool[2,100]=aten.ne.Scalar(self=x0,other=0) | "
        "t5:float32[2,100]=aten.masked_fill.Scalar(self=w1,mask=t4,value=0.0) | t3,t5");
    EXPECT_EQ(values.pattern, ValuePattern::padding);
}

TEST(InputValues, WhatIsComparedWithARowOfPositionsIsOneOfThem) {
    // one_hot by hand
    expect_spread(first_input("x0:int64[5,1] | t0:int64[9]=aten.arange(end=9) | "
                              "t1:bool[5,9]=aten.eq.Tensor(self=x0,other=t0) | "
                              "t2:float32[5,9]=aten.to.dtype(self=t1,dtype=dtype:float32) | t2"),
                  0, 8, "eq");
}

TEST(InputValues, IdsGivenAsFloatsAreSpreadToo) {
    expect_spread(through("t9:int64[4,6]=aten.to.dtype(self=x0,dtype=dtype:int64)", "float32[4,6]"),
                  0, 99, "a cast");
}

TEST(InputValues, EveryOperatorThatIndexesBounds) {
    struct Case {
        char const* program;
        std::int64_t high;
    };
    for (auto const& [program, high] : {
             Case{"x0:int64[9] w0:float32[50,4] x1:int64[3] | t0:float32[3,4],t1:int64[9],"
                  "t2:int64[3],t3:int64[3]=aten.embedding_bag.padding_idx(weight=w0,indices=x0,"
                  "offsets=x1,scale_grad_by_freq=false,mode=0,sparse=false,"
                  "per_sample_weights=none,include_last_offset=false,padding_idx=none) | t0",
                  49},
             Case{"x0:int64[5] w0:float32[70,8] | t0:float32[70,8]=aten.embedding_renorm_(self=w0,"
                  "indices=x0,max_norm=1.0,norm_type=2.0) | t0",
                  69},
             Case{"x0:int64[5] x1:float32[3,40] | t0:float32[3,5]=aten.index_select(self=x1,"
                  "dim=-1,index=x0) | t0",
                  39},
             Case{"x0:int64[5] x1:float32[3,40] | t0:float32[3,5]=aten.index.Tensor(self=x1,"
                  "indices=?{_,x0}) | t0",
                  39},
             Case{"x0:int64[3,5] x1:float32[3,40] | t0:float32[3,5]=aten.gather(self=x1,dim=1,"
                  "index=x0) | t0",
                  39},
             Case{"x0:int64[3,5] x1:float32[3,40] | t0:float32[3,5]=aten.take_along_dim(self=x1,"
                  "indices=x0,dim=1) | t0",
                  39},
             Case{"x0:int64[5] x1:float32[3,40] | t0:float32[5]=aten.take(self=x1,index=x0) | t0",
                  119},
             Case{"x0:int64[3,5] x1:float32[3,40] x2:float32[3,5] | t0:float32[3,40]="
                  "aten.scatter_add(self=x1,dim=1,index=x0,src=x2) | t0",
                  39},
             Case{"x0:int64[7] | t0:int64[7,12]=aten.one_hot(self=x0,num_classes=12) | t0", 11},
             Case{"x0:int64[2] x1:float32[2,17] | t0:float32[]=aten.cross_entropy_loss(self=x1,"
                  "target=x0) | t0",
                  16},
         }) {
        expect_spread(first_input(program), 0, high, program);
    }
}

TEST(InputValues, TheSmallestOfSeveralTablesBounds) {
    expect_spread(first_input("x0:int64[6] w0:float32[1000,4] w1:float32[30,4] | "
                              "t0:float32[6,4]=aten.embedding(weight=w0,indices=x0) | "
                              "t1:int64[6]=aten.sub.Tensor(self=x0,other=5) | "
                              "t2:float32[6,4]=aten.embedding(weight=w1,indices=t1) | t0,t2"),
                  5, 34, "0 to 999 and 5 to 34");
}

TEST(InputValues, EveryColumnHasItsTableWhereOffsetsAreKnown) {
    // Three fields of 10, 1000 and 5 values in one table, as recommenders keep them.
    auto program = parse_descriptor(
        "x0:int64[2,3] w1:int64[3] w0:float32[1015,4] | "
        "t0:int64[2,3]=aten.add.Tensor(self=x0,other=w1) | "
        "t1:float32[2,3,4]=aten.embedding(weight=w0,indices=t0) | t1");
    std::vector<std::byte> bytes(24);
    std::int64_t const offsets[] = {0, 10, 1010};
    std::memcpy(bytes.data(), offsets, sizeof offsets);
    program.constants[program.inputs.at(1).value] = bytes;
    auto const values = values_of(program);
    auto const& ids = values.inputs.at(program.inputs.at(0).value);
    EXPECT_THAT(ids.low, ElementsAre(0, 0, 0));
    EXPECT_THAT(ids.high, ElementsAre(9, 999, 4));
    EXPECT_FALSE(values.inputs.contains(program.inputs.at(1).value)) << "the export has its values";
    EXPECT_THAT(values.words.at(static_cast<std::size_t>(program.inputs.at(1).value)),
                StartsWith("table:"));
}

/// The bounds of every column of the first input's last dimension, or of every row where `of_rows`.
void expect_fields(std::string const& program, std::vector<double> const& low,
                   std::vector<double> const& high, bool of_rows = false) {
    auto const values = first_input(program);
    auto const fields = static_cast<std::int64_t>(low.size());
    auto const shape = of_rows ? std::vector<std::int64_t>{fields, 1} : std::vector{fields};
    EXPECT_EQ(
        values,
        (InputValues{
            .pattern = ValuePattern::spread, .low = low, .high = high, .bounds_shape = shape}))
        << program;
}

TEST(InputValues, EveryColumnHasItsTableWhereItAloneReachesIt) {
    std::string const tables =
        "x0:int64[8,3] w0:float32[1000,4] w1:float32[3,4] w2:float32[24,4] | ";
    std::string const lookups =
        "t10:float32[8,4]=aten.embedding(weight=w0,indices=t0) | "
        "t11:float32[8,4]=aten.embedding(weight=w1,indices=t1) | "
        "t12:float32[8,4]=aten.embedding(weight=w2,indices=t2) | t10,t11,t12";
    std::string const each =
        "t0:int64[8]/[3]=aten.select.int(self=x0,dim=1,index=0) | "
        "t1:int64[8]/[3]=aten.select.int(self=x0,dim=1,index=1) | "
        "t2:int64[8]/[3]=aten.select.int(self=x0,dim=1,index=-1) | ";
    expect_fields(tables + each + lookups, {0, 0, 0}, {999, 2, 23});
    expect_fields(tables +
                      "{t0:int64[8]/[3],t1:int64[8]/[3],t2:int64[8]/[3]}=aten.unbind.int(self=x0,"
                      "dim=1) | " +
                      lookups,
                  {0, 0, 0}, {999, 2, 23});
    // Rows, as bags of several features are kept.
    std::string rows = tables + each + lookups;
    for (auto at = rows.find("dim=1"); at != std::string::npos; at = rows.find("dim=1")) {
        rows.replace(at, 5, "dim=0");
    }
    for (auto at = rows.find("]/[3]"); at != std::string::npos; at = rows.find("]/[3]")) {
        rows.replace(at, 5, "]");
    }
    rows.replace(rows.find("[8,3]"), 5, "[3,8]");
    expect_fields(rows, {0, 0, 0}, {999, 2, 23}, true);
    // A column that nobody reads is like another.
    auto const partly = first_input(
        "x0:int64[8,3] w0:float32[50,4] | "
        "t0:int64[8,2]/[3,1]=aten.slice.Tensor(self=x0,dim=1,start=1,end=3) | "
        "t1:float32[8,2,4]=aten.embedding(weight=w0,indices=t0) | t1");
    expect_spread(partly, 0, 49, "a slice");
}

TEST(InputValues, EveryColumnHasItsFieldWhereNumbersShiftIt) {
    expect_fields(
        "x0:int64[8,3] w0:float32[115,4] | "
        "t0:int64[8]/[3]=aten.select.int(self=x0,dim=1,index=0) | "
        "t1:int64[8]/[3]=aten.select.int(self=x0,dim=1,index=1) | "
        "t2:int64[8]=aten.add.Tensor(self=t1,other=10) | "
        "t3:int64[8]/[3]=aten.select.int(self=x0,dim=1,index=2) | "
        "t4:int64[8]=aten.add.Tensor(self=t3,other=110) | "
        "t5:int64[8,3]=aten.stack(tensors={t0,t2,t4},dim=1) | "
        "t6:float32[8,3,4]=aten.embedding(weight=w0,indices=t5) | t6",
        {0, 0, 0}, {9, 99, 4});
}

/// `way` makes t9, what each column of x0:int64[2,3] is shifted by, of w1, which holds `table`.
ProgramValues shifted_by_table(std::string const& way, std::vector<std::int64_t> const& table,
                               std::string const& sum =
                                   "t0:int64[2,3]=aten.add.Tensor(self=x0,"
                                   "other=t9)") {
    auto program =
        parse_descriptor("x0:int64[2,3] w1:int64[3] w0:float32[1015,4] | " + way + " | " + sum +
                         " | t1:float32[2,3,4]=aten.embedding(weight=w0,indices=t0)"
                         " | t1");
    std::vector<std::byte> bytes(table.size() * sizeof(std::int64_t));
    std::memcpy(bytes.data(), table.data(), bytes.size());
    program.constants[program.inputs.at(1).value] = bytes;
    return values_of(program);
}

TEST(InputValues, OffsetsThatTheGraphMakesOfConstantsAreKnown) {
    std::string const begins =
        "t2:int64[3]=aten.cumsum(self=w1,dim=0) | "
        "t3:int64[2]=aten.slice.Tensor(self=t2,dim=0,start=0,end=-1) | "
        "t4:int64[1]=aten.zeros(size=[1]) | t9:int64[3]=aten.cat(tensors={t4,t3})";
    auto const ids = shifted_by_table(begins, {10, 1000, 5}).inputs.at(0);
    EXPECT_THAT(ids.low, ElementsAre(0, 0, 0));
    EXPECT_THAT(ids.high, ElementsAre(9, 999, 4));
    auto const less = shifted_by_table(
        "t2:int64[3]=aten.cumsum(self=w1,dim=0) | t9:int64[3]=aten.sub.Tensor(self=t2,other=w1)",
        {10, 1000, 5});
    EXPECT_EQ(less.inputs.at(0), ids);
    // In any order, and under a transposition.
    EXPECT_THAT(shifted_by_table("t9:int64[3]=aten.alias(self=w1)", {5, 15, 0}).inputs.at(0).high,
                ElementsAre(9, 999, 4));
    auto const transposed =
        shifted_by_table("t9:int64[3,1]=aten.unsqueeze(self=w1,dim=1)", {0, 10, 1010},
                         "t2:int64[3,2]/[1,3]=aten.numpy_T(self=x0) | "
                         "t3:int64[3,2]=aten.add.Tensor(self=t2,other=t9) | "
                         "t0:int64[2,3]/[1,2]=aten.t(self=t3)");
    EXPECT_EQ(transposed.inputs.at(0), ids);
    EXPECT_THAT(transposed.words.at(0), "ids_by_column:1000");
}

TEST(InputValues, ConstantsThatCannotBeFollowedLeaveNoGuess) {
    auto const values = shifted_by_table("t9:int64[3]=aten.bitwise_not(self=w1)", {-1, -11, -1011});
    expect_spread(values.inputs.at(0), 0, 1, "the offsets are not known");
    EXPECT_THAT(values.notes, ElementsAre(AllOf(StartsWith("x0: "), HasSubstr("aten.add"))));
}

TEST(InputValues, WhatIsWrittenIntoAViewReachesTheTableOfTheWhole) {
    // As T5 and BART shift labels to the right.
    std::string const lookup = " | t9:float32[4,6,8]=aten.embedding(weight=w0,indices=";
    for (auto const* base : {"aten.new_zeros(self=x0,size=[4,6])", "aten.zeros(size=[4,6])",
                             "aten.empty.memory_format(size=[4,6])",
                             "aten.full(size=[4,6],fill_value=3)", "aten.clone(self=x1)"}) {
        std::string const shift =
            "x0:int64[4,6] x1:int64[4,6] w0:float32[100,8] | t0:int64[4,6]=" + std::string{base} +
            " | t1:int64[4,5]/[6,1]=aten.slice.Tensor(self=x0,dim=1,start=0,end=-1) | "
            "t2:int64[4,5]/[6,1]=aten.slice.Tensor(self=t0,dim=1,start=1,end=6) | "
            "t3:int64[4,5]/[6,1]=aten.copy_(self=t2,src=t1) | "
            "t4:int64[4]/[6]=aten.select.int(self=t0,dim=1,index=0) | "
            "t5:int64[4]/[6]=aten.fill_.Scalar(self=t4,value=0)";
        auto const program = parse_descriptor(shift + lookup + "t0) | t9");
        auto const values = values_of(program);
        expect_spread(values.inputs.at(program.inputs.at(0).value), 0, 99, base);
        EXPECT_THAT(values.notes, IsEmpty());
        auto const& looked_up = program.nodes.back().arguments.back().value;
        auto const ids = std::get<TensorArgument>(looked_up).value;
        EXPECT_THAT(values.words.at(static_cast<std::size_t>(ids)), "ids:100") << base;
        expect_spread(
            first_input(shift + " | t6:bool[4,6]=aten.eq.Scalar(self=t0,other=-100) | "
                                "t7:int64[4,6]=aten.masked_fill_.Scalar(self=t0,mask=t6,value=1) | "
                                "t8:int64[24]=aten.view(self=t0,size=[24]) | "
                                "t9:float32[24,8]=aten.embedding(weight=w0,indices=t8) | t9"),
            0, 99, base);
    }
    // Exported without in-place calls.
    expect_spread(
        first_input("x0:int64[4,6] w0:float32[100,8] | t0:int64[4,6]=aten.zeros(size=[4,6]) | "
                    "t1:int64[4,5]/[6,1]=aten.slice.Tensor(self=x0,dim=1,start=0,end=-1) | "
                    "t2:int64[4,6]=aten.slice_scatter(self=t0,src=t1,dim=1,start=1,end=6)" +
                    lookup + "t2) | t9"),
        0, 99, "slice_scatter");
}

TEST(InputValues, WhatARemainderFoldsMayBeAnything) {
    constexpr std::int64_t widest = 2147483647;
    for (auto const* way :
         {"t0:int64[4,6]=aten.mul.Tensor(self=x0,other=2654435761) | "
          "t9:int64[4,6]=aten.remainder.Scalar(self=t0,other=100)",
          "t0:int64[4,6]=aten.mul.Tensor(self=x0,other=31) | "
          "t2:int64[4,6]=aten.add.Tensor(self=t0,other=7) | "
          "t9:int64[4,6]=aten.remainder.Scalar(self=t2,other=50)",
          "t0:int64[4,6]=aten.bitwise_right_shift.Tensor_Scalar(self=x0,other=3) | "
          "t2:int64[4,6]=aten.bitwise_xor.Tensor(self=x0,other=t0) | "
          "t9:int64[4,6]=aten.bitwise_and.Scalar(self=t2,other=63)"}) {
        expect_spread(through(way), 0, widest, way);
    }
    // It reaches beyond the table: the remainder is no help.
    expect_spread(through("t0:int64[4,6]=aten.mul.Tensor(self=x0,other=3) | "
                          "t9:int64[4,6]=aten.remainder.Scalar(self=t0,other=5000)"),
                  0, 33, "99 / 3");
    expect_spread(through("t0:int64[4,6]=aten.mul.Tensor(self=x0,other=31) | "
                          "t9:int64[4,6]=aten.remainder.Scalar(self=t0,other=50)",
                          "uint8[4,6]"),
                  0, 255, "as far as the type goes");
    auto const program = parse_descriptor(
        "x0:int64[6] w0:float32[100,4] | t0:int64[6]=aten.mul.Tensor(self=x0,other=31) | "
        "t1:int64[6]=aten.remainder.Scalar(self=t0,other=100) | "
        "t2:float32[6,4]=aten.embedding(weight=w0,indices=t1) | t2");
    EXPECT_THAT(values_of(program).words, testing::Contains("ids:100")) << "what the table sees";
}

TEST(InputValues, PositionsCountedFromAMaskByItsSumLessOneLeaveItAMask) {
    // As GPT-2 and OPT find positions.
    auto const program = parse_descriptor(
        "x0:int64[4,32] w0:float32[128,8] | t0:int64[4,32]=aten.cumsum(self=x0,dim=-1) | "
        "t1:int64[4,32]=aten.sub.Tensor(self=t0,other=1) | "
        "t2:bool[4,32]=aten.eq.Scalar(self=x0,other=0) | "
        "t3:int64[4,32]=aten.masked_fill.Scalar(self=t1,mask=t2,value=1) | "
        "t4:float32[4,32,8]=aten.embedding(weight=w0,indices=t3) | t4");
    auto const values = values_of(program);
    EXPECT_EQ(values.inputs.at(0).pattern, ValuePattern::padding);
    EXPECT_FALSE(values.inputs.at(0).inverted);
    EXPECT_THAT(values.notes, IsEmpty());
}

TEST(InputValues, LengthsWhoseSumsAreOffsetsShareTheIds) {
    auto const program = parse_descriptor(
        "x0:int64[5] x1:int64[128] w0:float32[100,8] | t0:int64[1]=aten.zeros(size=[1]) | "
        "t1:int64[5]=aten.cumsum(self=x0,dim=0) | "
        "t2:int64[4]=aten.slice.Tensor(self=t1,dim=0,start=0,end=-1) | "
        "t3:int64[5]=aten.cat(tensors={t0,t2}) | t4:float32[5,8],t5:int64[128],t6:int64[5],"
        "t7:int64[5]=aten.embedding_bag.padding_idx(weight=w0,indices=x1,offsets=t3,"
        "scale_grad_by_freq=false,mode=0,sparse=false,per_sample_weights=none,"
        "include_last_offset=false,padding_idx=none) | t4");
    auto const values = values_of(program);
    EXPECT_EQ(
        values.inputs.at(0),
        (InputValues{.pattern = ValuePattern::lengths, .low = {13}, .high = {26}, .total = 128}));
    EXPECT_THAT(values.notes, IsEmpty());
}

TEST(InputValues, CoordinatesAreNamedByTheRowsTheyReach) {
    auto const words = [](std::string const& scale) {
        return values_of(parse_descriptor(
                             "x0:float32[4,6] w0:float32[128,8] | t0:float32[4,6]=aten.mul.Tensor("
                             "self=x0,other=" +
                             scale +
                             ") | t1:int64[4,6]=aten.to.dtype(self=t0,dtype=dtype:int64) | "
                             "t2:float32[4,6,8]=aten.embedding(weight=w0,indices=t1) | t2"))
            .words;
    };
    for (auto const* scale : {"127.0", "0.5"}) {
        EXPECT_THAT(words(scale), testing::IsSupersetOf({"ids:128", "ids:128", "ids:128"}))
            << scale;
    }
}

TEST(InputValues, WhatCannotBeFollowedBackSaysSo) {
    auto const program = parse_descriptor(
        "x0:int64[6] x1:int64[6] w0:float32[1000,4] | "
        "t0:int64[6]=aten.bitwise_xor.Tensor(self=x0,other=x1) | "
        "t1:float32[6,4]=aten.embedding(weight=w0,indices=t0) | t1");
    auto const values = values_of(program);
    expect_spread(values.inputs.at(0), 0, 1, "fallen back");
    EXPECT_THAT(values.notes,
                ElementsAre(AllOf(StartsWith("x0: "), HasSubstr("aten.bitwise_xor")),
                            AllOf(StartsWith("x1: "), HasSubstr("aten.bitwise_xor"))));
    auto const apart = parse_descriptor(
        "x0:int64[6] w0:float32[10,4] | t0:int64[6]=aten.add.Tensor(self=x0,other=50) | "
        "t1:float32[6,4]=aten.embedding(weight=w0,indices=t0) | "
        "t2:float32[6,4]=aten.embedding(weight=w0,indices=x0) | t1,t2");
    EXPECT_THAT(values_of(apart).notes, ElementsAre(HasSubstr("no value of it is a row")));
}

TEST(InputValues, OffsetsAndLengthsAndWrittenPlacesAreValid) {
    auto const bag = parse_descriptor(
        "x0:int64[9] x1:int64[4] w0:float32[50,4] | t0:float32[3,4],t1:int64[9],t2:int64[3],"
        "t3:int64[3]=aten.embedding_bag.padding_idx(weight=w0,indices=x0,offsets=x1,"
        "scale_grad_by_freq=false,mode=0,sparse=false,per_sample_weights=none,"
        "include_last_offset=true,padding_idx=none) | t0");
    EXPECT_EQ(values_of(bag).inputs.at(1),
              (InputValues{.pattern = ValuePattern::offsets, .low = {0}, .high = {9}, .total = 9}));
    EXPECT_EQ(
        first_input("x0:int64[3] x1:float32[3,10,4] | t0:float32[20,4],t1:int64[10]="
                    "aten._pack_padded_sequence(input=x1,lengths=x0,batch_first=true) | t0"),
        (InputValues{.pattern = ValuePattern::lengths, .low = {5}, .high = {10}, .total = 20}));
    // A length that a row of positions is compared with.
    EXPECT_EQ(
        first_input("x0:int64[3,1] x1:float32[3,8] | t0:int64[8]=aten.arange(end=8) | "
                    "t1:bool[3,8]=aten.lt.Tensor(self=t0,other=x0) | "
                    "t2:float32[3,8]=aten.masked_fill.Scalar(self=x1,mask=t1,value=0.0) | t2"),
        (InputValues{.pattern = ValuePattern::lengths, .low = {4}, .high = {8}}));
    auto const written = first_input(
        "x0:int64[2] x1:float32[1,64,4] x2:float32[1,2,4] | t0:float32[1,64,4]="
        "aten.index_copy(self=x1,dim=1,index=x0,source=x2) | t0");
    EXPECT_EQ(written.pattern, ValuePattern::ascending);
    EXPECT_THAT(written.low, ElementsAre(31));
}

TEST(InputValues, MasksComeInBlocks) {
    auto const masked = [](std::string const& mask, std::string const& scores) {
        return first_input("x0:bool" + mask + " x1:float32" + scores + " | t0:float32" + scores +
                           "=aten.masked_fill.Scalar(self=x1,mask=x0,value=-inf) | t0");
    };
    auto const causal = masked("[16,16]", "[2,4,16,16]");
    EXPECT_EQ(causal.pattern, ValuePattern::causal);
    EXPECT_TRUE(causal.inverted) << "what is true is filled";
    EXPECT_EQ(masked("[2,1,1,16]", "[2,4,16,16]").pattern, ValuePattern::padding);
    EXPECT_EQ(masked("[2,5,16]", "[2,5,16]").pattern, ValuePattern::halves);
    auto const kept = first_input(
        "x0:bool[16,16] x1:float32[2,16,16] x2:float32[] | t0:float32[2,16,16]="
        "aten.where.self(condition=x0,self=x1,other=x2) | t0");
    EXPECT_EQ(kept.pattern, ValuePattern::causal);
    EXPECT_FALSE(kept.inverted);
    auto const flipped = first_input(
        "x0:bool[16,16] x1:float32[2,16,16] x2:float32[] | t1:bool[16,16]=aten.logical_not(self=x0)"
        " | t0:float32[2,16,16]=aten.where.self(condition=t1,self=x1,other=x2) | t0");
    EXPECT_TRUE(flipped.inverted);
    // An attention mask of integers: 1 is a token.
    auto const numbers = first_input(
        "x0:int64[2,16] x1:float32[2,16] | t0:bool[2,16]=aten.eq.Scalar(self=x0,other=0) | "
        "t1:float32[2,16]=aten.masked_fill.Scalar(self=x1,mask=t0,value=-inf) | t1");
    EXPECT_EQ(numbers.pattern, ValuePattern::padding);
    EXPECT_FALSE(numbers.inverted);
}

TEST(InputValues, FloatsThatAreOnlyComparedAreAMask) {
    auto const padded = [](std::string const& uses) {
        return first_input("x0:float32[2,16] x1:float32[2,16] x2:float32[2,16,8] | " + uses);
    };
    auto const filled = [](std::string const& mask) {
        return mask + " | t9:float32[2,16]=aten.masked_fill.Scalar(self=x1,mask=t0,value=-inf) | t9";
    };
    auto const is_zero = padded(filled("t0:bool[2,16]=aten.eq.Scalar(self=x0,other=0)"));
    EXPECT_EQ(is_zero.pattern, ValuePattern::padding);
    EXPECT_FALSE(is_zero.inverted) << "0 is left out";
    auto const above_half = padded(filled("t0:bool[2,16]=aten.gt.Scalar(self=x0,other=0.5)"));
    EXPECT_TRUE(above_half.inverted) << "1 is left out";
    auto const cast = padded(filled("t0:bool[2,16]=aten.to.dtype(self=x0,dtype=dtype:bool)"));
    EXPECT_EQ(cast.pattern, ValuePattern::padding);
    // As Hugging Face's BERT turned its mask round: (1 - mask).to(bool).
    auto const turned = padded(
        filled("t1:float32[2,16]=aten.rsub.Scalar(self=x0,other=1) | "
               "t0:bool[2,16]=aten.to.dtype(self=t1,dtype=dtype:bool)"));
    EXPECT_EQ(turned.pattern, ValuePattern::padding);
    EXPECT_FALSE(turned.inverted);
    // The mean over tokens: multiplied into what is larger, and counted.
    auto const pooled = padded(
        "t0:bool[2,16]=aten.eq.Scalar(self=x0,other=0) | "
        "t1:float32[2,16]=aten.masked_fill.Scalar(self=x1,mask=t0,value=-inf) | "
        "t2:float32[2,16,1]=aten.unsqueeze(self=x0,dim=-1) | "
        "t3:float32[2,16,8]=aten.mul.Tensor(self=x2,other=t2) | "
        "t4:float32[2]=aten.sum.dim_IntList(self=x0,dim=[1]) | t1,t3,t4");
    EXPECT_EQ(pooled.pattern, ValuePattern::padding);
}

TEST(InputValues, FloatsThatAreComparedAndComputedWithAreNoMask) {
    // A leaky ReLU by hand, a clamp from below, and a limit that no flag reaches.
    for (std::string const uses :
         {"t0:bool[2,16]=aten.gt.Scalar(self=x0,other=0) | "
          "t1:float32[2,16]=aten.mul.Tensor(self=x0,other=0.1) | "
          "t2:float32[2,16]=aten.where.self(condition=t0,self=x0,other=t1) | "
          "t3:float32[2,16]=aten.exp(self=t2) | t3",
          "t0:bool[2,16]=aten.lt.Scalar(self=x0,other=0) | "
          "t1:float32[2,16]=aten.exp(self=x0) | "
          "t2:float32[2,16]=aten.masked_fill.Scalar(self=t1,mask=t0,value=0.0) | t2",
          "t0:bool[2,16]=aten.lt.Scalar(self=x0,other=-3) | "
          "t2:float32[2,16]=aten.masked_fill.Scalar(self=x1,mask=t0,value=0.0) | t2"}) {
        EXPECT_EQ(first_input("x0:float32[2,16] x1:float32[2,16] | " + uses).pattern,
                  ValuePattern::normal)
            << uses;
    }
}

TEST(InputValues, ImagesAreSmoothAndFeaturesAreNot) {
    auto const conv = [](std::string const& before) {
        return first_input("x0:float32[1,3,32,32] w0:float32[4,3,3,3] | " + before +
                           "t1:float32[1,4,30,30]=aten.conv2d(input=t0,weight=w0) | t1")
            .pattern;
    };
    EXPECT_EQ(conv("t0:float32[1,3,32,32]=aten.div.Tensor(self=x0,other=255.0) | "),
              ValuePattern::smooth);
    EXPECT_EQ(first_input("x0:uint8[1,3,32,32] w0:float32[4,3,3,3] | "
                          "t0:float32[1,3,32,32]=aten.to.dtype(self=x0,dtype=dtype:float32) | "
                          "t1:float32[1,4,30,30]=aten.conv2d(input=t0,weight=w0) | t1")
                  .pattern,
              ValuePattern::smooth);
    EXPECT_EQ(first_input("x0:float32[8,32] w0:float32[4,32] | "
                          "t0:float32[8,4]=aten.linear(input=x0,weight=w0) | t0")
                  .pattern,
              ValuePattern::normal);
}

TEST(InputValues, ShippedModelsNeedNoFallBack) {
    for (auto const& entry : read_catalogue(models_directory())) {
        auto const values = values_of(load_model(entry.name).program);
        EXPECT_THAT(values.notes, IsEmpty()) << entry.name;
    }
}

}  // namespace
}  // namespace derate
