#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "workloads/exported_program.hpp"

namespace derate {

[[nodiscard]] TensorValue const& value_of(ExportedProgram const& program, ValueId id);

/// The tensor argument of that name; null when absent or None.
[[nodiscard]] TensorValue const* tensor_argument(ExportedProgram const& program,
                                                 ProgramNode const& node, std::string_view name);
/// The same as its number; empty when absent or None.
[[nodiscard]] std::optional<ValueId> tensor_id(ProgramNode const& node, std::string_view name);
/// Tensors of a list with gaps, as indexing has; torch.export writes a plain list where there are
/// none. \return empty when the node has no such argument
[[nodiscard]] std::optional<std::vector<std::optional<ValueId>>> tensors_with_gaps(
    ProgramNode const& node, std::string_view name);
/// The first tensor that the call returns; null when it returns none.
[[nodiscard]] TensorValue const* first_result(ExportedProgram const& program,
                                              ProgramNode const& node);

[[nodiscard]] bool flag_argument(ProgramNode const& node, std::string_view name, bool otherwise);
/// An integer or float argument.
[[nodiscard]] double number_argument(ProgramNode const& node, std::string_view name,
                                     double otherwise);
/// An integer, where a float stands too.
[[nodiscard]] std::int64_t integer_argument(ProgramNode const& node, std::string_view name,
                                            std::int64_t otherwise);
/// A list of integers, or one integer; empty when absent.
[[nodiscard]] std::vector<std::int64_t> integers_argument(ProgramNode const& node,
                                                          std::string_view name);

/// Size of a dimension, a negative one counted from the end; 1 where there is none.
[[nodiscard]] std::int64_t extent(TensorValue const& value, std::int64_t dimension);
[[nodiscard]] bool is_boolean(TensorValue const& value);

/// Elements of a broadcast of the two shapes; sizes that do not match count with the larger one.
[[nodiscard]] double broadcast_count(std::vector<std::int64_t> const& a,
                                     std::vector<std::int64_t> const& b);

/// Elements in memory, an expanded dimension (stride 0) counted once.
[[nodiscard]] double unique_elements(TensorValue const& value);

/// Their memory.
[[nodiscard]] double unique_bytes(TensorValue const& value);

enum class MemoryOrder { contiguous, channels_last, strided };
[[nodiscard]] std::string_view to_string(MemoryOrder order);

/// How the elements lie: row-major without gaps, NHWC without gaps, or otherwise. Dimensions of
/// size 1 decide nothing; a tensor that is both counts as contiguous.
[[nodiscard]] MemoryOrder memory_order(TensorValue const& value);

/// Both have the same sizes and the same strides wherever a size is not 1.
[[nodiscard]] bool same_element_order(TensorValue const& a, TensorValue const& b);

/// `value` takes the shape `sizes` without a copy, as Tensor::view demands.
[[nodiscard]] bool can_view(TensorValue const& value, std::vector<std::int64_t> const& sizes);

struct ConvolutionShape {
    std::int64_t batch = 1;
    std::int64_t in_channels = 1;
    std::int64_t out_channels = 1;
    std::int64_t groups = 1;
    bool transposed = false;
    std::vector<std::int64_t> kernel;  ///< one entry a spatial dimension, as all below
    std::vector<std::int64_t> stride;
    std::vector<std::int64_t> padding;  ///< empty where the call names a mode ("same")
    std::string padding_mode;
    std::vector<std::int64_t> dilation;
    std::vector<std::int64_t> input_spatial;
    std::vector<std::int64_t> output_spatial;
};
[[nodiscard]] ConvolutionShape convolution_shape(ExportedProgram const& program,
                                                 ProgramNode const& node);

struct AttentionShape {
    std::int64_t batch = 1;
    std::int64_t heads = 1;
    std::int64_t key_heads = 1;  ///< fewer than heads in grouped-query attention
    std::int64_t query_length = 1;
    std::int64_t key_length = 1;
    std::int64_t head_size = 1;
    std::int64_t value_size = 1;
};
[[nodiscard]] AttentionShape attention_shape(ExportedProgram const& program,
                                             ProgramNode const& node);

struct PoolShape {
    std::vector<std::int64_t> kernel;  ///< of an adaptive pool: the largest window
    std::vector<std::int64_t> stride;
    std::vector<std::int64_t> output_spatial;
    double window_elements = 0;  ///< read in all windows of all channels, padding included
};
[[nodiscard]] PoolShape pool_shape(ExportedProgram const& program, ProgramNode const& node);

}  // namespace derate
