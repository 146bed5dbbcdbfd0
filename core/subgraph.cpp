#include "core/subgraph.hpp"

namespace derate {

std::string descriptor_hash(std::string_view descriptor) {
    // FNV-1a: among 1e5 descriptors a collision of 64 bits has a probability of 3e-10.
    std::uint64_t hash = 0xcbf29ce484222325ULL;
    for (unsigned char const byte : descriptor) {
        hash ^= byte;
        hash *= 0x100000001b3ULL;
    }
    std::string hex(16, '0');
    for (std::size_t digit = 16; digit-- > 0; hash >>= 4)
        hex[digit] = "0123456789abcdef"[hash & 15];
    return hex;
}

}  // namespace derate
