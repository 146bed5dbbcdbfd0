#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "shapes/shape_expressions.hpp"
#include "workloads/graph_elements.hpp"

namespace derate {

/// A number of an exported graph: as it stands there, or what it follows from.
using GraphNumber = std::variant<std::int64_t, ExpressionId>;

/// Reads the expressions of an exported graph, each distinct text once.
class GraphShapes {
  public:
    explicit GraphShapes(ShapeExpressions& expressions) : expressions_{expressions} {}

    [[nodiscard]] ShapeExpressions& expressions() { return expressions_; }

    /// Of {"as_int": 3} or {"as_expr": {"expr_str": ...}}. \throws InputError
    [[nodiscard]] GraphNumber number_of(GraphElements const& graph, GraphElements::element value);

    /// The same as an expression, of {"as_float": ...} and {"as_bool": ...} too.
    [[nodiscard]] ExpressionId expression_of(GraphElements const& graph,
                                             GraphElements::element value);

  private:
    ExpressionId parsed(GraphElements const& graph, GraphElements::element content);

    ShapeExpressions& expressions_;
    std::map<std::string, ExpressionId, std::less<>> by_text_;
};

}  // namespace derate
