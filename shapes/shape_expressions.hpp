#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "shapes/shape_function.hpp"
#include "shapes/shape_value.hpp"

namespace derate {

/// Index of an expression of one ShapeExpressions.
using ExpressionId = std::int32_t;

/// Expressions in symbols, each distinct one held once: a model's thousands of sizes are a few
/// expressions in a few symbols, and giving the symbols values costs one pass over them.
class ShapeExpressions {
  public:
    [[nodiscard]] ExpressionId constant(ShapeValue value);
    [[nodiscard]] ExpressionId symbol(std::string_view name);
    /// \param arguments  as many as takes(function, ...) allows, all of this object
    [[nodiscard]] ExpressionId call(ShapeFunction function, std::vector<ExpressionId> arguments);

    /// Names of the symbols, in the order in which they came.
    [[nodiscard]] std::vector<std::string> const& symbols() const { return symbols_; }
    [[nodiscard]] std::size_t size() const { return expressions_.size(); }

    /// Symbols that the expression depends on, as indices into symbols(), ascending.
    [[nodiscard]] std::vector<std::size_t> symbols_of(ExpressionId id) const;

    /// Index into symbols() of an expression that is a symbol alone; empty for any other.
    [[nodiscard]] std::optional<std::size_t> symbol_at(ExpressionId id) const;
    /// \param symbol  index into symbols()
    [[nodiscard]] ExpressionId id_of_symbol(std::size_t symbol) const {
        return by_symbol_.at(symbols_[symbol]);
    }

    /// A function of other expressions; empty for any other.
    struct Call {
        ShapeFunction function;
        std::span<ExpressionId const> arguments;
    };
    [[nodiscard]] std::optional<Call> call_at(ExpressionId id) const;

    /// The integer that the expression is, whatever the symbols are; empty for any other.
    [[nodiscard]] std::optional<std::int64_t> fixed_integer(ExpressionId id) const;

    /// Values of all expressions, by id.
    ///
    /// \param symbols  a value each, in the order of symbols(); undefined where it has none
    /// \param instead  expressions that have another value than they come to, wherever they stand
    [[nodiscard]] std::vector<ShapeValue> evaluate(
        std::span<ShapeValue const> symbols,
        std::span<std::pair<ExpressionId, ShapeValue> const> instead = {}) const;

  private:
    struct Expression {
        enum class Kind { constant, symbol, call } kind = Kind::constant;
        ShapeFunction function = ShapeFunction::identity;
        std::size_t first = 0;  ///< of its arguments in arguments_; of a symbol, its index
        std::size_t count = 0;
        ShapeValue value{};  ///< of a constant
    };

    /// Defined, a truth value, a double; the double, numerator and denominator.
    using ConstantKey = std::tuple<bool, bool, bool, double, ShapeValue::Wide, ShapeValue::Wide>;

    ExpressionId add(Expression expression);

    std::vector<Expression> expressions_;  // each after its arguments
    std::vector<ExpressionId> arguments_;
    std::vector<std::string> symbols_;
    std::map<ConstantKey, ExpressionId> by_constant_;
    std::map<std::string, ExpressionId, std::less<>> by_symbol_;
    std::map<std::pair<ShapeFunction, std::vector<ExpressionId>>, ExpressionId> by_call_;
};

/// How `/` of a text is meant.
enum class Division {
    exact,  ///< sympy's own text: "s0/2" is a ratio
    real,   ///< Python, as guards are: a double
};

/// What a name means that is no symbol: `L['x'].size()[1]` of a guard is ("L['x']", 1), an argument
/// `L['n']` ("L['n']", empty). \return empty: it means nothing
using ShapeNames = std::function<std::optional<ExpressionId>(
    std::string_view path, std::optional<std::int64_t> dimension)>;

/// Reads sympy's srepr ("Add(Integer(2), Symbol('s77', integer=True))"), its plain text ("2*s0 +
/// 1") and Python ("((-1) + L['x'].size()[2]) // 2 != 1").
///
/// \param where  names the text in messages
/// \throws InputError  another syntax, an unknown function or name, more than 200 levels
[[nodiscard]] ExpressionId parse_shape_expression(std::string_view text, Division division,
                                                  ShapeExpressions& expressions,
                                                  ShapeNames const& names, std::string_view where);

}  // namespace derate
