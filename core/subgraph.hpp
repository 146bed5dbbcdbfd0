#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/operation_type.hpp"
#include "core/quantity.hpp"

namespace derate {

/// A scalar, a list of numbers (kernel, stride), a flag or a word (layout, mode).
using AttributeValue = std::variant<bool, double, std::vector<double>, std::string>;

/// One operator call inside a subgraph, as far as its cost depends on it.
struct SubgraphNode {
    std::string name;  ///< unique in its model
    std::string op;  ///< ATen name without namespace and overload ("conv2d"); foreign files: theirs
    std::vector<std::int64_t> input_shape;   ///< of the first tensor input; empty if there is none
    std::vector<std::int64_t> output_shape;  ///< of the first tensor output
    /// What decides the kernel beside the shapes; keys in docs/taxonomy.md (in_channels,
    /// out_channels, kernel, stride, groups, m, n, k, layout, ...).
    std::map<std::string, AttributeValue, std::less<>> attributes;

    friend bool operator==(SubgraphNode const&, SubgraphNode const&) = default;
};

/// Memory a subgraph must touch once: internal re-reads and caches are not in it.
struct Traffic {
    Bytes input;
    Bytes weights;
    Bytes output;

    [[nodiscard]] Bytes total() const {
        return Bytes{input.value() + weights.value() + output.value()};
    }
    friend bool operator==(Traffic const&, Traffic const&) = default;
};

/// A run of consecutive operators that execute as one unit: what is timed, fitted and priced.
struct Subgraph {
    int id = 0;                  ///< position in the model, from 0
    std::string fusion_pattern;  ///< e.g. "Conv2d_BatchNorm2d_ReLU"
    OperationType type = OperationType::meta;
    std::vector<SubgraphNode> nodes;  ///< one or more
    Flops work;                       ///< >= 0; rule: docs/taxonomy.md ("derate_1")
    Traffic traffic;                  ///< >= 0 each
    /// Identifies equal kernels across models and turns back into the case
    /// (workloads/descriptor.hpp); empty in foreign files.
    std::string descriptor;

    friend bool operator==(Subgraph const&, Subgraph const&) = default;
};

/// 16 hex digits of FNV-1a (64 bit) over a subgraph's descriptor: short enough for every line.
[[nodiscard]] std::string descriptor_hash(std::string_view descriptor);

}  // namespace derate
