#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>

#include "workloads/exported_program.hpp"

namespace derate {

/// Where the elements of a pickled tensor lie: the pickle holds no element itself.
struct PickledTensor {
    std::string storage;  ///< the key of its file, "data/<key>" in the zip that torch.save wrote
    TensorValue layout;   ///< dtype, sizes, strides and offset in that storage; no name

    friend bool operator==(PickledTensor const&, PickledTensor const&) = default;
};

/// What stands in place of a tensor of plain storage, in words: "torch._utils._rebuild_qtensor".
struct NotPlain {
    std::string what;
};

using PickledValue = std::variant<PickledTensor, NotPlain>;

/// Reads the data.pkl of what torch.save wrote: a dictionary from names to tensors, or one tensor,
/// which is given under the empty name.
///
/// Nothing is executed: of all callables a pickle may name, those that torch.save writes around a
/// tensor are understood, other ones of torch stand for values that are not plain tensors, and any
/// other is refused. Memory is a small multiple of the text; nothing recurses.
///
/// \throws InputError  not such a pickle
[[nodiscard]] std::map<std::string, PickledValue> read_pickled_tensors(std::string_view pickle,
                                                                       std::string_view where);

}  // namespace derate
