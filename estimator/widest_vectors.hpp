#pragma once

// Before a function: one source, three instruction sets, of which the processor that runs it picks
// the widest. Elsewhere the plain version is built.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define DERATE_WIDEST_VECTORS __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define DERATE_WIDEST_VECTORS
#endif
