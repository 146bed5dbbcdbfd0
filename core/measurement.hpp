#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/condition.hpp"
#include "core/hardware.hpp"
#include "core/subgraph.hpp"
#include "statistics/interval_of_mean.hpp"
#include "statistics/sample_summary.hpp"

namespace derate {

/// The repetitions of one case in one process launch, summarised.
struct LaunchTimes {
    SampleSummary times_ms;
    double lower_quartile_ms = 0;
    double median_ms = 0;
    double upper_quartile_ms = 0;
    double min_ms = 0;
    double max_ms = 0;
    /// Least over the repetitions of the mean of a repetition's faster half: the expected one of as
    /// many repetitions as all that the launch timed have (LeastOf). Of older files the least of
    /// the case's own; empty where only the repetitions' means are known.
    std::optional<double> least_ms{};
    bool steady = true;  ///< warm-up was seen to end
    /// Its number in the campaign, the same for all that this process timed; empty in files that
    /// do not say (older ones, imported ones).
    std::optional<int> launch{};

    [[nodiscard]] double least() const { return least_ms.value_or(min_ms); }

    friend bool operator==(LaunchTimes const&, LaunchTimes const&) = default;
};

/// Each launch's least time (ms), in their order: what the served time and its interval are made
/// of.
[[nodiscard]] std::vector<double> least_times(std::span<LaunchTimes const> launches);

/// The served time of launches with these least times: the mean of their faster half (of an odd
/// number, the larger half).
///
/// \param least_times  one a launch, one or more
[[nodiscard]] double center_of(std::vector<double> least_times);

/// Interval of the served time from one set of launches to the next: launches are drawn with
/// replacement and served anew, 1000 times from a recorded seed; the deviation of the logarithm,
/// with the k - 1 that a bootstrap's variance lacks, reaches t(k - 1) far. `mean` is the served
/// time itself, which is not the mean of the launches.
///
/// \return empty below two launches
[[nodiscard]] std::optional<MeanEstimate> interval_of_center(std::span<LaunchTimes const> launches,
                                                             double confidence = 0.95);

/// How the served centre was formed from repetitions.
enum class CenterStatistic {
    /// derate's own: the mean over the faster half of the launches (of an odd number, the larger
    /// half) of a launch's least time, each repetition by its faster half. What a machine does
    /// beside (neighbours, interrupts, slow clocks) only adds time, so a launch's least is nearest
    /// to the machine left alone; but where memory comes to lie differs between launches, and the
    /// luckiest of them is nobody's next run. docs/measuring.md shows what else was tried.
    /// Source of the least: Chen, Revels, "Robust benchmarking in noisy environments",
    /// arXiv:1608.04295 (2016).
    faster_launches,
    least,                   ///< over all repetitions: of older files
    mean_of_launch_medians,  ///< of files made elsewhere
    mean,                    ///< imported data: the plain mean is all there is
};

[[nodiscard]] std::string_view to_string(CenterStatistic statistic);

/// Latency of one case or one whole model. Empty optionals are unknown, never zero.
struct Timing {
    CenterStatistic statistic = CenterStatistic::faster_launches;
    double center_ms = 0;          ///< the served value, > 0
    double mean_ms = 0;            ///< over all repetitions, > 0
    std::optional<double> std_ms;  ///< over all repetitions
    std::optional<double> min_ms;  ///< at most `center_ms` where that is of leasts
    std::optional<double> max_ms;
    std::int64_t samples = 0;           ///< repetitions, all launches
    std::vector<LaunchTimes> launches;  ///< empty in imported files

    friend bool operator==(Timing const&, Timing const&) = default;
};

/// \param launches  one or more, each with one or more repetitions
/// \throws std::invalid_argument  no launch, or a launch without repetitions
[[nodiscard]] Timing timing_of(std::vector<LaunchTimes> launches);

/// A subgraph and what was timed of it. A failed measurement is a result: it has a reason.
struct MeasuredSubgraph {
    Subgraph subgraph;
    std::optional<Timing> isolated;    ///< in the cache state of the measurement
    std::optional<Timing> in_context;  ///< inside a run of the whole model
    std::optional<std::string> failure;

    friend bool operator==(MeasuredSubgraph const&, MeasuredSubgraph const&) = default;
};

/// Where numbers come from.
struct MeasurementSource {
    std::string
        origin;  ///< "derate 0.1.0", or the project the file was imported from, with licence
    std::string
        campaign;        ///< one visit of the machine; repetitions of a visit are another campaign
    std::string date;    ///< ISO 8601
    std::string file;    ///< base name
    std::string timing;  ///< how it was timed, in words
    bool imported = false;
    std::string environment_hash;  ///< of the canonical environment block; empty if unknown
    /// By which weights and inputs got their values: core/value_rule.hpp; empty if foreign.
    std::optional<std::string> value_rule{};
    std::optional<std::string> trust_grade{};  ///< "A" to "D", docs/measuring.md; empty: not graded
};

/// "resnet18/b1": names a model at one batch size in reports; "gcn" where the batch is unknown.
[[nodiscard]] std::string model_label(std::string_view name, std::optional<int> batch);

/// "1"; "unknown" where it is.
[[nodiscard]] std::string batch_text(std::optional<int> batch);

/// For people, who need no batch of one: "resnet18", "resnet18 (batch 8)".
[[nodiscard]] std::string model_in_words(std::string const& name, std::optional<int> batch);

/// One model at one batch size on one piece of hardware: content of a measurement file.
struct Measurement {
    std::string model;
    std::string model_family;
    std::optional<int> batch = 1;  ///< empty: its inputs share none
    Condition condition;
    Hardware hardware;
    MeasurementSource source;
    std::optional<Timing> whole_model;  ///< timed independently; never a sum of parts
    std::vector<MeasuredSubgraph> subgraphs;
};

}  // namespace derate
