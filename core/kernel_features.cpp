#include "core/kernel_features.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

namespace derate {
namespace {

using Features = std::array<double, feature_count>;

double elements(std::vector<std::int64_t> const& shape) {
    double product = 1;
    for (auto const size : shape) product *= static_cast<double>(std::max<std::int64_t>(size, 1));
    return product;
}

double last(std::vector<std::int64_t> const& shape) {
    return shape.empty() ? 1.0 : static_cast<double>(std::max<std::int64_t>(shape.back(), 1));
}

/// Items that a kernel takes at once: the first dimension of what it reads.
double items_of(SubgraphNode const& node) {
    auto const& shape = node.input_shape;
    return shape.size() < 2 ? 1 : static_cast<double>(std::max<std::int64_t>(shape.front(), 1));
}

std::optional<double> number(SubgraphNode const& node, char const* name) {
    auto const found = node.attributes.find(name);
    if (found == node.attributes.end()) return std::nullopt;
    if (auto const* value = std::get_if<double>(&found->second)) return *value;
    if (auto const* values = std::get_if<std::vector<double>>(&found->second)) {
        // A list of sizes counts by its product, as kernel [3, 3] does.
        double product = 1;
        for (double const value : *values) product *= value;
        return product;
    }
    return std::nullopt;
}

std::optional<std::string> word(SubgraphNode const& node, char const* name) {
    auto const found = node.attributes.find(name);
    if (found == node.attributes.end()) return std::nullopt;
    auto const* value = std::get_if<std::string>(&found->second);
    return value ? std::optional{*value} : std::nullopt;
}

bool flag(SubgraphNode const& node, char const* name) {
    auto const found = node.attributes.find(name);
    auto const* value =
        found == node.attributes.end() ? nullptr : std::get_if<bool>(&found->second);
    return value != nullptr && *value;
}

bool is_view(SubgraphNode const& node) { return flag(node, "view"); }

bool is_convolution(SubgraphNode const& node) {
    return node.attributes.contains("in_channels") && node.attributes.contains("out_channels");
}

/// Sizes of one matrix product: batch x (m x k) (k x n).
struct ProductSizes {
    double batch = 1, m = 1, n = 1, k = 1;
    [[nodiscard]] double work() const { return batch * m * n * k; }
};

std::optional<ProductSizes> product_sizes(SubgraphNode const& node) {
    if (auto const m = number(node, "m")) {
        return ProductSizes{.batch = number(node, "batch").value_or(1),
                            .m = *m,
                            .n = number(node, "n").value_or(1),
                            .k = number(node, "k").value_or(1)};
    }
    // A foreign linear layer: rows of the input times a weight that the shapes imply.
    if (node.op == "Linear" && !node.input_shape.empty() && !node.output_shape.empty()) {
        return ProductSizes{.batch = 1,
                            .m = elements(node.input_shape) / last(node.input_shape),
                            .n = last(node.output_shape),
                            .k = last(node.input_shape)};
    }
    return std::nullopt;
}

double convolution_work(SubgraphNode const& node) {
    return elements(node.output_shape) * number(node, "in_channels").value_or(1) /
           number(node, "groups").value_or(1) * number(node, "kernel").value_or(1);
}

/// The node of a subgraph that decides its kernel: the convolution or product with the most work,
/// else the first that is no view.
SubgraphNode const& main_node(Subgraph const& subgraph) {
    SubgraphNode const* main = nullptr;
    double most = -1;
    for (auto const& node : subgraph.nodes) {
        if (is_view(node)) continue;
        double work = 0;
        if (is_convolution(node)) {
            work = convolution_work(node);
        } else if (auto const sizes = product_sizes(node)) {
            work = sizes->work();
        }
        if (work > most) {
            most = work;
            main = &node;
        }
    }
    return main != nullptr ? *main : subgraph.nodes.front();
}

Features convolution_sizes(SubgraphNode const& node, double kernels) {
    double const channels = number(node, "out_channels").value_or(1);
    double const groups = number(node, "groups").value_or(1);
    return {number(node, "in_channels").value_or(1) / groups,
            channels,
            elements(node.output_shape) / std::max(channels, 1.0),
            number(node, "kernel").value_or(1),
            number(node, "stride").value_or(1),
            groups,
            kernels,
            items_of(node)};
}

Features product_features(ProductSizes const& sizes, double kernels) {
    return {sizes.m, sizes.n, sizes.k, sizes.batch, kernels, 0, 0, 0};
}

Features attention_sizes(SubgraphNode const& node, double kernels) {
    return {number(node, "batch").value_or(1) * number(node, "heads").value_or(1),
            number(node, "query_length").value_or(1),
            number(node, "key_length").value_or(1),
            number(node, "head_size").value_or(1),
            kernels,
            0,
            0,
            0};
}

/// The extent that a kernel sums or normalises over, else the innermost of its input.
double inner_extent(SubgraphNode const& node) {
    for (auto const* name : {"reduced_size", "normalized_size"}) {
        if (auto const size = number(node, name)) return *size;
    }
    return last(node.input_shape);
}

Features memory_sizes(Subgraph const& subgraph, SubgraphNode const& node, double kernels) {
    auto const& outputs = subgraph.nodes.back().output_shape;
    double const count = elements(outputs.empty() ? node.output_shape : outputs);
    return {elements(node.input_shape),
            count,
            inner_extent(node),
            number(node, "kernel").value_or(1),
            1 + subgraph.work.value() / count,
            kernels,
            number(node, "operands").value_or(1),
            items_of(node)};
}

constexpr std::array<std::string_view, feature_count> convolution_names{"in_channels_per_group",
                                                                        "out_channels",
                                                                        "output_positions",
                                                                        "kernel_area",
                                                                        "stride",
                                                                        "groups",
                                                                        "kernels",
                                                                        items_feature};
constexpr std::array<std::string_view, feature_count> product_names{"m",       "n", "k", "batch",
                                                                    "kernels", "0", "0", "0"};
constexpr std::array<std::string_view, feature_count> attention_names{
    "batch_heads", "query_length", "key_length", "head_size", "kernels", "0", "0", "0"};
constexpr std::array<std::string_view, feature_count> memory_names{
    "inputs",          "outputs", "inner_extent", "kernel_area",
    "work_per_output", "kernels", "operands",     items_feature};

/// Operators whose kernels are those of one plain matrix product or attention, sorted.
constexpr auto plain_products = std::to_array<std::string_view>(
    {"_scaled_dot_product_efficient_attention", "_scaled_dot_product_flash_attention",
     "_scaled_dot_product_flash_attention_for_cpu", "addbmm", "addmm", "addmv", "baddbmm", "bmm",
     "chain_matmul", "dot", "einsum", "inner", "linalg_matmul", "linalg_multi_dot", "linear",
     "matmul", "mm", "mv", "scaled_dot_product_attention", "tensordot", "vdot"});

/// "relu" of "relu_".
std::string_view functional_name(SubgraphNode const& node) {
    std::string_view op = node.op;
    if (op.ends_with('_') && !op.ends_with("__")) op.remove_suffix(1);
    return op;
}

/// Foreign files name modules, in capitals.
bool is_operator(std::string_view op) {
    return !op.empty() && (op.front() < 'A' || op.front() > 'Z');
}

/// A convolution with stride, groups and kernel, or a product, counts 2 FLOP a multiply-add by
/// every rule; what is left of the subgraph's work joined it.
double joined_flops(Subgraph const& subgraph, SubgraphNode const& node) {
    double main = 0;
    if (is_convolution(node) && !flag(node, "transposed")) {
        main = 2 * convolution_work(node);
    } else if (auto const sizes = product_sizes(node)) {
        main = number(node, "product_flops").value_or(2 * sizes->work());
    }
    if (main <= 0) return 0;
    return std::max(0.0, subgraph.work.value() - main);
}

RooflineTerms terms_of(Subgraph const& subgraph, SubgraphNode const& main) {
    auto const running = std::count_if(subgraph.nodes.begin(), subgraph.nodes.end(),
                                       [](auto const& node) { return !is_view(node); });
    return {.kernels = std::max(1.0, static_cast<double>(running)),
            .flops = subgraph.work.value(),
            .bytes = subgraph.traffic.total().value(),
            .activation_bytes = subgraph.traffic.input.value() + subgraph.traffic.output.value(),
            .joined_flops = joined_flops(subgraph, main)};
}

Features sizes_of(Subgraph const& subgraph, SubgraphNode const& node, double kernels) {
    switch (feature_group_of(subgraph.type)) {
        case FeatureGroup::convolution:
            if (is_convolution(node)) return convolution_sizes(node, kernels);
            break;
        case FeatureGroup::matrix_product:
            if (auto const sizes = product_sizes(node)) return product_features(*sizes, kernels);
            // Products whose sizes a foreign file does not give: traffic stands in for them.
            return {subgraph.traffic.output.value(),
                    subgraph.traffic.weights.value(),
                    subgraph.traffic.input.value(),
                    0,
                    kernels,
                    0,
                    0,
                    0};
        case FeatureGroup::attention:
            if (node.attributes.contains("heads")) return attention_sizes(node, kernels);
            return {0,
                    node.input_shape.size() > 1
                        ? static_cast<double>(node.input_shape[node.input_shape.size() - 2])
                        : 1,
                    0,
                    last(node.input_shape),
                    kernels,
                    0,
                    0,
                    0};
        case FeatureGroup::memory:
            return memory_sizes(subgraph, node, kernels);
    }
    return {
        subgraph.traffic.input.value(), subgraph.traffic.output.value(), 0, 0, 0, 0, kernels, 0};
}

std::vector<std::string_view> joined_to(Subgraph const& subgraph, SubgraphNode const& main) {
    std::vector<std::string_view> operators;
    for (auto const& node : subgraph.nodes) {
        auto const op = functional_name(node);
        if (&node != &main && !is_view(node) && is_operator(op)) operators.push_back(op);
    }
    return operators;
}

bool is_product_unlike_others(OperationType type, SubgraphNode const& main) {
    auto const group = feature_group_of(type);
    if (group != FeatureGroup::matrix_product && group != FeatureGroup::attention) return false;
    auto const op = functional_name(main);
    return is_operator(op) && !std::ranges::binary_search(plain_products, op);
}

std::string regime_of(OperationType type, SubgraphNode const& node) {
    std::string regime;
    auto const add = [&](std::string_view part) {
        if (!regime.empty()) regime += ", ";
        regime += part;
    };
    auto const group = feature_group_of(type);
    if (is_convolution(node)) {
        double const in_channels = number(node, "in_channels").value_or(1);
        double const out_channels = number(node, "out_channels").value_or(1);
        if (type == OperationType::conv2d_depthwise) {
            if (out_channels > in_channels) add("channel multiplier");
            if (number(node, "kernel").value_or(9) == 1) add("depthwise 1x1");
        }
        if (number(node, "dilation").value_or(1) > 1) add("dilated");
        if (flag(node, "transposed")) add("transposed");
    }
    auto const op = functional_name(node);
    if (is_product_unlike_others(type, node)) add(op);
    // One type, several kernels: the operator tells them apart.
    if (group == FeatureGroup::memory && type != OperationType::softmax) {
        add(op);
    }
    if (flag(node, "training")) add("training");
    if (flag(node, "mask")) add("masked");
    if (flag(node, "causal")) add("causal");
    if (flag(node, "broadcast")) add("broadcast");
    if (word(node, "reduced_dim") == "strided") add("strided dimension");
    if (auto const layout = word(node, "layout"); layout && *layout != "contiguous") add(*layout);
    if (auto const kind = word(node, "dtype"); kind && kind->find("float") == std::string::npos) {
        add(*kind);
    }
    return regime.empty() ? "plain" : regime;
}

}  // namespace

RooflineTerms roofline_terms(Subgraph const& subgraph) {
    return terms_of(subgraph, main_node(subgraph));
}

FeatureGroup feature_group_of(OperationType type) {
    switch (parent_of(type)) {
        case ParentType::conv:
            return FeatureGroup::convolution;
        case ParentType::matmul:
            return type == OperationType::attention ? FeatureGroup::attention
                                                    : FeatureGroup::matrix_product;
        case ParentType::memory:
        case ParentType::meta:
            break;
    }
    return FeatureGroup::memory;
}

bool grows_with_batch(std::string_view feature) {
    constexpr auto growing = std::to_array<std::string_view>(
        {"output_positions", "m", "batch", "batch_heads", "inputs", "outputs", items_feature});
    return std::ranges::find(growing, feature) != growing.end();
}

std::span<std::string_view const, feature_count> feature_names(FeatureGroup group) {
    switch (group) {
        case FeatureGroup::convolution:
            return convolution_names;
        case FeatureGroup::matrix_product:
            return product_names;
        case FeatureGroup::attention:
            return attention_names;
        case FeatureGroup::memory:
            break;
    }
    return memory_names;
}

Features shape_sizes(Subgraph const& subgraph) {
    auto const& main = main_node(subgraph);
    return sizes_of(subgraph, main, terms_of(subgraph, main).kernels);
}

/// Sizes below 1 are unknown: their logarithm is left at 0.
double shape_feature(double size) { return size > 1 ? std::log(size) : 0.0; }

Features shape_features(Subgraph const& subgraph) {
    Features features{};
    std::ranges::transform(shape_sizes(subgraph), features.begin(), shape_feature);
    return features;
}

std::vector<std::string_view> joined_operators(Subgraph const& subgraph) {
    return joined_to(subgraph, main_node(subgraph));
}

bool is_unlike_products(Subgraph const& subgraph) {
    return is_product_unlike_others(subgraph.type, main_node(subgraph));
}

std::string regime_of(Subgraph const& subgraph) {
    return regime_of(subgraph.type, main_node(subgraph));
}

KernelTraits traits_of(Subgraph const& subgraph) {
    auto const& main = main_node(subgraph);
    auto const terms = terms_of(subgraph, main);
    auto const joined = joined_to(subgraph, main);
    return {.type = subgraph.type,
            .terms = terms,
            .sizes = sizes_of(subgraph, main, terms.kernels),
            .regime = regime_of(subgraph.type, main),
            .joined = {joined.begin(), joined.end()},
            .is_unlike_products = is_product_unlike_others(subgraph.type, main)};
}

}  // namespace derate
