#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "benchmarks/interpreter.hpp"
#include "workloads/exported_program.hpp"

namespace derate::benchmarks {

/// Elements of rule `seeded_values_2` (ctest/seeded_values.py), which C++ and Python agree on to
/// the last bit: value i depends on the tensor's name and i only.
struct SeededValues {
    std::uint64_t hash = 0;  ///< FNV-1a (64 bit) of the tensor's name

    explicit SeededValues(std::string_view name);

    /// Output i + 1 of SplitMix64 seeded with the hash.
    [[nodiscard]] std::uint64_t bits(std::uint64_t i) const;

    /// Nearly normal values (sum of four uniforms), mean `offset` * `scale`, in elements from
    /// `first` on.
    void fill_normal(std::span<float> values, std::uint64_t first, std::int32_t offset,
                     float scale) const;
};

/// One tensor for each of the program's inputs, in its slot, every other slot undefined: weights
/// scaled by fan-in, tables with the values of the export, user inputs as values_of() says: ids
/// spread over the rows of their tables, masks in blocks, maps smooth, all else standard normal.
/// Contiguous or as the export strides them.
///
/// \param seed    0 is the rule as it stands; another gives other values of the same kind
/// \param device  "cpu" or "cuda"
/// \throws CannotTime  no memory
[[nodiscard]] TensorSlots seeded_inputs(ExportedProgram const& program, std::uint64_t seed,
                                        std::string const& device);

/// Of these of the program's inputs alone: no memory is filled for what nobody reads.
[[nodiscard]] TensorSlots seeded_inputs(ExportedProgram const& program,
                                        std::span<ProgramInput const> inputs, std::uint64_t seed,
                                        std::string const& device);

}  // namespace derate::benchmarks
