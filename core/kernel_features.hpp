#pragma once
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/operation_type.hpp"
#include "core/subgraph.hpp"

namespace derate {

/// What the additive roofline charges for.
struct RooflineTerms {
    double kernels = 0;  ///< operators that run; views do not
    double flops = 0;
    double bytes = 0;             ///< inputs, weights and outputs
    double activation_bytes = 0;  ///< inputs and outputs
    /// Part of `flops` beside the convolution or product with the most work: the norm and the
    /// activation that joined it; in imported subgraphs that span several kernels, the others too.
    double joined_flops = 0;

    friend bool operator==(RooflineTerms const&, RooflineTerms const&) = default;
};

[[nodiscard]] RooflineTerms roofline_terms(Subgraph const& subgraph);

/// Which shape features a type's kernels are compared by.
enum class FeatureGroup { convolution, matrix_product, attention, memory };

[[nodiscard]] FeatureGroup feature_group_of(OperationType type);

inline constexpr std::size_t feature_count = 8;  ///< of every group

inline constexpr std::string_view unused_feature = "0";  ///< in place of a feature's name
inline constexpr std::string_view items_feature =
    "items";  ///< of a batch, that a kernel takes at once

/// Names of a group's features, as calibration files carry them. Each is the natural logarithm of a
/// size of 1 or more.
[[nodiscard]] std::span<std::string_view const, feature_count> feature_names(FeatureGroup group);

/// Whether a feature counts what a batch has more of: positions, rows, elements, items.
[[nodiscard]] bool grows_with_batch(std::string_view feature);

/// The sizes that decide which kernel runs and how fast it is; below 1 where the subgraph does not
/// tell.
///
/// Taken from the attributes of docs/taxonomy.md, or from the nodes' shapes where a foreign file
/// has none. Of several convolutions or products the one with the most work counts.
[[nodiscard]] std::array<double, feature_count> shape_sizes(Subgraph const& subgraph);

/// The natural logarithm of one of them; 0 of a size below 1.
[[nodiscard]] double shape_feature(double size);
[[nodiscard]] std::array<double, feature_count> shape_features(Subgraph const& subgraph);

/// Whether it is of a type of products without being one: a recurrent layer, which is a product a
/// step, one after the other; a factorisation, packed weights, a whole encoder layer, which run
/// kernels of their own. What the type's curve says of it where no calibration case shows it may be
/// far off: a GRU of 100 steps took 21 times as long.
[[nodiscard]] bool is_unlike_products(Subgraph const& subgraph);

/// What else decides the kernel, beyond any size, in words: memory layout, depthwise 1x1, channel
/// multiplier, dilation, recurrence, training mode, a reduction over a strided dimension, a broadcast, and for
/// types that hold several operators which one it is. Equal text, equal regime.
///
/// Example: "max_pool2d", "layer_norm, strided", "depthwise 1x1, channels_last"; "plain" where
/// nothing is unusual.
[[nodiscard]] std::string regime_of(Subgraph const& subgraph);

/// The operators that run beside the one that the kernel is named after, as ATen names them,
/// "softplus" of "softplus_" too; views and the modules of foreign files are left out. In order, as
/// often as they run.
[[nodiscard]] std::vector<std::string_view> joined_operators(Subgraph const& subgraph);

/// All that an estimator asks of a subgraph.
struct KernelTraits {
    OperationType type = OperationType::meta;
    RooflineTerms terms;
    std::array<double, feature_count> sizes{};  ///< shape_sizes()
    std::string regime;                         ///< regime_of()
    std::vector<std::string> joined;            ///< joined_operators()
    bool is_unlike_products = false;

    friend bool operator==(KernelTraits const&, KernelTraits const&) = default;
};

[[nodiscard]] KernelTraits traits_of(Subgraph const& subgraph);

}  // namespace derate
