#pragma once
#include <string_view>

/// Names that derate-bench writes into Google Benchmark's JSON and that ingest reads.
namespace derate::benchmark_keys {

/// Version of these keys: "1". In "context", as everything down to the counters.
inline constexpr std::string_view format = "derate_benchmark_format";
inline constexpr std::string_view tool_version = "derate_version";
inline constexpr std::string_view precision = "precision";      ///< "FP32"
inline constexpr std::string_view threads = "threads";          ///< of LibTorch
inline constexpr std::string_view cache_state = "cache_state";  ///< "cold_all"
inline constexpr std::string_view device = "device";            ///< "cpu", "cuda"
inline constexpr std::string_view partition = "partition";      ///< "derate_1"
inline constexpr std::string_view flop_rule = "flop_rule";      ///< "derate_1"
inline constexpr std::string_view value_rule = "value_rule";    ///< "derate_2"
inline constexpr std::string_view build_type = "derate_build_type";
inline constexpr std::string_view libtorch = "libtorch";
inline constexpr std::string_view blas = "blas";  ///< "mkl 2024.2"
inline constexpr std::string_view onednn = "onednn";
inline constexpr std::string_view cpu_capability = "cpu_capability";
inline constexpr std::string_view malloc_thresholds = "malloc_thresholds_bytes";
inline constexpr std::string_view models = "models";  ///< "resnet18/b1,mobilenet_v2/b1"
/// Name of the machine. derate-bench does not know it: --benchmark_context=hardware_id=NAME.
inline constexpr std::string_view hardware_id = "hardware_id";

/// Counters of a case. Its name is "<operation type>/<descriptor hash>", its label
/// "<fusion pattern> <model>/b<batch>/<subgraph id> <descriptor>"; whole models are named
/// "whole/<model>/b<batch>" and have the last counter alone. Of an unknown batch "/b<batch>" is left out.
inline constexpr std::string_view flops = "flops";
inline constexpr std::string_view input_bytes = "input_bytes";
inline constexpr std::string_view weight_bytes = "weight_bytes";
inline constexpr std::string_view output_bytes = "output_bytes";
/// Mean of the faster half of the iterations, ms: of whole models too. real_time is that of all.
inline constexpr std::string_view faster_half_ms = "faster_half_ms";

inline constexpr std::string_view whole_prefix = "whole/";

}  // namespace derate::benchmark_keys
