#include "shapes/shape_function.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "core/name_table.hpp"

namespace derate {
namespace {

using Wide = ShapeValue::Wide;
using Values = std::span<ShapeValue const>;

constexpr std::size_t any_number = std::numeric_limits<std::size_t>::max();

using Named = std::pair<ShapeFunction, std::string_view>;

constexpr std::array names{
    Named{ShapeFunction::add, "Add"},
    Named{ShapeFunction::add, "_operator.add"},
    Named{ShapeFunction::subtract, "_operator.sub"},
    Named{ShapeFunction::multiply, "Mul"},
    Named{ShapeFunction::multiply, "_operator.mul"},
    Named{ShapeFunction::negate, "_operator.neg"},
    Named{ShapeFunction::identity, "_operator.pos"},
    Named{ShapeFunction::power, "Pow"},
    Named{ShapeFunction::power, "_operator.pow"},
    Named{ShapeFunction::power_by_natural, "PowByNatural"},
    Named{ShapeFunction::float_power, "FloatPow"},
    Named{ShapeFunction::true_divide, "IntTrueDiv"},
    Named{ShapeFunction::true_divide, "FloatTrueDiv"},
    Named{ShapeFunction::true_divide, "_operator.truediv"},
    Named{ShapeFunction::floor_divide, "FloorDiv"},
    Named{ShapeFunction::floor_divide, "CleanDiv"},
    Named{ShapeFunction::floor_divide, "_operator.floordiv"},
    Named{ShapeFunction::ceil_divide, "CeilDiv"},
    Named{ShapeFunction::modulus, "Mod"},
    Named{ShapeFunction::modulus, "PythonMod"},
    Named{ShapeFunction::modulus, "_operator.mod"},
    Named{ShapeFunction::modular_indexing, "ModularIndexing"},
    Named{ShapeFunction::left_shift, "LShift"},
    Named{ShapeFunction::left_shift, "_operator.lshift"},
    Named{ShapeFunction::right_shift, "RShift"},
    Named{ShapeFunction::right_shift, "_operator.rshift"},
    Named{ShapeFunction::minimum, "Min"},
    Named{ShapeFunction::minimum, "min"},
    Named{ShapeFunction::minimum, "torch.sym_min"},
    Named{ShapeFunction::maximum, "Max"},
    Named{ShapeFunction::maximum, "max"},
    Named{ShapeFunction::maximum, "torch.sym_max"},
    Named{ShapeFunction::absolute, "Abs"},
    Named{ShapeFunction::absolute, "abs"},
    Named{ShapeFunction::absolute, "_operator.abs"},
    Named{ShapeFunction::floor, "floor"},
    Named{ShapeFunction::floor, "FloorToInt"},
    Named{ShapeFunction::floor, "math.floor"},
    Named{ShapeFunction::ceiling, "ceiling"},
    Named{ShapeFunction::ceiling, "CeilToInt"},
    Named{ShapeFunction::ceiling, "math.ceil"},
    Named{ShapeFunction::truncate, "TruncToInt"},
    Named{ShapeFunction::truncate, "trunc"},
    Named{ShapeFunction::truncate, "math.trunc"},
    Named{ShapeFunction::truncate, "torch.sym_int"},
    Named{ShapeFunction::truncate_to_float, "TruncToFloat"},
    Named{ShapeFunction::round, "RoundToInt"},
    Named{ShapeFunction::round, "round"},
    Named{ShapeFunction::round_decimal, "RoundDecimal"},
    Named{ShapeFunction::to_float, "ToFloat"},
    Named{ShapeFunction::to_float, "float"},
    Named{ShapeFunction::to_float, "torch.sym_float"},
    Named{ShapeFunction::identity, "Identity"},
    Named{ShapeFunction::square_root, "OpaqueUnaryFn_sqrt"},
    Named{ShapeFunction::square_root, "math.sqrt"},
    Named{ShapeFunction::square_root, "sqrt"},
    Named{ShapeFunction::square_root, "torch._sym_sqrt"},
    Named{ShapeFunction::where, "Where"},
    Named{ShapeFunction::where, "ITE"},
    Named{ShapeFunction::where, "torch.sym_ite"},
    Named{ShapeFunction::piecewise, "Piecewise"},
    Named{ShapeFunction::equal, "Equality"},
    Named{ShapeFunction::equal, "Eq"},
    Named{ShapeFunction::equal, "_operator.eq"},
    Named{ShapeFunction::unequal, "Unequality"},
    Named{ShapeFunction::unequal, "Ne"},
    Named{ShapeFunction::unequal, "_operator.ne"},
    Named{ShapeFunction::less, "StrictLessThan"},
    Named{ShapeFunction::less, "_operator.lt"},
    Named{ShapeFunction::less_equal, "LessThan"},
    Named{ShapeFunction::less_equal, "_operator.le"},
    Named{ShapeFunction::greater, "StrictGreaterThan"},
    Named{ShapeFunction::greater, "_operator.gt"},
    Named{ShapeFunction::greater_equal, "GreaterThan"},
    Named{ShapeFunction::greater_equal, "_operator.ge"},
    Named{ShapeFunction::both, "And"},
    Named{ShapeFunction::both, "BitwiseFn_bitwise_and"},
    Named{ShapeFunction::both, "_operator.and_"},
    Named{ShapeFunction::either, "Or"},
    Named{ShapeFunction::either, "BitwiseFn_bitwise_or"},
    Named{ShapeFunction::either, "_operator.or_"},
    Named{ShapeFunction::exclusive, "Xor"},
    Named{ShapeFunction::exclusive, "BitwiseFn_bitwise_xor"},
    Named{ShapeFunction::exclusive, "_operator.xor"},
    Named{ShapeFunction::negation, "Not"},
    Named{ShapeFunction::negation, "_operator.not_"},
    Named{ShapeFunction::negation, "torch.sym_not"},
    Named{ShapeFunction::is_non_overlapping_and_dense, "IsNonOverlappingAndDenseIndicator"},
};

std::pair<std::size_t, std::size_t> least_and_most(ShapeFunction function) {
    switch (function) {
        case ShapeFunction::add:
        case ShapeFunction::multiply:
        case ShapeFunction::minimum:
        case ShapeFunction::maximum:
        case ShapeFunction::both:
        case ShapeFunction::either:
        case ShapeFunction::exclusive:
            return {1, any_number};
        case ShapeFunction::piecewise:
        case ShapeFunction::is_non_overlapping_and_dense:
            return {2, any_number};
        case ShapeFunction::where:
        case ShapeFunction::modular_indexing:
            return {3, 3};
        case ShapeFunction::negate:
        case ShapeFunction::absolute:
        case ShapeFunction::floor:
        case ShapeFunction::ceiling:
        case ShapeFunction::truncate:
        case ShapeFunction::truncate_to_float:
        case ShapeFunction::round:
        case ShapeFunction::to_float:
        case ShapeFunction::identity:
        case ShapeFunction::square_root:
        case ShapeFunction::negation:
            return {1, 1};
        default:
            return {2, 2};
    }
}

ShapeValue of_wide(Wide value) { return ShapeValue::of_integer(value); }

bool are_exact(ShapeValue const& a, ShapeValue const& b) { return a.is_exact() && b.is_exact(); }

/// Of two numbers that are not both exact.
template <class Operation>
ShapeValue in_double(ShapeValue const& a, ShapeValue const& b, Operation operation) {
    auto const x = a.real();
    auto const y = b.real();
    if (!x || !y) return {};
    return ShapeValue::of_real(operation(*x, *y));
}

ShapeValue product(ShapeValue const& a, ShapeValue const& b) {
    if (!are_exact(a, b)) return in_double(a, b, std::multiplies<>{});
    Wide numerator = 0;
    Wide denominator = 0;
    if (__builtin_mul_overflow(a.numerator(), b.numerator(), &numerator) ||
        __builtin_mul_overflow(a.denominator(), b.denominator(), &denominator)) {
        return {};
    }
    return ShapeValue::of_ratio(numerator, denominator);
}

ShapeValue sum(ShapeValue const& a, ShapeValue const& b) {
    if (!are_exact(a, b)) return in_double(a, b, std::plus<>{});
    Wide left = 0;
    Wide right = 0;
    Wide denominator = 0;
    Wide numerator = 0;
    if (__builtin_mul_overflow(a.numerator(), b.denominator(), &left) ||
        __builtin_mul_overflow(b.numerator(), a.denominator(), &right) ||
        __builtin_mul_overflow(a.denominator(), b.denominator(), &denominator) ||
        __builtin_add_overflow(left, right, &numerator)) {
        return {};
    }
    return ShapeValue::of_ratio(numerator, denominator);
}

ShapeValue negative(ShapeValue const& a) {
    if (a.is_exact()) return ShapeValue::of_ratio(-a.numerator(), a.denominator());
    if (auto const x = a.real()) return ShapeValue::of_real(-*x);
    return {};
}

ShapeValue reciprocal(ShapeValue const& a) {
    return ShapeValue::of_ratio(a.denominator(), a.numerator());
}

ShapeValue exact_quotient(ShapeValue const& a, ShapeValue const& b) {
    if (are_exact(a, b)) return product(a, reciprocal(b));
    auto const y = b.real();
    if (!y || *y == 0) return {};
    return in_double(a, b, std::divides<>{});
}

ShapeValue true_quotient(ShapeValue const& a, ShapeValue const& b) {
    auto const x = a.real();
    auto const y = b.real();
    if (!x || !y || *y == 0) return {};
    return ShapeValue::of_real(*x / *y);
}

Wide floor_of(Wide numerator, Wide denominator) {
    auto const quotient = numerator / denominator;
    bool const is_lower = numerator % denominator != 0 && (numerator < 0) != (denominator < 0);
    return is_lower ? quotient - 1 : quotient;
}

/// The integer that a double without a fraction is.
ShapeValue whole(double real) {
    constexpr double limit = 0x1p125;
    if (!(std::abs(real) < limit)) return {};
    return of_wide(static_cast<Wide>(real));
}

ShapeValue floor(ShapeValue const& a) {
    if (a.is_exact()) return of_wide(floor_of(a.numerator(), a.denominator()));
    if (auto const x = a.real()) return whole(std::floor(*x));
    return {};
}

ShapeValue ceiling(ShapeValue const& a) { return negative(floor(negative(a))); }

ShapeValue floor_quotient(ShapeValue const& a, ShapeValue const& b) {
    if (are_exact(a, b)) return floor(product(a, reciprocal(b)));
    auto const y = b.real();
    if (!y || *y == 0) return {};
    return in_double(a, b, [](double x, double z) {  // floor(x / z) would round twice
        auto const rest = std::fmod(x, z);
        auto quotient = (x - rest) / z;
        if (rest != 0 && (rest < 0) != (z < 0)) quotient -= 1;
        auto const below = std::floor(quotient);
        return quotient - below > 0.5 ? below + 1 : below;
    });
}

ShapeValue ceil_quotient(ShapeValue const& a, ShapeValue const& b) {
    if (!a.is_integer() || !b.is_integer() || b.numerator() == 0) return {};
    if (a.numerator() % b.numerator() == 0) return of_wide(a.numerator() / b.numerator());
    return of_wide(floor_of(a.numerator() + b.numerator() - 1, b.numerator()));
}

ShapeValue remainder(ShapeValue const& a, ShapeValue const& b) {
    if (are_exact(a, b)) return sum(a, negative(product(b, floor_quotient(a, b))));
    auto const y = b.real();
    if (!y || *y == 0) return {};
    return in_double(a, b, [](double x, double z) {
        auto const rest = std::fmod(x, z);
        return rest != 0 && (rest < 0) != (z < 0) ? rest + z : rest;
    });
}

std::optional<Wide> two_to(ShapeValue const& exponent) {
    auto const bits = exponent.integer();
    if (!bits || *bits < 0 || *bits > 125) return std::nullopt;
    return static_cast<Wide>(1) << *bits;
}

ShapeValue left_shift(ShapeValue const& a, ShapeValue const& b) {
    auto const factor = two_to(b);
    return factor && a.is_integer() ? product(a, of_wide(*factor)) : ShapeValue{};
}

ShapeValue right_shift(ShapeValue const& a, ShapeValue const& b) {
    auto const divisor = two_to(b);
    return divisor && a.is_integer() ? floor_quotient(a, of_wide(*divisor)) : ShapeValue{};
}

ShapeValue natural_power(ShapeValue base, std::int64_t exponent) {
    auto result = of_wide(1);
    for (; exponent > 0; exponent >>= 1U) {
        if ((exponent & 1) != 0) result = product(result, base);
        // The last square is not needed, and may be beyond what fits.
        if (exponent > 1) base = product(base, base);
    }
    return result;
}

std::optional<Wide> exact_root(Wide square) {
    auto root = static_cast<Wide>(std::sqrt(static_cast<double>(square)));
    for (Wide const candidate : {root - 1, root, root + 1}) {
        if (candidate >= 0 && candidate * candidate == square) return candidate;
    }
    return std::nullopt;
}

ShapeValue real_power(ShapeValue const& a, ShapeValue const& b) {
    auto const x = a.real();
    auto const y = b.real();
    if (!x || !y) return {};
    auto const result = std::pow(*x, *y);
    return std::isfinite(result) ? ShapeValue::of_real(result) : ShapeValue{};
}

ShapeValue power(ShapeValue const& base, ShapeValue const& exponent) {
    if (!are_exact(base, exponent)) return real_power(base, exponent);
    if (auto const whole_exponent = exponent.integer()) {
        if (*whole_exponent >= 0) return natural_power(base, *whole_exponent);
        if (*whole_exponent == std::numeric_limits<std::int64_t>::min()) return {};
        return reciprocal(natural_power(base, -*whole_exponent));
    }
    if (exponent == ShapeValue::of_ratio(1, 2) && base.numerator() >= 0) {
        auto const above = exact_root(base.numerator());
        auto const below = exact_root(base.denominator());
        if (above && below) return ShapeValue::of_ratio(*above, *below);
    }
    return real_power(base, exponent);
}

ShapeValue power_by_natural(ShapeValue const& base, ShapeValue const& exponent) {
    auto const natural = exponent.integer();
    if (!base.is_integer() || !natural || *natural < 0) return {};
    return natural_power(base, *natural);
}

ShapeValue truncated(ShapeValue const& a) {
    auto const x = a.real();
    if (!x) return {};
    return *x < 0 ? ceiling(a) : floor(a);
}

ShapeValue rounded(ShapeValue const& a) {
    if (a.is_integer()) return a;
    auto const x = a.real();
    if (!x) return {};
    auto const below = std::floor(*x);
    auto const rest = *x - below;
    bool const goes_up = rest > 0.5 || (rest == 0.5 && std::fmod(below, 2) != 0);
    return whole(goes_up ? below + 1 : below);
}

/// As Python's round(): by the decimal digits of the double's exact value.
ShapeValue rounded_decimal(ShapeValue const& a, ShapeValue const& digits) {
    auto const places = digits.integer();
    if (!places || *places < 0 || *places > 300) return {};
    if (a.is_integer()) return a;
    auto const x = a.real();
    if (!x || !std::isfinite(*x)) return {};
    std::array<char, 700> text{};
    auto const written = std::to_chars(text.data(), text.data() + text.size(), *x,
                                       std::chars_format::fixed, static_cast<int>(*places));
    double result = 0;
    std::from_chars(text.data(), written.ptr, result);
    return ShapeValue::of_real(result);
}

ShapeValue to_float(ShapeValue const& a) {
    auto const x = a.real();
    return x ? ShapeValue::of_real(*x) : ShapeValue{};
}

ShapeValue square_root(ShapeValue const& a) {
    auto const x = a.real();
    return x && *x >= 0 ? ShapeValue::of_real(std::sqrt(*x)) : ShapeValue{};
}

std::optional<int> order_of(ShapeValue const& a, ShapeValue const& b) {
    if (are_exact(a, b)) {
        auto const difference = sum(a, negative(b));
        if (!difference.is_defined()) return std::nullopt;
        return (difference.numerator() > 0 ? 1 : 0) - (difference.numerator() < 0 ? 1 : 0);
    }
    auto const x = a.real();
    auto const y = b.real();
    if (!x || !y) return std::nullopt;
    return (*x > *y ? 1 : 0) - (*x < *y ? 1 : 0);
}

template <class Holds>
ShapeValue compared(ShapeValue const& a, ShapeValue const& b, Holds holds) {
    if (a.is_truth() && b.is_truth()) {
        return ShapeValue::of_truth(
            holds(static_cast<int>(*a.truth()) - static_cast<int>(*b.truth())));
    }
    auto const order = order_of(a, b);
    return order ? ShapeValue::of_truth(holds(*order)) : ShapeValue{};
}

ShapeValue absolute(ShapeValue const& a) {
    auto const x = a.real();
    if (!x) return {};
    return *x < 0 ? negative(a) : a;
}

/// The least (sign -1) or greatest (sign 1) of numbers.
ShapeValue extreme(Values arguments, int sign) {
    auto best = arguments.front();
    if (!best.real()) return {};
    for (auto const& argument : arguments.subspan(1)) {
        auto const order = order_of(argument, best);
        if (!order) return {};
        if (*order * sign > 0) best = argument;
    }
    return best;
}

/// As Python reads it where a condition stands; empty where it is undefined.
std::optional<bool> holds(ShapeValue const& value) {
    if (value.is_truth()) return value.truth();
    auto const number = value.real();
    return number ? std::optional{*number != 0} : std::nullopt;
}

/// \param decisive  the truth of one argument that makes the result that truth
ShapeValue joined(Values arguments, bool decisive) {
    bool is_undefined = false;
    for (auto const& argument : arguments) {
        auto const truth = holds(argument);
        if (truth == decisive) return ShapeValue::of_truth(decisive);
        is_undefined = is_undefined || !truth;
    }
    return is_undefined ? ShapeValue{} : ShapeValue::of_truth(!decisive);
}

template <class Operation>
ShapeValue bit_by_bit(Values arguments, Operation operation) {
    auto bits = arguments.front().integer();
    for (auto const& argument : arguments.subspan(1)) {
        auto const more = argument.integer();
        if (!bits || !more) return {};
        *bits = operation(*bits, *more);
    }
    return bits ? of_wide(*bits) : ShapeValue{};
}

bool are_integers(Values arguments) {
    return std::all_of(arguments.begin(), arguments.end(),
                       [](ShapeValue const& value) { return value.is_integer(); });
}

ShapeValue exclusive(Values arguments) {
    if (are_integers(arguments)) return bit_by_bit(arguments, std::bit_xor<>{});
    bool odd = false;
    for (auto const& argument : arguments) {
        auto const truth = argument.truth();
        if (!truth) return {};
        odd = odd != *truth;
    }
    return ShapeValue::of_truth(odd);
}

ShapeValue piecewise(Values arguments) {
    for (std::size_t i = 0; i + 1 < arguments.size(); i += 2) {
        auto const applies = holds(arguments[i + 1]);
        if (!applies) return {};
        if (*applies) return arguments[i];
    }
    return {};
}

ShapeValue non_overlapping_and_dense(Values arguments) {
    if (arguments.size() % 2 != 0 || !are_integers(arguments)) return {};
    auto const rank = arguments.size() / 2;
    struct Dimension {
        Wide stride;
        Wide size;
    };
    std::vector<Dimension> dimensions;
    for (std::size_t i = 0; i < rank; ++i) {
        dimensions.push_back({arguments[rank + i].numerator(), arguments[i].numerator()});
    }
    std::ranges::stable_sort(dimensions, {}, &Dimension::stride);
    Wide expected = 1;
    for (auto const& [stride, size] : dimensions) {
        if (size == 1 || (rank == 1 && size < 2)) continue;
        if (stride != expected) return of_wide(0);
        if (__builtin_mul_overflow(expected, size, &expected)) return {};
    }
    return of_wide(1);
}

template <class Operation>
ShapeValue folded(Values arguments, Operation operation) {
    auto result = arguments.front();
    for (auto const& argument : arguments.subspan(1)) result = operation(result, argument);
    return result.real() ? result : ShapeValue{};
}

}  // namespace

bool takes(ShapeFunction function, std::size_t arguments) {
    auto const [least, most] = least_and_most(function);
    return arguments >= least && arguments <= most;
}

std::optional<ShapeFunction> shape_function_named(std::string_view name) {
    return value_named(name, names);
}

ShapeValue evaluate(ShapeFunction function, Values arguments) {
    auto const& a = arguments[0];
    auto const& b = arguments.size() > 1 ? arguments[1] : a;
    switch (function) {
        case ShapeFunction::add:
            return folded(arguments, sum);
        case ShapeFunction::subtract:
            return sum(a, negative(b));
        case ShapeFunction::multiply:
            return folded(arguments, product);
        case ShapeFunction::negate:
            return negative(a);
        case ShapeFunction::power:
            return power(a, b);
        case ShapeFunction::power_by_natural:
            return power_by_natural(a, b);
        case ShapeFunction::float_power:
            return real_power(a, b);
        case ShapeFunction::true_divide:
            return true_quotient(a, b);
        case ShapeFunction::exact_divide:
            return exact_quotient(a, b);
        case ShapeFunction::floor_divide:
            return floor_quotient(a, b);
        case ShapeFunction::ceil_divide:
            return ceil_quotient(a, b);
        case ShapeFunction::modulus:
            return remainder(a, b);
        case ShapeFunction::modular_indexing:
            return remainder(floor_quotient(a, b), arguments[2]);
        case ShapeFunction::left_shift:
            return left_shift(a, b);
        case ShapeFunction::right_shift:
            return right_shift(a, b);
        case ShapeFunction::minimum:
            return extreme(arguments, -1);
        case ShapeFunction::maximum:
            return extreme(arguments, 1);
        case ShapeFunction::absolute:
            return absolute(a);
        case ShapeFunction::floor:
            return floor(a);
        case ShapeFunction::ceiling:
            return ceiling(a);
        case ShapeFunction::truncate:
            return truncated(a);
        case ShapeFunction::truncate_to_float:
            return to_float(truncated(a));
        case ShapeFunction::round:
            return rounded(a);
        case ShapeFunction::round_decimal:
            return rounded_decimal(a, b);
        case ShapeFunction::to_float:
            return to_float(a);
        case ShapeFunction::identity:
            return a;
        case ShapeFunction::square_root:
            return square_root(a);
        case ShapeFunction::where: {
            auto const chosen = holds(a);
            if (!chosen) return {};
            return *chosen ? b : arguments[2];
        }
        case ShapeFunction::piecewise:
            return piecewise(arguments);
        case ShapeFunction::equal:
            return compared(a, b, [](int order) { return order == 0; });
        case ShapeFunction::unequal:
            return compared(a, b, [](int order) { return order != 0; });
        case ShapeFunction::less:
            return compared(a, b, [](int order) { return order < 0; });
        case ShapeFunction::less_equal:
            return compared(a, b, [](int order) { return order <= 0; });
        case ShapeFunction::greater:
            return compared(a, b, [](int order) { return order > 0; });
        case ShapeFunction::greater_equal:
            return compared(a, b, [](int order) { return order >= 0; });
        case ShapeFunction::both:
            if (are_integers(arguments)) return bit_by_bit(arguments, std::bit_and<>{});
            return joined(arguments, false);
        case ShapeFunction::either:
            if (are_integers(arguments)) return bit_by_bit(arguments, std::bit_or<>{});
            return joined(arguments, true);
        case ShapeFunction::exclusive:
            return exclusive(arguments);
        case ShapeFunction::negation: {
            auto const truth = holds(a);
            return truth ? ShapeValue::of_truth(!*truth) : ShapeValue{};
        }
        case ShapeFunction::is_non_overlapping_and_dense:
            return non_overlapping_and_dense(arguments);
    }
    return {};
}

}  // namespace derate
