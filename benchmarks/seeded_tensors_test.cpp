#include "benchmarks/seeded_tensors.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/diff.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/remainder.h>
#include <ATen/ops/tril.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <set>
#include <stdexcept>

#include "benchmarks/interpreter.hpp"
#include "workloads/descriptor.hpp"
#include "workloads/input_values.hpp"

namespace derate::benchmarks {
namespace {

ExportedProgram case_file(std::string const& name) {
    return read_exported_program(std::filesystem::path{DERATE_TEST_DATA} / name);
}

at::Tensor drawn(ExportedProgram const& program, std::size_t input = 0) {
    return seeded_inputs(program, 0, "cpu")
        .at(static_cast<std::size_t>(program.inputs.at(input).value));
}

at::Tensor user_input(ExportedProgram const& program) {
    for (std::size_t i = 0; i < program.inputs.size(); ++i) {
        if (program.inputs[i].kind == InputKind::user_input) return drawn(program, i);
    }
    throw std::logic_error{"no user input"};
}

std::int64_t distinct(at::Tensor const& tensor) {
    auto const flat = tensor.to(at::kLong).contiguous();
    auto const* data = flat.const_data_ptr<std::int64_t>();
    return static_cast<std::int64_t>(std::set<std::int64_t>(data, data + flat.numel()).size());
}

std::int64_t least(at::Tensor const& tensor) { return tensor.min().item<std::int64_t>(); }
std::int64_t greatest(at::Tensor const& tensor) { return tensor.max().item<std::int64_t>(); }

/// A row of random values hits ever new rows of a large table, and its mean lies in the middle.
void expect_spread(at::Tensor const& ids, std::int64_t low, std::int64_t high) {
    EXPECT_GE(least(ids), low);
    EXPECT_LE(greatest(ids), high);
    auto const count = static_cast<double>(ids.numel());
    auto const rows = static_cast<double>(high - low + 1);
    // Expected number of distinct values of so many uniform draws.
    auto const expected = rows * (1 - std::pow(1 - 1 / rows, count));
    EXPECT_GT(static_cast<double>(distinct(ids)), 0.8 * expected);
    auto const mean = ids.to(at::kDouble).mean().item<double>();
    EXPECT_NEAR(mean, static_cast<double>(low + high) / 2, 4 * rows / std::sqrt(12 * count));
}

TEST(SeededInputs, IdsOfTheFilesAreSpreadOverTheTable) {
    for (auto const* file : {"bag.pt2", "ids_plain.pt2"}) {
        SCOPED_TRACE(file);
        expect_spread(user_input(case_file(file)), 0, 99'999);
    }
    expect_spread(user_input(case_file("ids_plus_one.pt2")), -1, 99'998);
}

/// Runs the program: an index out of bounds throws.
at::Tensor first_output(ExportedProgram const& program) {
    c10::InferenceMode const inference;
    auto slots = seeded_inputs(program, 0, "cpu");
    Interpreter interpreter{program, "cpu"};
    interpreter.run(slots);
    return slots.at(static_cast<std::size_t>(program.outputs.at(0)));
}

TEST(SeededInputs, IdsThroughCastClampAndShiftRun) {
    auto const program = parse_descriptor(
        "x0:int32[64,20] w0:float32[5000,8] | "
        "t0:int64[64,20]=aten.to.dtype(self=x0,dtype=dtype:int64) | "
        "t1:int64[64,20]=aten.add.Tensor(self=t0,other=-7) | "
        "t2:int64[64,20]=aten.clamp(self=t1,min=0,max=4000) | "
        "t3:float32[64,20,8]=aten.embedding(weight=w0,indices=t2) | t3");
    EXPECT_EQ(drawn(program).scalar_type(), at::kInt);
    expect_spread(drawn(program), 7, 4007);
    EXPECT_EQ(first_output(program).size(0), 64);
}

TEST(SeededInputs, CoordinatesFillTheirCells) {
    auto const program = parse_descriptor(
        "x0:float32[2000] w0:float32[64,8] | t0:float32[2000]=aten.mul.Tensor(self=x0,other=64) | "
        "t1:int64[2000]=aten.to.dtype(self=t0,dtype=dtype:int64) | "
        "t2:float32[2000,8]=aten.embedding(weight=w0,indices=t1) | t2");
    auto const cells = (drawn(program) * 64).to(at::kLong);
    EXPECT_GE(distinct(cells), 60);
    EXPECT_EQ(first_output(program).size(0), 2000);
}

TEST(SeededInputs, OneInputOfTwoTablesStaysWithinTheSmaller) {
    auto const program = parse_descriptor(
        "x0:int64[400] w0:float32[100000,4] w1:float32[300,4] | "
        "t0:float32[400,4]=aten.embedding(weight=w0,indices=x0) | "
        "t1:float32[400,4]=aten.embedding(weight=w1,indices=x0) | t0,t1");
    expect_spread(drawn(program), 0, 299);
    EXPECT_EQ(first_output(program).size(0), 400);
}

TEST(SeededInputs, BagsWithOffsetsOfTheirOwnRun) {
    auto const program = parse_descriptor(
        "x0:int64[1000] x1:int64[50] w0:float32[20000,16] | t0:float32[50,16],t1:int64[1000],"
        "t2:int64[50],t3:int64[50]=aten.embedding_bag.padding_idx(weight=w0,indices=x0,offsets=x1,"
        "scale_grad_by_freq=false,mode=0,sparse=false,per_sample_weights=none,"
        "include_last_offset=false,padding_idx=none) | t0");
    expect_spread(drawn(program), 0, 19'999);
    auto const offsets = drawn(program, 1);
    EXPECT_EQ(offsets[0].item<std::int64_t>(), 0);
    EXPECT_TRUE((at::diff(offsets) == 20).all().item<bool>()) << "50 bags of 20";
    EXPECT_EQ(first_output(program).size(0), 50);
}

TEST(SeededInputs, RowsOfOneInputAreDrawnForTheirTables) {
    // Two features, each with ids and offsets of bags of its own.
    auto const program = parse_descriptor(
        "x0:int64[2,1000] x1:int64[2,50] w0:float32[20000,4] w1:float32[3,4] | "
        "t0:int64[1000]=aten.select.int(self=x0,dim=0,index=0) | "
        "t1:int64[50]=aten.select.int(self=x1,dim=0,index=0) | "
        "t2:float32[50,4],t3:int64[1000],t4:int64[50],t5:int64[50]="
        "aten.embedding_bag.padding_idx(weight=w0,indices=t0,offsets=t1,scale_grad_by_freq=false,"
        "mode=0,sparse=false,per_sample_weights=none,include_last_offset=false,padding_idx=none) | "
        "t6:int64[1000]=aten.select.int(self=x0,dim=0,index=1) | "
        "t7:int64[50]=aten.select.int(self=x1,dim=0,index=1) | "
        "t8:float32[50,4],t9:int64[1000],t10:int64[50],t11:int64[50]="
        "aten.embedding_bag.padding_idx(weight=w1,indices=t6,offsets=t7,scale_grad_by_freq=false,"
        "mode=0,sparse=false,per_sample_weights=none,include_last_offset=false,padding_idx=none) | "
        "t12:float32[50,4]=aten.add.Tensor(self=t2,other=t8) | t12");
    expect_spread(drawn(program)[0], 0, 19'999);
    EXPECT_EQ(distinct(drawn(program)[1]), 3);
    auto const offsets = drawn(program, 1);
    for (int row = 0; row < 2; ++row) {
        EXPECT_EQ(offsets[row][0].item<std::int64_t>(), 0);
        EXPECT_TRUE((at::diff(offsets[row]) == 20).all().item<bool>()) << "50 bags of 20";
    }
    EXPECT_EQ(first_output(program).size(0), 50);
}

TEST(SeededInputs, HashesReachAllRows) {
    auto const program = parse_descriptor(
        "x0:int64[3000] w0:float32[100,8] | "
        "t0:int64[3000]=aten.mul.Tensor(self=x0,other=2654435761) | "
        "t1:int64[3000]=aten.remainder.Scalar(self=t0,other=100) | "
        "t2:float32[3000,8]=aten.embedding(weight=w0,indices=t1) | t2");
    auto const rows = at::remainder(drawn(program) * 2654435761, 100);
    EXPECT_EQ(distinct(rows), 100);
    EXPECT_EQ(first_output(program).size(0), 3000);
}

TEST(SeededInputs, GatheredPlacesLieWithinTheirDimension) {
    auto const program = parse_descriptor(
        "x0:int64[8,60] x1:float32[8,700] | "
        "t0:float32[8,60]=aten.gather(self=x1,dim=1,index=x0) | t0");
    expect_spread(drawn(program), 0, 699);
    EXPECT_EQ(first_output(program).size(1), 60);
}

TEST(SeededInputs, WrittenPlacesAreEachWrittenOnce) {
    auto const program = parse_descriptor(
        "x0:int64[5] x1:float32[1,64,4] x2:float32[1,5,4] | t0:float32[1,64,4]="
        "aten.index_copy(self=x1,dim=1,index=x0,source=x2) | t0");
    auto const places = drawn(program);
    EXPECT_EQ(distinct(places), 5);
    EXPECT_TRUE((at::diff(places) == 1).all().item<bool>());
    EXPECT_EQ(first_output(program).size(1), 64);
}

TEST(SeededInputs, PackedLengthsHaveTheSumOfTheExport) {
    auto const program = parse_descriptor(
        "x0:int64[4] x1:float32[4,10,3] | t0:float32[27,3],t1:int64[10]="
        "aten._pack_padded_sequence(input=x1,lengths=x0,batch_first=true) | t0");
    auto const lengths = drawn(program);
    EXPECT_EQ(lengths.sum().item<std::int64_t>(), 27);
    EXPECT_EQ(lengths[0].item<std::int64_t>(), 10);
    EXPECT_TRUE((at::diff(lengths) <= 0).all().item<bool>());
    EXPECT_EQ(first_output(program).size(0), 27);
}

TEST(SeededInputs, MasksAreBlocksAndLeaveSomethingInEveryRow) {
    auto const causal =
        drawn(parse_descriptor("x0:bool[12,12] x1:float32[2,12,12] | t0:float32[2,12,12]="
                               "aten.masked_fill.Scalar(self=x1,mask=x0,value=-inf) | t0"));
    auto const lower = at::ones({12, 12}, at::kBool).tril();
    EXPECT_TRUE(at::equal(causal.logical_not(), lower)) << "what is true is filled";
    auto const kept =
        drawn(parse_descriptor("x0:bool[12,12] x1:float32[12,12] x2:float32[] | t0:float32[12,12]="
                               "aten.where.self(condition=x0,self=x1,other=x2) | t0"));
    EXPECT_TRUE(at::equal(kept, lower));
    auto const padding = drawn(parse_descriptor(
        "x0:int64[6,32] x1:float32[6,32] | t0:bool[6,32]=aten.eq.Scalar(self=x0,other=0) | "
        "t1:float32[6,32]=aten.masked_fill.Scalar(self=x1,mask=t0,value=-inf) | t1"));
    EXPECT_TRUE((at::diff(padding) <= 0).all().item<bool>()) << "tokens first, padding after";
    auto const tokens = padding.sum(1);
    EXPECT_GE(least(tokens), 16);
    EXPECT_LT(greatest(tokens), 32);
    EXPECT_GT(distinct(tokens), 1);
}

TEST(SeededInputs, MapsAreSmooth) {
    auto const image =
        drawn(parse_descriptor("x0:float32[2,3,64,80] w0:float32[4,3,3,3] | "
                               "t0:float32[2,4,62,78]=aten.conv2d(input=x0,weight=w0) | t0"));
    auto const centred = image - image.mean();
    auto const variance = centred.square().mean().item<double>();
    EXPECT_GT(variance, 0.3);
    EXPECT_LT(variance, 3);
    for (auto const dimension : {2, 3}) {
        auto const step = at::diff(image, 1, dimension).square().mean().item<double>();
        // White noise has 2; photographs some hundredths.
        EXPECT_LT(step / variance, 0.1) << dimension;
        EXPECT_GT(step / variance, 0.001) << "no noise at all";
    }
    auto const camera =
        drawn(parse_descriptor("x0:uint8[1,3,64,64] w0:float32[4,3,3,3] | "
                               "t0:float32[1,3,64,64]=aten.to.dtype(self=x0,dtype=dtype:float32) | "
                               "t1:float32[1,4,62,62]=aten.conv2d(input=t0,weight=w0) | t1"));
    EXPECT_GT(distinct(camera), 50);
    EXPECT_NEAR(camera.to(at::kDouble).mean().item<double>(), 128, 40);
}

TEST(SeededInputs, TheFieldIsThatOfTheRule) {  // printed by ctest/seeded_values.py
    auto const map =
        drawn(parse_descriptor("x0:float32[2,3,40,50] w0:float32[4,3,3,3] | "
                               "t0:float32[2,4,38,48]=aten.conv2d(input=x0,weight=w0) | t0"));
    EXPECT_EQ(map[0][0][0][0].item<float>(), 0x1.947b0ap+1F);
    EXPECT_EQ(map[1][2][39][49].item<float>(), -0x1.3d6daap+0F);
}

TEST(SeededInputs, TablesOfTheFileAreUsedAsTheyAre) {
    auto program = parse_descriptor(
        "x0:float32[9,4] w0:int64[3] | t0:float32[3,4]=aten.index_select(self=x0,dim=0,index=w0) | "
        "t0");
    std::vector<std::byte> bytes(24);
    std::int64_t const rows[] = {8, 1, 8};
    std::memcpy(bytes.data(), rows, sizeof rows);
    program.constants[program.inputs.at(1).value] = bytes;
    EXPECT_EQ(drawn(program, 1)[0].item<std::int64_t>(), 8);
    // Without them they are rows of the table.
    program.constants.clear();
    EXPECT_LE(greatest(drawn(program, 1)), 8);
}

}  // namespace
}  // namespace derate::benchmarks
