#include "shapes/shape_function.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace derate {
namespace {

ShapeValue integer(std::int64_t value) { return ShapeValue::of_integer(value); }
ShapeValue real(double value) { return ShapeValue::of_real(value); }
ShapeValue truth(bool value) { return ShapeValue::of_truth(value); }

ShapeValue result(ShapeFunction function, std::initializer_list<ShapeValue> arguments) {
    std::vector<ShapeValue> const values{arguments};
    return evaluate(function, values);
}

TEST(ShapeFunction, DividesTowardsMinusInfinityAsPythonDoes) {
    EXPECT_EQ(result(ShapeFunction::floor_divide, {integer(7), integer(5)}), integer(1));
    EXPECT_EQ(result(ShapeFunction::floor_divide, {integer(-2), integer(5)}), integer(-1));
    EXPECT_EQ(result(ShapeFunction::floor_divide, {integer(7), integer(-5)}), integer(-2));
    EXPECT_EQ(result(ShapeFunction::modulus, {integer(-3), integer(32)}), integer(29));
    EXPECT_EQ(result(ShapeFunction::modulus, {integer(3), integer(-32)}), integer(-29));
    EXPECT_EQ(result(ShapeFunction::ceil_divide, {integer(7), integer(5)}), integer(2));
    EXPECT_EQ(result(ShapeFunction::ceil_divide, {integer(10), integer(5)}), integer(2));
    EXPECT_EQ(result(ShapeFunction::floor_divide, {real(-7.5), integer(2)}), real(-4));
}

TEST(ShapeFunction, IsUndefinedWherePythonRaises) {
    EXPECT_FALSE(result(ShapeFunction::floor_divide, {integer(7), integer(0)}).is_defined());
    EXPECT_FALSE(result(ShapeFunction::modulus, {integer(7), integer(0)}).is_defined());
    EXPECT_FALSE(result(ShapeFunction::true_divide, {integer(7), real(0)}).is_defined());
    EXPECT_FALSE(result(ShapeFunction::power, {integer(0), integer(-1)}).is_defined());
    EXPECT_FALSE(result(ShapeFunction::power_by_natural, {integer(2), integer(-1)}).is_defined());
    EXPECT_FALSE(result(ShapeFunction::left_shift, {integer(2), integer(-1)}).is_defined());
    EXPECT_FALSE(result(ShapeFunction::square_root, {integer(-1)}).is_defined());
    EXPECT_FALSE(result(ShapeFunction::truncate, {real(HUGE_VAL)}).is_defined());
}

TEST(ShapeFunction, KeepsRatiosExact) {
    auto const half = ShapeValue::of_ratio(1, 2);
    EXPECT_EQ(result(ShapeFunction::multiply, {half, integer(6)}), integer(3));
    EXPECT_EQ(
        result(ShapeFunction::add, {half, ShapeValue::of_ratio(1, 3), ShapeValue::of_ratio(1, 6)}),
        integer(1));
    EXPECT_EQ(result(ShapeFunction::floor, {ShapeValue::of_ratio(-5, 2)}), integer(-3));
    EXPECT_EQ(result(ShapeFunction::ceiling, {ShapeValue::of_ratio(-5, 2)}), integer(-2));
    EXPECT_EQ(result(ShapeFunction::power, {integer(2), integer(-2)}), ShapeValue::of_ratio(1, 4));
    EXPECT_EQ(result(ShapeFunction::power, {ShapeValue::of_ratio(9, 4), half}),
              ShapeValue::of_ratio(3, 2));
}

TEST(ShapeFunction, IsUndefinedBeyondWhatFits) {
    auto const large = integer(INT64_MAX);
    auto const square = result(ShapeFunction::multiply, {large, large});
    EXPECT_EQ(result(ShapeFunction::floor_divide, {square, large}),
              large);  // sympy's need no limit
    EXPECT_FALSE(square.integer().has_value());
    EXPECT_FALSE(result(ShapeFunction::multiply, {square, large}).is_defined());
    EXPECT_FALSE(result(ShapeFunction::power, {integer(3), integer(100)}).is_defined());
    EXPECT_EQ(result(ShapeFunction::power, {integer(-1), integer(INT64_MAX)}), integer(-1));
}

TEST(ShapeFunction, RoundsHalfToEven) {
    EXPECT_EQ(result(ShapeFunction::round, {real(2.5)}), integer(2));
    EXPECT_EQ(result(ShapeFunction::round, {real(3.5)}), integer(4));
    EXPECT_EQ(result(ShapeFunction::round, {real(-2.5)}), integer(-2));
    // 2.675 is a little less as a double; Python 3.11: round(2.675, 2) == 2.67
    EXPECT_EQ(result(ShapeFunction::round_decimal, {real(2.675), integer(2)}), real(2.67));
    EXPECT_EQ(result(ShapeFunction::truncate, {real(-2.9)}), integer(-2));
    EXPECT_EQ(result(ShapeFunction::truncate_to_float, {real(2.9)}), real(2));
}

TEST(ShapeFunction, JoinsTruthsWithoutWhatDoesNotMatter) {
    ShapeValue const undefined;
    EXPECT_EQ(result(ShapeFunction::both, {truth(false), undefined}), truth(false));
    EXPECT_FALSE(result(ShapeFunction::both, {truth(true), undefined}).is_defined());
    EXPECT_EQ(result(ShapeFunction::either, {undefined, truth(true)}), truth(true));
    EXPECT_FALSE(result(ShapeFunction::either, {undefined, truth(false)}).is_defined());
    EXPECT_EQ(result(ShapeFunction::both, {integer(12), integer(10)}), integer(8));
    EXPECT_EQ(result(ShapeFunction::where, {truth(false), undefined, integer(3)}), integer(3));
    EXPECT_EQ(result(ShapeFunction::piecewise, {integer(1), truth(false), integer(2), truth(true)}),
              integer(2));
}

TEST(ShapeFunction, ComparesExactNumbersAndDoubles) {
    EXPECT_EQ(result(ShapeFunction::equal, {integer(2), real(2)}), truth(true));
    EXPECT_EQ(result(ShapeFunction::less, {ShapeValue::of_ratio(1, 3), ShapeValue::of_ratio(2, 5)}),
              truth(true));
    EXPECT_EQ(result(ShapeFunction::maximum, {integer(1), integer(7), integer(-3)}), integer(7));
    EXPECT_EQ(result(ShapeFunction::minimum, {integer(1), real(0.5)}), real(0.5));
}

TEST(ShapeFunction, TellsWhetherStridesFillMemory) {
    auto const sizes_then_strides = [](std::vector<std::int64_t> const& numbers) {
        std::vector<ShapeValue> values;
        for (auto const number : numbers) values.push_back(integer(number));
        return evaluate(ShapeFunction::is_non_overlapping_and_dense, values);
    };
    EXPECT_EQ(sizes_then_strides({2, 3, 3, 1}), integer(1));
    EXPECT_EQ(sizes_then_strides({2, 3, 1, 2}), integer(1));  // transposed
    EXPECT_EQ(sizes_then_strides({2, 3, 4, 1}), integer(0));  // a gap behind each row
    EXPECT_EQ(sizes_then_strides({1, 3, 99, 1}), integer(1));
}

}  // namespace
}  // namespace derate
