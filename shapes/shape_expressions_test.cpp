#include "shapes/shape_expressions.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/input_error.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

using testing::HasSubstr;

/// What a text comes to where symbols have these values.
ShapeValue value_of(std::string_view text, std::map<std::string, std::int64_t> const& symbols = {},
                    Division division = Division::exact) {
    ShapeExpressions expressions;
    ShapeNames const names =
        [&](std::string_view path,
            std::optional<std::int64_t> dimension) -> std::optional<ExpressionId> {
        if (path == "L['x']" && dimension) {
            return expressions.symbol("x" + std::to_string(*dimension));
        }
        if (path == "L['n']" && !dimension) return expressions.symbol("n");
        return std::nullopt;
    };
    auto const id = parse_shape_expression(text, division, expressions, names, "test");
    std::vector<ShapeValue> values;
    for (auto const& name : expressions.symbols()) {
        auto const given = symbols.find(name);
        values.push_back(given == symbols.end() ? ShapeValue{}
                                                : ShapeValue::of_integer(given->second));
    }
    return expressions.evaluate(values)[static_cast<std::size_t>(id)];
}

std::string message_of(std::string_view text) {
    try {
        static_cast<void>(value_of(text));
    } catch (InputError const& error) {
        return error.what();
    }
    return "accepted";
}

TEST(ShapeExpressions, ReadsSympysRepresentation) {
    std::map<std::string, std::int64_t> const at{{"s77", 5}};
    auto const s = std::string{"Symbol('s77', integer=True, positive=True)"};
    EXPECT_EQ(value_of("Mul(Integer(2), " + s + ")", at).integer(), 10);
    EXPECT_EQ(value_of("Add(Integer(1), FloorDiv(Add(Integer(-1), " + s + "), Integer(4)))", at)
                  .integer(),
              2);
    EXPECT_EQ(value_of("Pow(" + s + ", Integer(2))", at).integer(), 25);
    EXPECT_EQ(value_of("TruncToInt(Mul(Float('1.5', precision=53), " + s + "))", at).integer(), 7);
    EXPECT_EQ(value_of("Mul(Rational(1, 5), " + s + ")", at).integer(), 1);
    EXPECT_EQ(
        value_of("Or(Equality(" + s + ", Integer(1)), StrictLessThan(Integer(3), " + s + "))", at)
            .truth(),
        true);
    EXPECT_EQ(
        value_of("Piecewise(ExprCondPair(Integer(1), false), ExprCondPair(" + s + ", true))", at)
            .integer(),
        5);
}

TEST(ShapeExpressions, ReadsPlainTextOfOlderWriters) {
    std::map<std::string, std::int64_t> const at{{"s53", 9}, {"s0", 4}};
    EXPECT_EQ(value_of("((s53 - 1)//2) + 1", at).integer(), 5);
    EXPECT_EQ(value_of("2*s53", at).integer(), 18);
    EXPECT_EQ(value_of("-s0**2", at).integer(), -16);  // the power binds tighter than the sign
    EXPECT_EQ(value_of("s0/2", at).integer(), 2);
    EXPECT_EQ(value_of("s53/2", at), ShapeValue::of_ratio(9, 2));
    EXPECT_EQ(value_of("Max(1, s0) - 10 - 1", at).integer(), -7);
    EXPECT_EQ(value_of("Eq(Mod(s53, 3), 0) & (s0 > 2)", at).truth(), true);
}

TEST(ShapeExpressions, ReadsGuardsAsPython) {
    std::map<std::string, std::int64_t> const at{{"x0", 3}, {"x2", 5}, {"n", 7}};
    auto const guard = [&](std::string_view text) { return value_of(text, at, Division::real); };
    EXPECT_EQ(guard("(1 + (((-1) + L['x'].size()[2]) // 2)) != 1").truth(), true);
    EXPECT_EQ(guard("2 <= L['x'].size()[0] <= 3").truth(), true);
    EXPECT_EQ(guard("1 < L['x'].size()[0] < 3 < L['n']").truth(), false);
    EXPECT_EQ(guard("not L['x'].size()[0] == 4 and L['n'] % 2 == 1").truth(), true);
    EXPECT_EQ(guard("math.trunc(0.5*L['n']) == 3").truth(), true);
    EXPECT_EQ(guard("torch.sym_max(L['n'], L['x'].size()[2]) == 7").truth(), true);
    EXPECT_EQ(guard("L['n'] / 2").real(), 3.5);
    EXPECT_EQ(guard("(-3)*L['n']").integer(), -21);
}

TEST(ShapeExpressions, HasNoValueWhereASymbolOrADivisorLacksOne) {
    EXPECT_FALSE(value_of("2*s0").is_defined());
    EXPECT_FALSE(value_of("s0//(s0//64)", {{"s0", 32}}).is_defined());
    EXPECT_EQ(value_of("s0//(s0//64)", {{"s0", 200}}).integer(), 66);
}

