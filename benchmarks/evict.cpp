#include "benchmarks/evict.hpp"

#include <cstdint>
#include <vector>
#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace derate::benchmarks {

#if defined(__x86_64__)
namespace {

constexpr std::uintptr_t line_bytes = 64;

bool has_clflushopt() {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ebx & bit_CLFLUSHOPT) != 0;
}

// Unlike clflush, flushes of different lines need not wait for one another.
__attribute__((target("clflushopt"))) void flush_unordered(std::uintptr_t first,
                                                           std::uintptr_t last) {
    for (auto line = first; line < last; line += line_bytes) {
        _mm_clflushopt(reinterpret_cast<void*>(line));
    }
}

void flush_ordered(std::uintptr_t first, std::uintptr_t last) {
    for (auto line = first; line < last; line += line_bytes) {
        _mm_clflush(reinterpret_cast<void const*>(line));
    }
}

}  // namespace

void evict_from_caches(void const* begin, std::size_t bytes) {
    static bool const unordered = has_clflushopt();
    auto const address = reinterpret_cast<std::uintptr_t>(begin);
    auto const first = address & ~(line_bytes - 1);
    (unordered ? flush_unordered : flush_ordered)(first, address + bytes);
}

void finish_evictions() { _mm_mfence(); }

#else

namespace {
bool pending = false;
}

void evict_from_caches(void const*, std::size_t bytes) { pending = pending || bytes > 0; }

void finish_evictions() {
    if (!pending) return;
    pending = false;
    constexpr std::size_t beyond_any_cache = std::size_t{256} << 20;
    static std::vector<unsigned char> other(beyond_any_cache, 1);
    unsigned char volatile sink = 0;
    for (std::size_t i = 0; i < other.size(); i += 64) sink = sink + other[i];
}

#endif

}  // namespace derate::benchmarks
