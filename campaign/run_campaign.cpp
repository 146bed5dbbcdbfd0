#include "campaign/run_campaign.hpp"

#include <fmt/core.h>
#include <time.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <ctime>
#include <memory>
#include <utility>
#include <variant>

#include "campaign/child_process.hpp"
#include "campaign/host_environment.hpp"
#include "campaign/launch_choice.hpp"
#include "campaign/samples_file.hpp"
#include "core/input_error.hpp"
#include "measuring/environment_fields.hpp"
#include "storage/file.hpp"
#include "storage/plan_json.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;

std::int64_t monotonic_ns() {
    struct timespec now {};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

std::string utc_now() {
    auto const now = std::time(nullptr);
    struct tm parts {};
    ::gmtime_r(&now, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

fs::path plan_path(fs::path const& samples) {
    auto path = samples;
    return path += ".plan";
}

/// One run of run_campaign().
class Campaign {
  public:
    Campaign(CampaignSettings const& settings, CampaignFiles const& files,
             Environment const& machine,
             std::function<void(CampaignProgress const&)> const& progress)
        : settings_{settings},
          files_{files},
          progress_{progress},
          cases_{distinct_cases(settings)},
          file_{files.samples, [this](SampleRecord const& record) { samples_.add(record); }} {
        refuse_equal_labels(settings);
        if (samples_.settings) {
            check_same_settings();
            if (!samples_.finished && samples_.machine) check_same_machine(machine);
            if (!samples_.machine) append_machine(machine);  // killed between the first two lines
            resumed_ = true;
        } else if (!samples_.launches.empty()) {
            throw InputError{files.samples.string(), "its first line is no campaign line",
                             "a samples file that derate measure or calibrate began"};
        } else {
            begin(machine);
        }
    }

    CampaignResult run() {
        bool const complete = samples_.finished;
        while (!samples_.finished) {
            auto const content = next_content(state());
            if (!content) {
                append_stop_reasons();
                append({.launch = last_launch(), .content = FinishedLine{}});
                std::error_code error;
                fs::remove(plan_path(files_.samples), error);
                break;
            }
            run_launch(*content);
        }
        return {.samples = samples_,
                .cases = cases_,
                .stop_reasons = stop_reasons(state()),
                .resumed = resumed_,
                .complete = complete};
    }

  private:
    [[nodiscard]] CampaignState state() const {
        return {.settings = settings_, .cases = cases_, .samples = samples_};
    }

    void begin(Environment const& machine) {
        SampleRecord header{
            .launch = -1,
            .content = CampaignLine{.date = utc_now(),
                                    .settings = plan_without_steps(settings_, cases_, ""),
                                    .rules = to_string(settings_.rules)}};
        if (settings_.execution.allocator != Allocator::pinned)
            header.allocator = settings_.execution.allocator;
        append(std::move(header));
        append_machine(machine);
    }

    void append_machine(Environment const& machine) {
        append({.launch = -1, .content = EnvironmentLine{as_timed_on(machine)}});
    }

    /// With the CPUs of the process that times, not of the one that waits for it.
    [[nodiscard]] Environment as_timed_on(Environment machine) const {
        if (!settings_.execution.cpus.empty())
            machine.affinity = cpu_list(settings_.execution.cpus);
        return machine;
    }

    /// Repetitions of two machines, or of one before and after an update, are two measurements.
    void check_same_machine(Environment const& machine) const {
        auto const before = without_volatile_fields(*samples_.machine);
        auto const now = without_volatile_fields(as_timed_on(machine));
        std::string differing;
        for_each_environment_field([&](char const* name, auto member) {
            if (before.*member == now.*member) return;
            differing += (differing.empty() ? "" : ", ") + std::string{name};
        });
        if (differing.empty()) return;
        throw InputError{files_.samples.string(),
                         "was begun on another machine or system (" + differing + " differ)",
                         "the same one to resume it, or another --output"};
    }

    /// Why each case was not timed further; what a killed run has written of it stays.
    void append_stop_reasons() {
        auto const reasons = stop_reasons(state());
        auto const append_reason = [&](StoppedLine line, std::string const& name) {
            if (samples_.stopped.contains(name)) return;
            line.reason = to_string(reasons.at(name));
            append({.launch = last_launch(), .content = std::move(line)});
        };
        for (auto const& item : cases_) append_reason({.case_key = item.key}, item.key);
        for (auto const& model : settings_.models) {
            if (!model.whole) continue;
            append_reason({.model = model.name, .batch = model.batch},
                          model_label(model.name, model.batch));
        }
    }

    void check_same_settings() const {
        auto const& found = *samples_.settings;
        bool const same = found == plan_without_steps(settings_, cases_, "") &&
                          samples_.rules == to_string(settings_.rules);
        if (!same) {
            throw InputError{
                files_.samples.string(),
                fmt::format(
                    "holds repetitions of another measurement ({}, {} models, {} cases, {}, "
                    "seed {}, values {})",
                    samples_.rules.value_or("?"), found.models.size(), found.cases.size(),
                    to_text(found.execution), found.seed, found.value_rule),
                "the same models and flags to resume it, or another --output"};
        }
    }

    void append(SampleRecord record) {
        record.time_ns = monotonic_ns();
        file_.append(record);
        read_new();
    }

    void read_new() {
        file_.read_new([this](SampleRecord const& record) {
            samples_.add(record);
            note(record);
        });
    }

    [[nodiscard]] int last_launch() const {
        return samples_.launches.empty() ? -1 : samples_.launches.rbegin()->first;
    }

    Plan plan_of_launch(LaunchContent const& content) {
        auto const path = plan_path(files_.samples);
        int const begun_before = samples_.launches_begun();
        launches_to_come_ = std::max(0, settings_.rules.min_launches - begun_before);
        if (samples_.has_unfinished_launch()) {
            // The order was drawn before; sequence numbers of the file mean that plan.
            auto plan = plan_from_json(read_text(path), path.string());
            auto const& begun = samples_.launches.rbegin()->second;
            // What has failed is not tried again. The file may name what was done before.
            plan.done.clear();
            for (std::size_t i = 0; i < plan.steps.size(); ++i) {
                auto const sequence = static_cast<std::int64_t>(i);
                if (begun.done.contains(sequence) || has_failed(plan.steps[i], plan)) {
                    plan.done.push_back(sequence);
                }
            }
            // Peaks come before the first step.
            plan.peaks = plan.peaks && begun.done.size() == 0;
            return plan;
        }
        int const launch = last_launch() + 1;
        crashed_step_.reset();
        auto chosen = fresh_plan(state(), content, launch, slowness_);
        launches_to_come_ = chosen.launches_to_come;
        return std::move(chosen.plan);
    }

    void require_samples_in_place() const {
        if (file_.is_in_place()) return;
        throw InputError{files_.samples.string(), "the file or its folder is gone",
                         "that it stays while a measurement runs"};
    }

    void run_launch(LaunchContent const& content) {
        plan_ = plan_of_launch(content);
        require_samples_in_place();
        auto const path = plan_path(files_.samples);
        write_atomically(path, to_json_text(plan_));
        begin_eta();
        auto const records_before = samples_.launches[plan_.launch].done.size();
        ChildProcess child{{files_.bench_program.string(), "--plan", path.string(), "--samples",
                            files_.samples.string()}};
        std::optional<ChildExit> end;
        while (!(end = child.wait(250))) {
            read_new();
            report();
        }
        // Written on into a file without a name, the repetitions would be lost in silence.
        require_samples_in_place();
        read_new();
        file_.cut_torn_line();
        report();
        if (end->code == 0 && !samples_.has_unfinished_launch()) {
            crashes_ = 0;
            if (plan_.execution.allocator.value_or(Allocator::pinned) ==
                settings_.execution.allocator.value_or(Allocator::pinned))
                note_slowness();
            return;
        }
        handle_crash(*end, samples_.launches[plan_.launch].done.size() > records_before);
    }

    /// A second crash at one step is laid to its case: it is recorded as failed, and the launch
    /// goes on. Where another step of the same model crashes too and nothing of it was timed in
    /// this launch, it was the model, which may be too large to load.
    void handle_crash(ChildExit const& end, bool went_on) {
        if (end.code == 2 || end.code == 4) {
            throw EnvironmentRefused{files_.bench_program.filename().string(),
                                     end.last_words.empty() ? "refused" : last_line(end.last_words),
                                     "see its message"};
        }
        crashes_ = went_on ? 1 : crashes_ + 1;
        auto const how = end.signal ? fmt::format("ended by signal {} ({})", *end.signal,
                                                  ::strsignal(*end.signal))
                                    : fmt::format("ended with exit code {}", end.code.value_or(-1));
        if (end.signal == SIGINT || end.signal == SIGTERM) {
            throw EnvironmentRefused{files_.bench_program.filename().string(), how,
                                     "run the same command again to go on"};
        }
        auto const step = step_in_flight();
        if (!step || crashes_ > 5) {
            throw EnvironmentRefused{
                files_.bench_program.filename().string(),
                how + (end.last_words.empty() ? "" : ": " + last_line(end.last_words)),
                "a program that runs; the samples so far are kept"};
        }
        // Once may be bad luck (the kernel short of memory, a person's kill); twice is the case.
        if (std::exchange(crashed_step_, *step) != *step) return;
        auto const& planned = plan_.steps[static_cast<std::size_t>(*step)];
        auto const model =
            planned.kind == StepKind::isolated ? plan_.cases[planned.index].model : planned.index;
        FailureLine failure{
            .model = plan_.models[model].name,
            .batch = plan_.models[model].batch,
            .reason = "derate-bench " + how +
                      (end.last_words.empty() ? "" : ": " + last_line(end.last_words))};
        bool const again =
            std::exchange(crashed_model_, model) == model && !is_timed_in_this_launch(model);
        if (planned.kind == StepKind::isolated && !again) {
            failure.case_key = plan_.cases[planned.index].key;
        }
        append({.launch = plan_.launch, .sequence = *step, .content = std::move(failure)});
    }

    /// Its case or its model is recorded as failed.
    [[nodiscard]] bool has_failed(PlannedStep const& step, Plan const& plan) const {
        if (step.kind == StepKind::drift) return false;
        bool const isolated = step.kind == StepKind::isolated;
        auto const& model = plan.models[isolated ? plan.cases[step.index].model : step.index];
        return samples_.failures.contains(model_label(model.name, model.batch)) ||
               (isolated && samples_.failures.contains(plan.cases[step.index].key));
    }

    [[nodiscard]] bool is_timed_in_this_launch(std::size_t model) const {
        auto const& done = samples_.launches.at(plan_.launch).done;
        for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
            auto const& step = plan_.steps[i];
            if (step.kind == StepKind::drift || has_failed(step, plan_)) continue;
            auto const of =
                step.kind == StepKind::isolated ? plan_.cases[step.index].model : step.index;
            if (of == model && done.contains(static_cast<std::int64_t>(i))) return true;
        }
        return false;
    }

    /// First step that has no record and is no drift probe.
    [[nodiscard]] std::optional<std::int64_t> step_in_flight() const {
        auto const& done = samples_.launches.at(plan_.launch).done;
        for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
            auto const sequence = static_cast<std::int64_t>(i);
            if (done.contains(sequence) || plan_.steps[i].kind == StepKind::drift) continue;
            auto const& step = plan_.steps[i];
            if (!has_failed(step, plan_)) return sequence;
        }
        return std::nullopt;
    }

    static std::string last_line(std::string const& text) {
        auto const end = text.find_last_not_of(" \n");
        if (end == std::string::npos) return {};
        auto const begin = text.find_last_of('\n', end);
        return text.substr(begin == std::string::npos ? 0 : begin + 1,
                           end - (begin == std::string::npos ? 0 : begin + 1) + 1);
    }

    /// How much longer the steps of this launch took than one would now expect of them: the next
    /// launch is planned with the times that this one has shown. Loading is in it.
    void note_slowness() {
        auto const& launch = samples_.launches.at(plan_.launch);
        double expected = 0;
        for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
            if (!launch.done.contains(static_cast<std::int64_t>(i))) continue;
            expected += expected_seconds(plan_.steps[i], settings_, cases_, plan_, samples_);
        }
        if (expected > 1) slowness_ = launch.duration_s() / expected;
    }

    void begin_eta() {
        expected_s_.assign(plan_.steps.size(), 0);
        for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
            expected_s_[i] = expected_seconds(plan_.steps[i], settings_, cases_, plan_, samples_);
        }
        launch_began_ns_ = monotonic_ns();
        settled_ = 0;
        for (auto const& [name, reason] : stop_reasons(state())) {
            settled_ += reason != StopReason::budget && reason != StopReason::exact ? 1 : 0;
        }
    }

    void note(SampleRecord const& record) {
        if (auto const* line = std::get_if<IsolatedLine>(&record.content)) latest_ = line->case_key;
        if (auto const* line = std::get_if<FailureLine>(&record.content)) {
            latest_ = line->case_key.value_or(latest_);
        }
        if (auto const* line = std::get_if<WholeLine>(&record.content)) {
            latest_ = model_label(line->model, line->batch);
        }
    }

    void report() {
        if (!progress_ || latest_.empty()) return;
        CampaignProgress now{.launch = plan_.launch,
                             .steps_done = samples_.launches[plan_.launch].done.size(),
                             .steps = plan_.steps.size(),
                             .cases_settled = settled_,
                             .cases = cases_.size() + settings_.models.size(),
                             .latest = latest_,
                             .target_half_width = settings_.rules.target_half_width};
        auto const& timed =
            samples_.isolated.contains(latest_) ? samples_.isolated : samples_.whole;
        if (auto const found = timed.find(latest_); found != timed.end()) {
            if (auto const timing = timing_of(found->second)) now.latest_ms = timing->center_ms;
            now.latest_half_width = relative_half_width(found->second);
        }
        for (auto const& item : cases_) {
            if (item.key == latest_) now.latest = item.name;
        }
        now.remaining_s = remaining_s();
        progress_(now);
    }

    /// Guessed time of the steps to come, scaled by how the guess of the steps done came true.
    [[nodiscard]] double remaining_s() const {
        auto const& done = samples_.launches.at(plan_.launch).done;
        double expected_done = 0;
        double expected_all = 0;
        for (std::size_t i = 0; i < expected_s_.size(); ++i) {
            expected_all += expected_s_[i];
            if (done.contains(static_cast<std::int64_t>(i))) expected_done += expected_s_[i];
        }
        double const elapsed = static_cast<double>(monotonic_ns() - launch_began_ns_) * 1e-9;
        double const scale = expected_done > 1 ? elapsed / expected_done : 1;
        double of_launch = (expected_all - expected_done) * scale;
        if (plan_.time_limit_s > 0) of_launch = std::min(of_launch, plan_.time_limit_s - elapsed);
        double const whole_launch = plan_.time_limit_s > 0
                                        ? std::min(expected_all * scale, plan_.time_limit_s)
                                        : expected_all * scale;
        return std::max(0.0, of_launch) + launches_to_come_ * whole_launch;
    }

    CampaignSettings const& settings_;
    CampaignFiles const& files_;
    std::function<void(CampaignProgress const&)> const& progress_;
    std::vector<DistinctCase> cases_;
    Samples samples_;
    SamplesFile file_;
    Plan plan_;
    int launches_to_come_ = 0;  ///< after the one of the plan, as far as can be foreseen
    std::vector<double> expected_s_;
    double slowness_ = 1.5;  ///< before a launch has shown it
    std::int64_t launch_began_ns_ = 0;
    std::size_t settled_ = 0;
    std::string latest_;
    bool resumed_ = false;
    int crashes_ = 0;  ///< in a row without a record between them
    std::optional<std::int64_t> crashed_step_;
    std::optional<std::size_t> crashed_model_;
};

}  // namespace

CampaignResult run_campaign(CampaignSettings const& settings, CampaignFiles const& files,
                            Environment const& machine,
                            std::function<void(CampaignProgress const&)> const& progress) {
    return Campaign{settings, files, machine, progress}.run();
}

}  // namespace derate
