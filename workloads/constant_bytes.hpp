#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "workloads/exported_program.hpp"

namespace derate {

/// Appends one element as the tensor's memory holds it, little endian, rounded to nearest even.
void append_element(std::vector<std::byte>& bytes, ScalarType dtype, double element);
void append_element(std::vector<std::byte>& bytes, ScalarType dtype, std::int64_t element);

/// Bytes of a storage, from its first.
struct StorageRange {
    std::uint64_t first = 0;
    std::uint64_t count = 0;

    friend bool operator==(StorageRange const&, StorageRange const&) = default;
};

/// From a strided tensor's first element to its last, with what lies between; none for a tensor of
/// no elements. \return empty when that is beyond 2^48 bytes
[[nodiscard]] std::optional<StorageRange> storage_range(TensorValue const& layout);

/// A strided tensor's elements in row-major order without gaps. Allocates what they take, so bound
/// their count first.
///
/// \param storage  the bytes of the storage, from element 0
/// \param layout   sizes, strides, offset and dtype of the tensor in it
/// \return         empty when the tensor reaches beyond the storage
[[nodiscard]] std::optional<std::vector<std::byte>> gather_elements(std::string_view storage,
                                                                    TensorValue const& layout);

}  // namespace derate
