#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "workloads/symbolic_program.hpp"

namespace derate {

/// What the free dimensions of a decoder's export are, found by what its inputs look like: token
/// ids are its first integer input of two dimensions (or embeddings of three), positions are
/// integers of one dimension, caches of keys and values are floating-point inputs of four.
struct DecoderDimensions {
    std::vector<std::string> batch;   ///< symbols: of first dimensions, positions left out
    std::vector<std::string> tokens;  ///< symbols: how many tokens of a sequence a call takes
    std::vector<std::string> cache;   ///< symbols: entries of the caches that a call is given
    /// A call appends to the caches that it is given (aten.cat), so they are shorter by the tokens
    /// that it takes; else it writes into them.
    bool appends = false;
    std::optional<std::int64_t> fixed_batch;   ///< of token ids whose first dimension is a number
    std::optional<std::int64_t> fixed_tokens;  ///< the same of their second
};

[[nodiscard]] DecoderDimensions decoder_dimensions(SymbolicProgram const& symbolic);

}  // namespace derate
