#include "shapes/shape_expressions.hpp"

#include <algorithm>
#include <set>

namespace derate {
namespace {

std::size_t index(ExpressionId id) { return static_cast<std::size_t>(id); }

}  // namespace

ExpressionId ShapeExpressions::add(Expression expression) {
    expressions_.push_back(std::move(expression));
    return static_cast<ExpressionId>(expressions_.size() - 1);
}

ExpressionId ShapeExpressions::constant(ShapeValue value) {
    ConstantKey const key{value.is_defined(), value.is_truth(),
                          value.is_real(),    value.is_real() ? *value.real() : 0,
                          value.numerator(),  value.denominator()};
    if (auto const known = by_constant_.find(key); known != by_constant_.end())
        return known->second;
    auto const id = add({.kind = Expression::Kind::constant, .value = value});
    by_constant_.emplace(key, id);
    return id;
}

ExpressionId ShapeExpressions::symbol(std::string_view name) {
    if (auto const known = by_symbol_.find(name); known != by_symbol_.end()) return known->second;
    auto const id = add({.kind = Expression::Kind::symbol, .first = symbols_.size()});
    symbols_.emplace_back(name);
    by_symbol_.emplace(name, id);
    return id;
}

ExpressionId ShapeExpressions::call(ShapeFunction function, std::vector<ExpressionId> arguments) {
    auto const key = std::pair{function, std::move(arguments)};
    if (auto const known = by_call_.find(key); known != by_call_.end()) return known->second;
    auto const first = arguments_.size();
    arguments_.insert(arguments_.end(), key.second.begin(), key.second.end());
    auto const id = add({.kind = Expression::Kind::call,
                         .function = function,
                         .first = first,
                         .count = key.second.size()});
    by_call_.emplace(key, id);
    return id;
}

std::vector<std::size_t> ShapeExpressions::symbols_of(ExpressionId id) const {
    std::set<ExpressionId> seen;
    std::vector<ExpressionId> open{id};
    std::set<std::size_t> found;
    while (!open.empty()) {
        auto const next = open.back();
        open.pop_back();
        if (!seen.insert(next).second) continue;
        auto const& expression = expressions_[index(next)];
        if (expression.kind == Expression::Kind::symbol) found.insert(expression.first);
        if (expression.kind != Expression::Kind::call) continue;
        for (std::size_t i = 0; i < expression.count; ++i) {
            open.push_back(arguments_[expression.first + i]);
        }
    }
    return {found.begin(), found.end()};
}

std::optional<std::size_t> ShapeExpressions::symbol_at(ExpressionId id) const {
    auto const& expression = expressions_[index(id)];
    if (expression.kind != Expression::Kind::symbol) return std::nullopt;
    return expression.first;
}

std::optional<ShapeExpressions::Call> ShapeExpressions::call_at(ExpressionId id) const {
    auto const& expression = expressions_[index(id)];
    if (expression.kind != Expression::Kind::call) return std::nullopt;
    return Call{.function = expression.function,
                .arguments = std::span{arguments_}.subspan(expression.first, expression.count)};
}

std::optional<std::int64_t> ShapeExpressions::fixed_integer(ExpressionId id) const {
    if (!symbols_of(id).empty()) return std::nullopt;
    return evaluate(std::vector<ShapeValue>(symbols_.size()))[index(id)].integer();
}

std::vector<ShapeValue> ShapeExpressions::evaluate(
    std::span<ShapeValue const> symbols,
    std::span<std::pair<ExpressionId, ShapeValue> const> instead) const {
    std::vector<ShapeValue> values(expressions_.size());
    std::vector<ShapeValue> arguments;
    for (std::size_t i = 0; i < expressions_.size(); ++i) {
        auto const& expression = expressions_[i];
        switch (expression.kind) {
            case Expression::Kind::constant:
                values[i] = expression.value;
                break;
            case Expression::Kind::symbol:
                values[i] = symbols[expression.first];
                break;
            case Expression::Kind::call:
                arguments.clear();
                for (std::size_t a = 0; a < expression.count; ++a) {
                    arguments.push_back(values[index(arguments_[expression.first + a])]);
                }
                values[i] = derate::evaluate(expression.function, arguments);
                break;
        }
        for (auto const& [of, value] : instead) {
            if (index(of) == i) values[i] = value;
        }
    }
    return values;
}

}  // namespace derate