TEST(ShapeExpressions, HoldsEqualExpressionsOnce) {
    ShapeExpressions expressions;
    auto const first = parse_shape_expression("2*s0 + 1", Division::exact, expressions, {}, "test");
    auto const size = expressions.size();
    EXPECT_EQ(first,
              parse_shape_expression("(2*s0) + 1", Division::exact, expressions, {}, "test"));
    EXPECT_EQ(expressions.size(), size);
}

TEST(ShapeExpressions, PutsOneValueInsteadOfAnotherWhereverItStands) {
    ShapeExpressions expressions;
    auto const read = [&](std::string_view text) {
        return parse_shape_expression(text, Division::exact, expressions, {}, "test");
    };
    auto const of = read("s0 + 1");
    auto const around = read("10*(s0 + 1)");
    std::vector const values{ShapeValue::of_integer(4)};
    std::vector const instead{std::pair{of, ShapeValue::of_integer(3)}};
    EXPECT_EQ(expressions.evaluate(values)[static_cast<std::size_t>(around)].integer(), 50);
    EXPECT_EQ(expressions.evaluate(values, instead)[static_cast<std::size_t>(around)].integer(),
              30);
}

TEST(ShapeExpressions, RefusesWhatItDoesNotUnderstand) {
    EXPECT_THAT(message_of("2 +"),
                HasSubstr("not understood at character 4 (a number, a name or '('"));
    EXPECT_THAT(message_of("Gamma(s0)"),
                HasSubstr("(functions of sizes that PyTorch 2.15 writes)"));
    EXPECT_THAT(message_of("s0 s1"), HasSubstr("(an operator or the end)"));
    EXPECT_THAT(message_of("FloorDiv(s0)"), HasSubstr("as many arguments as the function takes"));
    EXPECT_THAT(message_of("L['y'].size()[0]"), HasSubstr("(an input of the model)"));
    EXPECT_THAT(message_of(std::string(300, '(') + "1" + std::string(300, ')')),
                HasSubstr("at most 200 levels"));
    EXPECT_THAT(message_of(""), HasSubstr("not understood"));
}

/// "7", "-1/3", "0.1", "true", "undefined".
std::string shown(ShapeValue const& value) {
    if (auto const truth = value.truth()) return *truth ? "true" : "false";
    if (auto const integer = value.integer()) return std::to_string(*integer);
    if (value.is_exact()) {
        return std::to_string(static_cast<long long>(value.numerator())) + "/" +
               std::to_string(static_cast<long long>(value.denominator()));
    }
    auto const real = value.real();
    return real ? nlohmann::json(*real).dump() : "undefined";
}

/// Whether sympy's value is ours: a float may be an integer here, where all parts of it are.
bool agrees(nlohmann::json const& sympy, ShapeValue const& value) {
    if (sympy.is_null()) return true;  // sympy leaves it as it is, or raises: nobody exports it
    // Of a product with zero, and of sums with it, sympy keeps or drops that it was a float.
    if (sympy.is_number() && sympy == 0) return value.real() == 0.0;
    if (sympy.is_boolean()) return value.truth() == sympy.get<bool>();
    if (sympy.is_number_integer()) return value.integer() == sympy.get<std::int64_t>();
    if (sympy.is_string()) return shown(value) == sympy.get<std::string>();
    return value.real() == sympy.get<double>();
}

/// The file of make_shape_expression_golden.py; another one where DERATE_SHAPE_EXPRESSIONS names
/// it.
TEST(ShapeExpressions, ComeToWhatSympyMakesOfThem) {  // sympy 1.14.0, PyTorch 2.15.0
    char const* const given = std::getenv("DERATE_SHAPE_EXPRESSIONS");
    std::filesystem::path const file =
        given != nullptr ? given : DERATE_TEST_DATA "/shape_expressions.json.gz";
    constexpr std::size_t limit = std::size_t{256} << 20;
    auto const cases =
        nlohmann::json::parse(gzip_expand(read_text(file, limit), file.string(), limit));
    std::size_t defined = 0;
    std::size_t wrong = 0;
    for (auto const& item : cases) {
        auto const text = item[0].get<std::string>();
        for (auto const& [values, expected] :
             item[1].get<std::vector<std::pair<std::vector<std::int64_t>, nlohmann::json>>>()) {
            std::map<std::string, std::int64_t> symbols;
            for (std::size_t i = 0; i < values.size(); ++i) {
                symbols.emplace("s" + std::to_string(i), values[i]);
            }
            auto const value = value_of(text, symbols);
            defined += expected.is_null() ? 0 : 1;
            if (agrees(expected, value)) continue;
            if (++wrong <= 10) {
                ADD_FAILURE() << text << " at " << nlohmann::json(values).dump() << ": sympy "
                              << expected.dump() << ", here " << shown(value);
            }
        }
    }
    EXPECT_EQ(wrong, 0U);
    EXPECT_GE(cases.size(), 2000U);
    EXPECT_GT(defined, 2 * cases.size());
}

}  // namespace
}  // namespace derate
