#include "workloads/linear_partition.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/input_error.hpp"
#include "ctest/symbolic_graphs.hpp"

namespace derate {
namespace {

/// Empty where the export refuses the size.
std::optional<std::vector<Subgraph>> subgraphs_at(SymbolicProgram const& program,
                                                  RequestedDimensions requested,
                                                  std::string const& dimension, std::int64_t size) {
    requested.named.emplace_back(dimension, size);
    try {
        std::vector<Subgraph> subgraphs;
        for (auto& cut : partition(bind(program, requested).program).subgraphs) {
            cut.subgraph.descriptor.clear();
            subgraphs.push_back(std::move(cut.subgraph));
        }
        return subgraphs;
    } catch (InputError const&) {
        return std::nullopt;
    }
}

/// At every size that it says it holds for.
void expect_equal(LinearPartition& cut, SymbolicProgram const& program,
                  RequestedDimensions const& requested, std::string const& dimension,
                  std::int64_t most) {
    for (std::int64_t size = 0; size <= most; ++size) {
        if (!cut.holds(size)) continue;
        SCOPED_TRACE(size);
        auto const alone = subgraphs_at(program, requested, dimension, size);
        ASSERT_TRUE(alone) << "refused alone";
        auto swept = cut.subgraphs_at(size);
        for (auto& subgraph : swept) subgraph.descriptor.clear();
        ASSERT_TRUE(swept == *alone);
        auto const& kernels = cut.kernels_at(size);
        for (std::size_t i = 0; i < alone->size(); ++i) {
            auto const kernel = static_cast<std::size_t>(cut.kernel_of_subgraph()[i]);
            ASSERT_TRUE(kernels[kernel] == traits_of((*alone)[i])) << "subgraph " << i;
        }
    }
}

TEST(LinearPartition, IsThePartitionAtEverySizeThatItHoldsFor) {
    constexpr std::int64_t most = 70;
    int made = 0;
    int tried = 0;
    for (auto const& [name, entry] : symbolic_graphs().items()) {
        auto const program = symbolic_graph(name);
        std::set<std::string> seen;
        for (auto const& fixed : entry.at("static")) {
            auto const& dims = fixed.at("dims");
            for (auto const& [swept, unused] : dims.items()) {
                RequestedDimensions requested;
                std::string key = swept;
                for (auto const& [other, value] : dims.items()) {
                    if (other == swept) continue;
                    requested.named.emplace_back(other, value.get<std::int64_t>());
                    key += " " + other + "=" + value.dump();
                }
                if (!seen.insert(key).second) continue;
                SCOPED_TRACE(name + " " + key);
                ++tried;
                auto cut = LinearPartition::of(program, requested, swept, most, {});
                if (!cut) continue;
                ++made;
                expect_equal(*cut, program, requested, swept, most);
            }
        }
    }
    EXPECT_GE(made, 50) << "of " << tried;
    EXPECT_LT(made, tried);
}

/// y = call(x), z = relu(y); zeros of sizes and strides stand for the symbol s0.
SymbolicProgram two_calls(std::string const& call, TensorValue x, TensorValue y) {
    SymbolicProgram symbolic;
    symbolic.where = "two_calls";
    auto const s0 = symbolic.expressions.symbol("s0");
    auto z = y;
    z.name = "z";
    symbolic.program.values = {std::move(x), std::move(y), std::move(z)};
    for (std::size_t owner = 0; owner < symbolic.program.values.size(); ++owner) {
        auto const add = [&](ShapeSlot::Place place, std::vector<std::int64_t> const& numbers) {
            for (std::size_t d = 0; d < numbers.size(); ++d) {
                if (numbers[d] != 0) continue;
                symbolic.slots.push_back({.place = place,
                                          .owner = static_cast<std::int32_t>(owner),
                                          .position = static_cast<std::int32_t>(d),
                                          .expression = s0});
            }
        };
        add(ShapeSlot::Place::size, symbolic.program.values[owner].sizes);
        add(ShapeSlot::Place::stride, symbolic.program.values[owner].strides);
    }
    auto const node = [](std::string const& name, ValueId read, ValueId made) {
        return ProgramNode{.target = "torch.ops.aten." + name + ".default",
                           .name = name,
                           .module = {},
                           .arguments = {{.name = "self", .value = TensorArgument{read}}},
                           .outputs = {TensorArgument{made}}};
    };
    symbolic.program.inputs = {
        {.kind = InputKind::user_input, .value = 0, .name = "x", .values = {}}};
    symbolic.program.nodes = {node(call, 0, 1), node("relu", 1, 2)};
    symbolic.program.outputs = {2};
    return symbolic;
}

/// Rows of 12 of which s0 are taken lie without gaps where s0 is 12, and at no other size.
TEST(LinearPartition, LeavesOutASizeAtWhichAStrideIsWhatItOtherwiseIsNot) {
    auto const program = two_calls("sin", {.name = "x", .sizes = {4, 0}, .strides = {12, 1}},
                                   {.name = "y", .sizes = {4, 0}, .strides = {0, 1}});
    auto cut = LinearPartition::of(program, {}, "s0", 64, {});
    ASSERT_TRUE(cut);
    EXPECT_TRUE(cut->holds(11));
    EXPECT_FALSE(cut->holds(12));
    EXPECT_TRUE(cut->holds(13));
    expect_equal(*cut, program, {}, "s0", 64);
}

/// s0 rows of 4 with gaps between them are a view of 4 rows of s0 where s0 is 4.
TEST(LinearPartition, LeavesOutASizeAtWhichAReshapeIsAView) {
    auto const program = two_calls("reshape", {.name = "x", .sizes = {0, 4}, .strides = {8, 1}},
                                   {.name = "y", .sizes = {4, 0}, .strides = {0, 1}});
    auto cut = LinearPartition::of(program, {}, "s0", 64, {});
    ASSERT_TRUE(cut);
    EXPECT_TRUE(cut->holds(3));
    EXPECT_FALSE(cut->holds(4));
    EXPECT_TRUE(cut->holds(8));
    expect_equal(*cut, program, {}, "s0", 64);
}

TEST(LinearPartition, IsNotMadeWhereAGuardDependsOnTheSize) {
    auto program = two_calls("sin", {.name = "x", .sizes = {0, 4}, .strides = {4, 1}},
                             {.name = "y", .sizes = {0, 4}, .strides = {4, 1}});
    EXPECT_TRUE(LinearPartition::of(program, {}, "s0", 64, {}));
    auto& expressions = program.expressions;
    auto const odd = expressions.call(
        ShapeFunction::unequal,
        {expressions.symbol("s0"), expressions.constant(ShapeValue::of_integer(17))});
    program.conditions.push_back({.text = "s0 != 17", .expression = odd});
    EXPECT_FALSE(LinearPartition::of(program, {}, "s0", 64, {}));
}

/// A convolution without its weight, of a tensor that no size changes, is refused when it is cut.
TEST(LinearPartition, IsNotMadeWhereTheProgramCannotBeCut) {
    auto program = two_calls("sin", {.name = "x", .sizes = {0, 4}, .strides = {4, 1}},
                             {.name = "y", .sizes = {0, 4}, .strides = {4, 1}});
    program.program.values.push_back(
        {.name = "image", .sizes = {1, 3, 8, 8}, .strides = {192, 64, 8, 1}});
    program.program.values.push_back(
        {.name = "result", .sizes = {1, 3, 8, 8}, .strides = {192, 64, 8, 1}});
    program.program.inputs.push_back(
        {.kind = InputKind::user_input, .value = 3, .name = "image", .values = {}});
    program.program.nodes.push_back({.target = "torch.ops.aten.convolution.default",
                                     .name = "convolution",
                                     .module = {},
                                     .arguments = {{.name = "input", .value = TensorArgument{3}}},
                                     .outputs = {TensorArgument{4}}});
    RequestedDimensions const at_nine{.named = {{"s0", 9}}};
    auto const bound = bind(program, at_nine);
    EXPECT_THROW((void)partition(bound.program), InputError);
    std::optional<LinearPartition> cut;
    EXPECT_NO_THROW(cut = LinearPartition::of(program, {}, "s0", 64, {}));
    EXPECT_FALSE(cut);
}

TEST(LinearPartition, IsNotMadeWhereNothingIsProven) {
    auto const attention = symbolic_graph("attention");
    EXPECT_TRUE(LinearPartition::of(attention, {.sequence = 64}, "x[0]", 64, {}));
    EXPECT_FALSE(LinearPartition::of(attention, {.batch = 4}, "x[1]", 64, {}))
        << "its work grows with the square of the length";
    EXPECT_FALSE(LinearPartition::of(attention, {.batch = 4}, "x[1]", 100'000, {}))
        << "longer than what was exported";
}

}  // namespace
}  // namespace derate
