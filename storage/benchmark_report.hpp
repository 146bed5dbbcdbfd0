#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/allocator.hpp"
#include "core/measurement.hpp"
#include "core/precision.hpp"

namespace derate {

/// One a repetition, > 0.
struct ReportedTimes {
    std::vector<double> mean_ms{};
    std::vector<double> fast_ms{};  ///< of the faster half; none where a repetition does not say
};

/// What one report says of one distinct kernel.
struct ReportedKernel {
    std::string name;  ///< "conv2d/9d709b218bacf1f5"
    std::string fusion_pattern;
    std::string model;  ///< the first of the run that holds it
    std::optional<int> batch = 1;
    int subgraph = 0;  ///< its place there
    std::string descriptor;
    ReportedTimes times{};
};

/// The same of a whole model.
struct ReportedWhole {
    std::string model;
    std::optional<int> batch = 1;
    ReportedTimes times{};
};

struct ReportedFailure {
    std::string name;  ///< of the case: a failed one has no descriptor
    std::string reason;
};

/// A Google Benchmark file that derate-bench wrote: one process, so one launch.
struct BenchmarkReport {
    std::string where;
    std::string date;  ///< ISO 8601; empty if unknown
    /// Hash of all that the context says but date, load, host name, clock and models: equal in the
    /// launches of one campaign.
    std::string context_hash;
    int launch =
        0;  ///< number made of the content: the same file has the same, wherever it is read
    std::optional<std::string> hardware_id{};
    Condition condition{};
    std::optional<std::string> tool_version{};
    std::optional<std::string> value_rule{};
    std::vector<std::string> models;  ///< "resnet18/b1": of the run, timed or not
    std::vector<ReportedKernel> kernels;
    std::vector<ReportedWhole> whole_models;
    std::vector<ReportedFailure> failures;
};

/// Whether the text can be a report of derate-bench, which is no strict JSON.
[[nodiscard]] bool looks_like_benchmark_report(std::string_view text);

/// Repetitions are read (real_time, in any unit), rows of aggregates passed over.
///
/// \param where  file name, for messages
/// \throws InputError  a context or a row that derate-bench does not write, aggregates alone, or a
///                     repetition that occurs twice
[[nodiscard]] BenchmarkReport benchmark_report_from_text(std::string_view text,
                                                         std::string const& where);

/// "resnet18/b1", or "gcn" of unknown batch: model_label() taken apart.
struct ModelAtBatch {
    std::string model;
    std::optional<int> batch = 1;
};
/// \return empty for anything else
[[nodiscard]] std::optional<ModelAtBatch> parse_model_at_batch(std::string_view label);

}  // namespace derate
