#include "workloads/symbolic_program.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/input_error.hpp"
#include "ctest/symbolic_graphs.hpp"
#include "workloads/partition.hpp"

namespace derate {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

RequestedDimensions requested(nlohmann::json const& dims) {
    RequestedDimensions result;
    for (auto const& [name, value] : dims.items()) {
        result.named.emplace_back(name, value.get<std::int64_t>());
    }
    return result;
}

/// What is priced of a program.
std::vector<std::string> kernels_of(ExportedProgram const& program) {
    std::vector<std::string> kernels;
    for (auto const& part : partition(program).subgraphs) {
        auto const& subgraph = part.subgraph;
        kernels.push_back(subgraph.descriptor + " " + std::to_string(subgraph.work.value()) + " " +
                          std::to_string(subgraph.traffic.total().value()));
    }
    return kernels;
}

/// With the strides of dimensions of one entry as a dense tensor has them: no kernel reads them.
ExportedProgram levelled(ExportedProgram program) {
    for (auto& tensor : program.values) {
        for (std::size_t i = tensor.sizes.size(); i-- > 0;) {
            if (tensor.sizes[i] != 1) continue;
            bool const is_last = i + 1 == tensor.sizes.size();
            tensor.strides[i] = is_last ? 1 : tensor.sizes[i + 1] * tensor.strides[i + 1];
        }
    }
    return program;
}

/// Of products of a transposed query of one token with a table, PyTorch keeps that stride where the
/// batch is a number, and states a dense one where it is a symbol.
bool differs_in_single_strides(std::string const& name) {
    return name == "grouped_cache" || name == "growing_cache";
}

std::string message_of(SymbolicProgram const& program, RequestedDimensions const& dimensions) {
    try {
        static_cast<void>(bind(program, dimensions));
    } catch (InputError const& error) {
        return error.what();
    }
    return "accepted";
}

TEST(SymbolicProgram, DoesTheWorkOfAStaticExportAtEverySize) {
    int compared = 0;
    for (auto const& [name, entry] : symbolic_graphs().items()) {
        auto const program = symbolic_graph(name);
        for (auto const& fixed : entry.at("static")) {
            auto const& dims = fixed.at("dims");
            auto bound = bind(program, requested(dims)).program;
            auto expected = parse_exported_program(fixed.at("program").dump(), name);
            if (differs_in_single_strides(name)) {
                bound = levelled(std::move(bound));
                expected = levelled(std::move(expected));
            }
            EXPECT_EQ(kernels_of(bound), kernels_of(expected)) << name << " " << dims.dump();
            ++compared;
        }
    }
    EXPECT_GE(compared, 120);
}

// By hand: 4 query heads share 2 key heads of size 8; batch 3, one query over 9 keys in float32.
TEST(SymbolicProgram, CountsGroupedKeysOnceAndTheirProductsForEachQueryHead) {
    auto const program = symbolic_graph("grouped_cache");
    auto const bound =
        bind(program, requested({{"ids[0]", 3}, {"keys[2]", 9}, {"values[2]", 9}})).program;
    int found = 0;
    for (auto const& part : partition(bound).subgraphs) {
        auto const& subgraph = part.subgraph;
        if (subgraph.type == OperationType::attention) {
            EXPECT_EQ(subgraph.work.value(), 3 * 4 * 9 * 8 * 2 * 2) << "q k and p v";
            // q and the result, keys and values of the key heads, a mask of one byte an entry
            EXPECT_EQ(subgraph.traffic.total().value(),
                      4 * (2 * 3 * 4 * 8 + 2 * 3 * 2 * 9 * 8) + 9);
            ++found;
        } else if (subgraph.fusion_pattern == "index_copy") {
            EXPECT_EQ(subgraph.work.value(), 0);
            // one entry of each key head is read and written, not the cache
            EXPECT_EQ(subgraph.traffic.total().value(), 8 + 2 * 4 * 3 * 2 * 8);
            ++found;
        } else if (subgraph.fusion_pattern == "RMSNorm") {
            EXPECT_EQ(subgraph.work.value(), 5 * 3 * 32);
            EXPECT_EQ(subgraph.traffic.total().value(), 4 * (2 * 3 * 32 + 32));
            ++found;
        }
    }
    EXPECT_EQ(found, 4);
}

// By hand: 4 heads of 48 keys of 8 are made of 2, for keys and values each.
TEST(SymbolicProgram, CountsWhatRepeatingKeysCopies) {
    auto const program = symbolic_graph("transformers_llama");
    auto const bound =
        bind(program, requested({{"input_ids[1]", 1}, {"cache_position[0]", 1}})).program;
    int repeats = 0;
    for (auto const& part : partition(bound).subgraphs) {
        auto const& subgraph = part.subgraph;
        if (subgraph.type == OperationType::attention) {
            EXPECT_EQ(subgraph.work.value(), 4 * 48 * 8 * 2 * 2) << "masked ones too";
        }
        if (subgraph.fusion_pattern != "reshape") continue;
        EXPECT_EQ(subgraph.traffic.total().value(), 4 * 48 * 8 * (2 + 4));
        ++repeats;
    }
    EXPECT_EQ(repeats, 2);
}

TEST(SymbolicProgram, NeverReadsASizeFromTheExample) {
    auto document = symbolic_graphs().at("cnn_space").at("symbolic");
    auto const text = document.dump();
    auto changed = text;
    for (std::string_view const hint : {"\"hint\":{\"as_int\":32}", "\"hint\":{\"as_int\":2}"}) {
        for (auto at = changed.find(hint); at != std::string::npos; at = changed.find(hint, at)) {
            changed.replace(at, hint.size(), "\"hint\":{\"as_int\":977}");
        }
    }
    ASSERT_NE(changed, text);
    auto const dims = requested({{"input[0]", 3}, {"input[2]", 40}, {"input[3]", 48}});
    EXPECT_EQ(bind(parse_symbolic_program(changed, "changed"), dims).program,
              bind(parse_symbolic_program(text, "plain"), dims).program);
}

TEST(SymbolicProgram, NamesSymbolsAxesAndBounds) {
    auto const free = free_dimensions(symbolic_graph("attention"));
    ASSERT_EQ(free.size(), 2U);
    EXPECT_THAT(free[0].axes, ElementsAre("x[0]"));
    EXPECT_THAT(free[1].axes, ElementsAre("x[1]"));
    EXPECT_EQ(free[1].most, 512);
    EXPECT_FALSE(free[0].is_unbacked);
}

TEST(SymbolicProgram, IsBoundByTheFlagsOfOneAxis) {
    auto const program = symbolic_graph("attention");
    auto const by_name = bind(program, requested({{"x[0]", 4}, {"x[1]", 64}})).program;
    EXPECT_EQ(bind(program, {.batch = 4, .sequence = 64}).program, by_name);
    EXPECT_EQ(bind(program, requested({{"batch", 4}, {"seq", 64}})).program, by_name);
    RequestedDimensions own = requested({{"images", 4}, {"words", 64}});
    own.axes = {{"images", "x[0]"}, {"words", "x[1]"}};
    EXPECT_EQ(bind(program, own).program, by_name);
    auto const bound = bind(program, own);
    ASSERT_EQ(bound.dimensions.size(), 2U);
    auto const by_symbol = requested({{bound.dimensions[0].symbol, bound.dimensions[0].value},
                                      {bound.dimensions[1].symbol, bound.dimensions[1].value}});
    EXPECT_EQ(bind(program, by_symbol).program, by_name);
}

TEST(SymbolicProgram, TakesTheOneFreeDimensionByAnyName) {
    auto const program = symbolic_graph("mlp_batch");
    EXPECT_EQ(bind(program, requested({{"images", 5}})).program,
              bind(program, {.batch = 5}).program);
}

TEST(SymbolicProgram, TakesNoMistakenAxisOrSymbolForAName) {
    auto const program = symbolic_graph("mlp_batch");
    for (char const* const name : {"input[1]", "s99", "seq"}) {
        EXPECT_THAT(message_of(program, requested({{name, 5}})), HasSubstr("--dim")) << name;
    }
}

TEST(SymbolicProgram, SolvesADerivedDimension) {
    auto const program = symbolic_graph("derived_dimension");
    EXPECT_EQ(bind(program, requested({{"y[0]", 10}})).program,
              bind(program, requested({{"x[0]", 5}})).program);
    EXPECT_THAT(message_of(program, requested({{"y[0]", 11}})), HasSubstr("makes it 11"));
}

TEST(SymbolicProgram, RefusesWhatTheExportRefuses) {
    auto const attention = symbolic_graph("attention");
    EXPECT_THAT(message_of(attention, {.batch = 4, .sequence = 513}),
                AllOf(HasSubstr("was exported for"), HasSubstr("to 512, not 513")));
    EXPECT_THAT(message_of(attention, {.batch = 4}),
                AllOf(HasSubstr("no value is given for"), HasSubstr("x[1]"), HasSubstr("--dim")));
    EXPECT_THAT(message_of(attention, requested({{"pixels", 3}, {"x[1]", 4}})),
                AllOf(HasSubstr("--dim pixels"), HasSubstr("has no such dimension (one of")));
    EXPECT_THAT(message_of(symbolic_graph("guard_of_one"), requested({{"inputs_0[2]", 1}})),
                AllOf(HasSubstr("cannot run at inputs_0[2] = 1"), HasSubstr("!= 1")));
    EXPECT_THAT(message_of(symbolic_graph("cat"), {.batch = 2}),
                HasSubstr("none of the first dimensions of cat's inputs is free"));
    EXPECT_THAT(message_of(symbolic_graph("cat"), {.sequence = 2}),
                HasSubstr("more than one of the second dimensions"));
    EXPECT_THAT(message_of(attention, requested({{"x[0]", 4}, {"batch", 5}, {"x[1]", 8}})),
                HasSubstr("the value 4, which is 5 already"));
    EXPECT_THAT(message_of(symbolic_graph("mlp_batch"), {.batch = std::int64_t{1} << 60}),
                HasSubstr("is too large"));
}

TEST(SymbolicProgram, ChecksGuardsOnTheInputThatTheyName) {
    auto const nested = symbolic_graph("nested_names");  // d["x"], not x, must be even
    EXPECT_EQ(message_of(nested, requested({{"x[0]", 7}, {"d_x[0]", 12}})), "accepted");
    EXPECT_THAT(message_of(nested, requested({{"x[0]", 6}, {"d_x[0]", 11}})),
                HasSubstr("cannot run at"));
    auto const strict = symbolic_graph("strict_arguments");  // the third of n, x and y must be even
    auto const bound = bind(strict, requested({{"n", 4}, {"x[0]", 9}, {"y[0]", 12}}));
    EXPECT_THAT(bound.notes, IsEmpty()) << "every guard is understood";
    EXPECT_THAT(message_of(strict, requested({{"n", 4}, {"x[0]", 8}, {"y[0]", 9}})),
                HasSubstr("cannot run at"));
}

TEST(SymbolicProgram, TakesNamesOfTheUsersOwnForOneAxisOrSeveral) {
    auto const program = symbolic_graph("cat");
    RequestedDimensions both = requested({{"width", 5}});
    both.axes = {{"width", "inputs_0[1]"}, {"width", "inputs_1[1]"}};
    EXPECT_EQ(bind(program, both).program,
              bind(program, requested({{"inputs_0[1]", 5}, {"inputs_1[1]", 5}})).program);
    auto wrong = requested({{"batch", 4}});
    wrong.axes = {{"batch", "input[7]"}};
    EXPECT_THAT(message_of(symbolic_graph("mlp_batch"), wrong),
                HasSubstr("--axis batch=input[7]: mlp_batch has no such free axis"));
    RequestedDimensions unused{.batch = 4};
    unused.axes = {{"images", "input[0]"}};
    EXPECT_THAT(message_of(symbolic_graph("mlp_batch"), unused),
                HasSubstr("no flag gives it a size"));
    EXPECT_EQ(message_of(symbolic_graph("mlp_batch"), requested({{"b", 4}})), "accepted");
}

TEST(SymbolicProgram, TellsApartDimensionsOfEqualExamples) {  // pytorch issue 153896
    auto const program = symbolic_graph("equal_hints");
    auto const bound = bind(program, requested({{"x[1]", 7}, {"x[2]", 6}, {"y[0]", 5}}));
    EXPECT_THAT(bound.program.values.at(0).sizes, ElementsAre(2, 7, 6));
    EXPECT_EQ(bound.program.values.at(1).sizes.at(0), 5);
}

TEST(SymbolicProgram, RunsBelowALowerBoundOfTwoAndSaysSo) {  // PyTorch checks no bound up to 2
    auto const bound =
        bind(symbolic_graph("arange"), requested({{"inputs_0[0]", 1}, {"inputs_0[1]", 5}}));
    EXPECT_EQ(bound.program.values.at(0).sizes.at(0), 1);
    EXPECT_THAT(bound.notes, ElementsAre(HasSubstr("PyTorch runs it all the same")));
}

TEST(SymbolicProgram, AsksForSizesThatTheDataDecides) {
    auto const program = symbolic_graph("nonzero");
    EXPECT_THAT(message_of(program, requested({{"x[0]", 8}})),
                AllOf(HasSubstr("no value is given for u0"), HasSubstr("--dim u0=8")));
    auto const bound = bind(program, requested({{"x[0]", 8}, {"u0", 12}}));
    auto const& last = bound.program.values.back();
    EXPECT_THAT(last.sizes, ElementsAre(12, 2));
    auto const free = free_dimensions(program);
    EXPECT_TRUE(std::any_of(free.begin(), free.end(), [](auto const& dimension) {
        return dimension.symbol == "u0" && dimension.is_unbacked;
    }));
    EXPECT_THAT(message_of(symbolic_graph("item"), requested({{"u0", 65}})), HasSubstr("65"));
    EXPECT_EQ(
        bind(symbolic_graph("item"), requested({{"u0", 7}})).program.values.back().sizes.at(0), 7);
}

TEST(SymbolicProgram, TakesWhatNodesComputeWhereTheFileFoldedConstants) {
    // Python: int(2 * 0.6 * 2.5) == 3, int(3 * 0.6 * 2.5) == 4; the first n at which the file's
    // TruncToInt(1.5*n) is one too large is 6: 6 * 0.6 * 2.5 == 8.999999999999998.
    auto const program = symbolic_graph("folded_floats");
    auto const size_at = [&](std::int64_t n) {
        return bind(program, requested({{"x[0]", n}})).program.values.back().sizes.at(0);
    };
    EXPECT_EQ(size_at(4), 6);
    int differing = 0;
    for (std::int64_t n = 2; n < 200; ++n) {
        auto const real = static_cast<std::int64_t>(static_cast<double>(n) * 0.6 * 2.5);
        EXPECT_EQ(size_at(n), real) << n;
        differing += real != n * 3 / 2 ? 1 : 0;
    }
    EXPECT_GT(differing, 0);
}

TEST(SymbolicProgram, HasNothingToBindWhereShapesAreStatic) {
    auto const text = symbolic_graphs().at("mlp_batch").at("static").at(0).at("program").dump();
    auto const program = parse_symbolic_program(text, "static");
    EXPECT_THAT(free_dimensions(program), IsEmpty());
    EXPECT_THAT(bind(program, {}).dimensions, IsEmpty());
}

}  // namespace
}  // namespace derate
