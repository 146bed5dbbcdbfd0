#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "shapes/shape_value.hpp"

namespace derate {

/// What sizes are computed with: sympy's functions, those of torch/utils/_sympy/functions.py, and
/// Python's operators.
enum class ShapeFunction {
    add,
    subtract,
    multiply,
    negate,
    power,             ///< exact where base and exponent allow it
    power_by_natural,  ///< undefined for an exponent below 0
    float_power,
    true_divide,   ///< a double, as Python's `/`
    exact_divide,  ///< a ratio, as sympy's text writes it
    floor_divide,  ///< towards minus infinity, as Python's `//`
    ceil_divide,
    modulus,           ///< with the sign of the divisor, as Python's `%`
    modular_indexing,  ///< (base // divisor) % modulus
    left_shift,
    right_shift,
    minimum,
    maximum,
    absolute,
    floor,
    ceiling,
    truncate,
    truncate_to_float,
    round,  ///< half to even
    round_decimal,
    to_float,
    identity,
    square_root,  ///< a double
    where,        ///< (condition, value if true, value if false)
    piecewise,    ///< (value, condition, value, condition, ...): the first whose condition holds
    equal,
    unequal,
    less,
    less_equal,
    greater,
    greater_equal,
    both,    ///< of truth values "and"; of integers bit by bit
    either,  ///< of truth values "or"; of integers bit by bit
    exclusive,
    negation,
    /// (sizes..., strides...): 1 where the elements fill a stretch of memory, else 0.
    is_non_overlapping_and_dense,
};

/// Undefined where an argument is that the result depends on (`both` of false and anything is
/// false), where Python or sympy raise an error, and for arguments of a kind that the function does
/// not take.
///
/// \param arguments  as many as takes() allows
/// Source: torch/utils/_sympy/functions.py of PyTorch 2.15.0; Python 3.11's operators.
[[nodiscard]] ShapeValue evaluate(ShapeFunction function, std::span<ShapeValue const> arguments);

[[nodiscard]] bool takes(ShapeFunction function, std::size_t arguments);

/// By the names of sympy's srepr ("FloorDiv"), of guards ("math.trunc") and of the nodes that
/// compute sizes ("_operator.floordiv"); empty for a name that is none of them.
[[nodiscard]] std::optional<ShapeFunction> shape_function_named(std::string_view name);

}  // namespace derate
