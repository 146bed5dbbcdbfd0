#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/measurement.hpp"
#include "measuring/environment.hpp"
#include "measuring/sample_record.hpp"

namespace derate {

/// The repetitions of one case or model in one launch.
struct LaunchRepetitions {
    std::vector<double> times_ms{};
    std::vector<bool> steady{};     ///< as many
    std::vector<double> fast_ms{};  ///< as many, or none where only means are known
};

/// By launch number.
using Repetitions = std::map<int, LaunchRepetitions>;

/// Of how many repetitions a launch's least is the expected one, by launch number: a least falls
/// with their number, and a case is compared with models that the same launch timed more often.
using LeastOf = std::map<int, std::size_t>;

struct DriftSample {
    int launch = 0;
    std::int64_t time_ns = 0;
    double time_ms = 0;
};

struct PeakSample {
    int launch = 0;
    double per_second = 0;
    std::optional<double> clock_hz{};
};

/// Sequence numbers with a record: a bit each, because a file may hold millions.
class SequenceSet {
  public:
    /// \param sequence  0 or more
    /// \return false if it was there
    bool insert(std::int64_t sequence);
    [[nodiscard]] bool contains(std::int64_t sequence) const;
    [[nodiscard]] std::size_t size() const { return count_; }
    [[nodiscard]] std::vector<std::int64_t> ascending() const;

  private:
    std::vector<bool> present_;
    std::size_t count_ = 0;
};

/// How far one launch came.
struct LaunchProgress {
    SequenceSet done{};
    bool ended = false;
    bool beside = false;    ///< whole models under another allocator than the campaign's
    bool complete = false;  ///< ended, and not for lack of time
    double wall_s = 0;      ///< as the process that ended it says
    double loading_s = 0;
    double timed_s = 0;  ///< inside timed iterations
    double seen_s = 0;   ///< between records of one process; a pause before it went on is none

    /// Of all processes that worked at it.
    [[nodiscard]] double duration_s() const { return std::max(wall_s, seen_s); }
};

/// What a samples file says so far, in the order of the file. A sequence number that its launch has
/// had before is the same repetition again and counts once.
struct Samples {
    std::optional<Plan> settings{};  ///< of the campaign line
    std::optional<std::string> rules{};
    std::string campaign{};                         ///< its id
    Environment environment{};                      ///< machine and libraries
    std::optional<Environment> machine{};           ///< of it, what its first process saw
    std::map<std::string, Repetitions> isolated{};  ///< by case key
    std::map<std::string, Repetitions> whole{};     ///< by model_label()
    /// Of launches beside: whole models under the default allocator in a campaign that pins it.
    std::map<std::string, Repetitions> whole_default_allocator{};
    Allocator allocator = Allocator::pinned;  ///< of the campaign line
    /// By model_label() and launch: one vector a run, by Subgraph::id.
    std::map<std::string, std::map<int, std::vector<std::vector<double>>>> in_context{};
    std::map<std::string, std::vector<DriftSample>> drift{};          ///< by probe
    std::map<std::string, std::vector<PeakSample>> peak_flops{};      ///< by probe, FLOP/s
    std::map<std::string, std::vector<PeakSample>> peak_bandwidth{};  ///< by probe, bytes/s
    std::map<std::string, std::string> failures{};  ///< reason by case key or model_label()
    /// Why a case was not timed further, by case key or model_label(); once all is done.
    std::map<std::string, std::string> stopped{};
    std::map<int, LaunchProgress> launches{};
    /// Wall time that went into each model, by model_label(): timed, warm-up, loading, preparation.
    std::map<std::string, double> spent_s{};
    std::int64_t repetitions = 0;
    bool finished = false;

    void add(SampleRecord const& record);

    /// What nine of ten cases and nine of ten whole models of a launch have.
    [[nodiscard]] LeastOf least_of() const;
    [[nodiscard]] int launches_begun() const;  ///< those beside left out
    [[nodiscard]] bool has_unfinished_launch() const;
    [[nodiscard]] double wall_s() const;  ///< of all launches
    [[nodiscard]] double timed_s() const;

  private:
    void take(SampleRecord const& record, LaunchProgress& launch);
    void account(SampleRecord const& record);

    std::string model_before_{};    ///< of the record before, in the same launch
    double own_time_before_s_ = 0;  ///< what that record's repetition took by itself
    std::int64_t time_before_ns_ = 0;
};

/// What nine of ten cases and nine of ten whole models of a launch have of repetitions that count.
[[nodiscard]] LeastOf least_of(std::map<std::string, Repetitions> const& isolated,
                               std::map<std::string, Repetitions> const& whole);

/// Repetitions as launches for a Timing.
///
/// Repetitions that were not steady are left out of a launch, unless most of it was unsteady: then
/// all are used and the launch says so.
/// \param least_of  of a launch that it does not name (one beside): the smallest it has; if empty,
///                  each launch's least is of all its repetitions
[[nodiscard]] std::vector<LaunchTimes> launch_times(Repetitions const& repetitions,
                                                    LeastOf const& least_of = {});

[[nodiscard]] std::optional<Timing> timing_of(Repetitions const& repetitions,
                                              LeastOf const& least_of = {});

}  // namespace derate
