#include "benchmarks/fma_loops.hpp"

#include <array>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace derate::benchmarks {
namespace {

// Two multiply-add units times a latency of four cycles need eight at a time; twelve still fit the
// sixteen registers of AVX2. Accumulators start apart, or the compiler would merge them.
constexpr int accumulators = 12;

#if defined(__x86_64__)

__attribute__((target("fma"))) float run_scalar(std::int64_t rounds) {
    __m128 sums[accumulators];
    for (int i = 0; i < accumulators; ++i) sums[i] = _mm_set_ss(1.0F + static_cast<float>(i));
    __m128 const factor = _mm_set_ss(0.999F);
    __m128 const term = _mm_set_ss(0.001F);
    for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
        for (int i = 0; i < accumulators; ++i) sums[i] = _mm_fmadd_ss(sums[i], factor, term);
    }
    float total = 0;
    for (auto const& sum : sums) total += _mm_cvtss_f32(sum);
    return total;
}

__attribute__((target("avx2,fma"))) float run_avx2(std::int64_t rounds) {
    __m256 sums[accumulators];
    for (int i = 0; i < accumulators; ++i) sums[i] = _mm256_set1_ps(1.0F + static_cast<float>(i));
    __m256 const factor = _mm256_set1_ps(0.999F);
    __m256 const term = _mm256_set1_ps(0.001F);
    for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
        for (int i = 0; i < accumulators; ++i) sums[i] = _mm256_fmadd_ps(sums[i], factor, term);
    }
    float total = 0;
    for (auto const& sum : sums) total += _mm256_cvtss_f32(sum);
    return total;
}

__attribute__((target("avx512f"))) float run_avx512(std::int64_t rounds) {
    __m512 sums[accumulators];
    for (int i = 0; i < accumulators; ++i) sums[i] = _mm512_set1_ps(1.0F + static_cast<float>(i));
    __m512 const factor = _mm512_set1_ps(0.999F);
    __m512 const term = _mm512_set1_ps(0.001F);
    for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
        for (int i = 0; i < accumulators; ++i) sums[i] = _mm512_fmadd_ps(sums[i], factor, term);
    }
    float total = 0;
    for (auto const& sum : sums) total += _mm512_cvtss_f32(sum);
    return total;
}

__attribute__((target("avx512f,avx512bf16"))) float run_avx512_bf16(std::int64_t rounds) {
    __m512 sums[accumulators];
    for (int i = 0; i < accumulators; ++i) sums[i] = _mm512_set1_ps(1.0F + static_cast<float>(i));
    __m512bh const factor = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.001F), _mm512_set1_ps(0.002F));
    for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
        for (int i = 0; i < accumulators; ++i) sums[i] = _mm512_dpbf16_ps(sums[i], factor, factor);
    }
    float total = 0;
    for (auto const& sum : sums) total += _mm512_cvtss_f32(sum);
    return total;
}

std::vector<FmaLoop> supported() {
    __builtin_cpu_init();
    std::vector<FmaLoop> loops;
    // Lanes times accumulators times the two operations of a multiply-add.
    auto const add = [&loops](std::string_view name, Precision precision, int multiply_adds,
                              float (*run)(std::int64_t)) {
        loops.push_back({.name = name,
                         .precision = precision,
                         .flops_per_round = 2.0 * accumulators * multiply_adds,
                         .run = run});
    };
    if (__builtin_cpu_supports("fma")) add("fma_scalar", Precision::fp32, 1, run_scalar);
    if (__builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2")) {
        add("fma_avx2", Precision::fp32, 8, run_avx2);
    }
    if (__builtin_cpu_supports("avx512f")) add("fma_avx512", Precision::fp32, 16, run_avx512);
    if (__builtin_cpu_supports("avx512bf16")) {
        add("fma_avx512_bf16", Precision::bf16, 32, run_avx512_bf16);
    }
    return loops;
}

#else

/// Portable: the compiler's own vectors, whatever it was told to build for.
float run_portable(std::int64_t rounds) {
    using Vector [[gnu::vector_size(16)]] = float;
    Vector sums[accumulators];
    for (int i = 0; i < accumulators; ++i) sums[i] = Vector{} + (1.0F + static_cast<float>(i));
    for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
        for (int i = 0; i < accumulators; ++i) sums[i] = sums[i] * 0.999F + 0.001F;
    }
    float total = 0;
    for (auto const& sum : sums) total += sum[0];
    return total;
}

std::vector<FmaLoop> supported() {
    return {{.name = "fma_128_bit",
             .precision = Precision::fp32,
             .flops_per_round = 2.0 * accumulators * 4,
             .run = run_portable}};
}

#endif

}  // namespace

std::span<FmaLoop const> fma_loops() {
    static std::vector<FmaLoop> const loops = supported();
    return loops;
}

}  // namespace derate::benchmarks
