#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "workloads/exported_program.hpp"

namespace derate {

/// Appends one element as the tensor's memory holds it, little endian, rounded to nearest even.
void append_element(std::vector<std::byte>& bytes, ScalarType dtype, double element);
void append_element(std::vector<std::byte>& bytes, ScalarType dtype, std::int64_t element);

/// A strided tensor's elements in row-major order without gaps.
///
/// \param storage  the bytes of the whole storage, from element 0
/// \param layout   sizes, strides, offset and dtype of the tensor in it
/// \return         empty when the tensor reaches beyond the storage
[[nodiscard]] std::optional<std::vector<std::byte>> gather_elements(std::string_view storage,
                                                                    TensorValue const& layout);

}  // namespace derate
