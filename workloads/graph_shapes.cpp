#include "workloads/graph_shapes.hpp"

namespace derate {

ExpressionId GraphShapes::parsed(GraphElements const& graph, GraphElements::element content) {
    auto const text = graph.text_of(graph.member(content, "expr_str"), "expr_str");
    if (auto const known = by_text_.find(text); known != by_text_.end()) return known->second;
    auto const id =
        parse_shape_expression(text, Division::exact, expressions_, {}, graph.location());
    by_text_.emplace(text, id);
    return id;
}

GraphNumber GraphShapes::number_of(GraphElements const& graph, GraphElements::element value) {
    auto const [kind, content] = graph.only_member(value, "size");
    if (kind == "as_int") return graph.integer_of(content, "size");
    if (kind != "as_expr") graph.refuse("a size is " + std::string{kind}, "as_int or as_expr");
    auto const id = parsed(graph, content);
    // Some writers spell plain numbers as expressions.
    if (auto const fixed = expressions_.fixed_integer(id)) return *fixed;
    return id;
}

ExpressionId GraphShapes::expression_of(GraphElements const& graph, GraphElements::element value) {
    auto const [kind, content] = graph.only_member(value, "value");
    if (kind == "as_expr") return parsed(graph, content);
    if (kind == "as_int") {
        return expressions_.constant(ShapeValue::of_integer(graph.integer_of(content, "value")));
    }
    if (kind == "as_float") {
        return expressions_.constant(ShapeValue::of_real(graph.number_of(content, "value")));
    }
    if (kind == "as_bool") {
        return expressions_.constant(ShapeValue::of_truth(graph.flag_of(content, "value")));
    }
    graph.refuse("a value is " + std::string{kind}, "as_int, as_float, as_bool or as_expr");
}

}  // namespace derate
