#include "campaign/samples.hpp"

#include <algorithm>
#include <cmath>
#include <variant>

#include "campaign/campaign_settings.hpp"
#include "core/input_error.hpp"
#include "statistics/quantiles.hpp"

namespace derate {
namespace {

constexpr std::int64_t max_sequence = 1'000'000'000;  // a year of steps; more is a damaged file

/// A time that can be one: zero and less mean a broken clock, not a fast machine.
bool is_time(std::optional<double> const& time_ms) {
    return time_ms && std::isfinite(*time_ms) && *time_ms > 0;
}

void append(LaunchRepetitions& launch, RepetitionTimes const& times) {
    launch.times_ms.push_back(*times.time_ms);
    launch.steady.push_back(times.steady);
    if (is_time(times.fast_ms)) launch.fast_ms.push_back(*times.fast_ms);
}

/// model_label() of the model that a line is of; empty where it is of none.
std::string label_of(SampleContent const& content) {
    return std::visit(
        [](auto const& line) -> std::string {
            if constexpr (requires { model_label(line.model, line.batch); }) {
                return model_label(line.model, line.batch);
            } else if constexpr (requires { line.model; }) {
                return line.model ? model_label(*line.model, line.batch) : "";
            }
            return "";
        },
        content);
}

/// How long one iteration of a line took, and how many there were.
struct LineIterations {
    double time_ms = 0;
    int timed = 0;
    int warmup = 0;
};

LineIterations iterations_of(SampleContent const& content) {
    auto const of = [](RepetitionTimes const& times) {
        return LineIterations{times.time_ms.value_or(0), times.iterations, times.warmup};
    };
    if (auto const* line = std::get_if<IsolatedLine>(&content)) return of(line->times);
    if (auto const* line = std::get_if<WholeLine>(&content)) return of(line->times);
    if (auto const* line = std::get_if<InContextLine>(&content)) {
        return {line->time_ms.value_or(0), line->iterations, line->warmup.value_or(0)};
    }
    if (auto const* line = std::get_if<DriftLine>(&content)) return {line->time_ms.value_or(0), 1};
    return {};
}

/// The repetitions that count: those that were steady, or all where most were not.
struct Counted {
    std::vector<double> times_ms;  ///< ascending
    std::vector<double> fast_ms;   ///< ascending; by their means where a faster half is unknown
    bool steady = true;
};

Counted counted(LaunchRepetitions const& launch) {
    auto const steady = static_cast<std::size_t>(std::ranges::count(launch.steady, true));
    Counted result{.times_ms = {}, .fast_ms = {}, .steady = 2 * steady >= launch.times_ms.size()};
    auto const& fast =
        launch.fast_ms.size() == launch.times_ms.size() ? launch.fast_ms : launch.times_ms;
    for (std::size_t i = 0; i < launch.times_ms.size(); ++i) {
        if (result.steady && !launch.steady[i]) continue;
        result.times_ms.push_back(launch.times_ms[i]);
        result.fast_ms.push_back(fast[i]);
    }
    std::ranges::sort(result.times_ms);
    std::ranges::sort(result.fast_ms);
    return result;
}

/// By launch, what nine of ten have.
LeastOf repetitions_of_most(std::map<std::string, Repetitions> const& timed) {
    std::map<int, std::vector<double>> counts;
    for (auto const& [name, launches] : timed) {
        for (auto const& [number, launch] : launches) {
            auto const count = counted(launch).times_ms.size();
            if (count > 0) counts[number].push_back(static_cast<double>(count));
        }
    }
    LeastOf most;
    for (auto const& [number, of_launch] : counts) {
        most[number] = static_cast<std::size_t>(quantile(of_launch, 0.1));
    }
    return most;
}

}  // namespace

bool SequenceSet::insert(std::int64_t sequence) {
    if (sequence < 0 || sequence > max_sequence) {
        throw InputError{"samples", "sequence number " + std::to_string(sequence),
                         "0 to " + std::to_string(max_sequence)};
    }
    auto const index = static_cast<std::size_t>(sequence);
    if (contains(sequence)) return false;
    if (index >= present_.size()) present_.resize(index + 1);
    present_[index] = true;
    ++count_;
    return true;
}

bool SequenceSet::contains(std::int64_t sequence) const {
    auto const index = static_cast<std::size_t>(sequence);
    return index < present_.size() && present_[index];
}

std::vector<std::int64_t> SequenceSet::ascending() const {
    std::vector<std::int64_t> sequences;
    for (std::size_t i = 0; i < present_.size(); ++i) {
        if (present_[i]) sequences.push_back(static_cast<std::int64_t>(i));
    }
    return sequences;
}

void Samples::add(SampleRecord const& record) {
    if (auto const* line = std::get_if<CampaignLine>(&record.content)) {
        settings = line->settings;
        rules = line->rules;
        allocator = record.allocator.value_or(Allocator::pinned);
        campaign = line->date;
        return;
    }
    if (std::holds_alternative<FinishedLine>(record.content)) {
        finished = true;
        return;
    }
    if (auto const* line = std::get_if<EnvironmentLine>(&record.content)) {
        environment = merge(environment, line->environment);
        if (record.launch < 0) {  // the machine's half, written before the first launch
            machine = line->environment;
            return;
        }
    }
    if (auto const* line = std::get_if<StoppedLine>(&record.content)) {
        stopped[line->case_key.value_or(label_of(record.content))] = line->reason;
        return;
    }
    auto& launch = launches[record.launch];
    if (record.allocator) launch.beside = *record.allocator != allocator;
    if (record.sequence && !launch.done.insert(*record.sequence)) return;
    account(record);
    take(record, launch);
}

void Samples::take(SampleRecord const& record, LaunchProgress& launch) {
    if (auto const* line = std::get_if<IsolatedLine>(&record.content)) {
        if (is_time(line->times.time_ms)) {
            append(isolated[line->case_key][record.launch], line->times);
            ++repetitions;
        }
    }
    if (auto const* line = std::get_if<WholeLine>(&record.content)) {
        if (is_time(line->times.time_ms)) {
            auto& timed = launch.beside ? whole_default_allocator : whole;
            append(timed[label_of(record.content)][record.launch], line->times);
            ++repetitions;
        }
    }
    if (auto const* line = std::get_if<InContextLine>(&record.content)) {
        in_context[label_of(record.content)][record.launch].push_back(line->subgraph_ms);
        ++repetitions;
    }
    if (auto const* line = std::get_if<DriftLine>(&record.content)) {
        // Where pages fault its buffers do too: another series.
        if (is_time(line->time_ms) && !launch.beside) {
            drift[line->probe].push_back(
                {.launch = record.launch, .time_ns = record.time_ns, .time_ms = *line->time_ms});
        }
    }
    if (auto const* line = std::get_if<PeakLine>(&record.content)) {
        if (line->per_second && *line->per_second > 0) {
            auto& peaks = line->unit == "byte" ? peak_bandwidth : peak_flops;
            peaks[line->probe].push_back({.launch = record.launch,
                                          .per_second = *line->per_second,
                                          .clock_hz = line->clock_hz});
        }
    }
    if (auto const* line = std::get_if<FailureLine>(&record.content)) {
        if (line->case_key || line->model) {  // a drift probe has neither
            failures[line->case_key.value_or(label_of(record.content))] = line->reason;
        }
    }
    if (auto const* line = std::get_if<LaunchEndLine>(&record.content)) {
        launch.ended = true;
        launch.complete = line->reason != "time_limit";
        launch.wall_s += line->wall_s;
        launch.loading_s += line->loading_s;
    }
    auto const iterations = iterations_of(record.content);
    launch.timed_s += iterations.time_ms * iterations.timed / ms_per_second;
}

void Samples::account(SampleRecord const& record) {
    auto const model = label_of(record.content);
    bool const process_began = std::holds_alternative<EnvironmentLine>(record.content);
    if (!process_began && time_before_ns_ != 0) {
        double const gap_s =
            std::max(0.0, static_cast<double>(record.time_ns - time_before_ns_) * 1e-9);
        // A record's time is when its repetition began: what the one before needed by itself is its
        // own, the rest (loading, capturing, filling caches) was done for this one.
        double const before_s = std::min(gap_s, own_time_before_s_);
        launches[record.launch].seen_s += gap_s;
        if (!model_before_.empty()) spent_s[model_before_] += before_s;
        if (!model.empty()) spent_s[model] += gap_s - before_s;
    }
    time_before_ns_ = record.time_ns;
    model_before_ = model;
    auto const iterations = iterations_of(record.content);
    own_time_before_s_ =
        iterations.time_ms * (iterations.timed + iterations.warmup) / ms_per_second;
}

int Samples::launches_begun() const {
    return static_cast<int>(
        std::ranges::count_if(launches, [](auto const& launch) { return !launch.second.beside; }));
}

bool Samples::has_unfinished_launch() const {
    return !launches.empty() && !launches.rbegin()->second.ended;
}

double Samples::wall_s() const {
    double total = 0;
    for (auto const& [number, launch] : launches) {
        total += launch.duration_s();
    }
    return total;
}

double Samples::timed_s() const {
    double total = 0;
    for (auto const& [number, launch] : launches) total += launch.timed_s;
    return total;
}

LeastOf least_of(std::map<std::string, Repetitions> const& isolated,
                 std::map<std::string, Repetitions> const& whole) {
    auto most = repetitions_of_most(isolated);
    for (auto const& [number, count] : repetitions_of_most(whole)) {
        auto const [known, is_new] = most.try_emplace(number, count);
        if (!is_new) known->second = std::min(known->second, count);
    }
    return most;
}

LeastOf Samples::least_of() const { return derate::least_of(isolated, whole); }

std::vector<LaunchTimes> launch_times(Repetitions const& repetitions, LeastOf const& least_of) {
    std::vector<LaunchTimes> launches;
    for (auto const& [number, launch] : repetitions) {
        auto const [times, fast, steady] = counted(launch);
        if (times.empty()) continue;
        auto drawn = times.size();
        if (auto const found = least_of.find(number); found != least_of.end()) {
            drawn = std::min(drawn, found->second);
        } else if (!least_of.empty()) {
            auto const smallest =
                std::ranges::min_element(least_of, {}, &LeastOf::value_type::second);
            drawn = std::min(drawn, smallest->second);
        }
        launches.push_back({.times_ms = summarize(times),
                            .lower_quartile_ms = quantile_of_sorted(times, 0.25),
                            .median_ms = quantile_of_sorted(times, 0.5),
                            .upper_quartile_ms = quantile_of_sorted(times, 0.75),
                            .min_ms = times.front(),
                            .max_ms = times.back(),
                            .least_ms = expected_least_of_sorted(fast, drawn),
                            .steady = steady,
                            .launch = number});
    }
    return launches;
}

std::optional<Timing> timing_of(Repetitions const& repetitions, LeastOf const& least_of) {
    auto launches = launch_times(repetitions, least_of);
    if (launches.empty()) return std::nullopt;
    return timing_of(std::move(launches));
}

}  // namespace derate
