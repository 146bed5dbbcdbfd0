// A program that follows derate-bench's protocol (--plan FILE --samples FILE) without a model or a
// clock: times are drawn from a seeded log-normal distribution around a value that the case's key
// decides. The tests of resume, locks and failures start it in derate-bench's place.
//
// The environment tells it what to do besides:
//   SYNTHETIC_PAUSE_US     sleep so long at every step
//   SYNTHETIC_CRASH_AT     end by SIGSEGV at this step of launch 0, before its line
//   SYNTHETIC_FAIL_CASE    report this case key as failed
//   SYNTHETIC_FAIL_ALL     report every case and whole model as failed
//   SYNTHETIC_BLAS         what --environment says of the BLAS
//   SYNTHETIC_TEAR_AT      write half a line at this step of launch 0, then end by SIGKILL
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <set>
#include <string>

#include "storage/environment_json.hpp"
#include "storage/file.hpp"
#include "storage/plan_json.hpp"
#include "storage/sample_record_json.hpp"

namespace derate {
namespace {

std::int64_t monotonic_ns() {
    struct timespec now {};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

long number_from_environment(char const* name, long otherwise) {
    auto const* text = std::getenv(name);
    return text == nullptr ? otherwise : std::atol(text);
}

class Writer {
  public:
    explicit Writer(char const* path)
        : path_{path}, descriptor_{::open(path, O_WRONLY | O_APPEND)} {
        if (descriptor_ < 0) std::exit(2);
    }
    void write(SampleRecord record) {
        record.time_ns = monotonic_ns();
        put(to_json_line(record) + "\n");
    }
    void tear(SampleRecord const& record) {
        auto const line = to_json_line(record);
        put(line.substr(0, line.size() / 2));
    }

  private:
    void put(std::string const& text) {
        if (::write(descriptor_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
            std::fprintf(stderr, "%s: cannot write\n", path_);
            std::exit(2);
        }
    }
    char const* path_;
    int descriptor_;
};

/// Between 0.1 and 1.1 ms, decided by the name alone; the draw by name, launch and step.
double drawn_ms(std::string name, int launch, std::int64_t sequence) {
    // On any machine the same: a case's key names the CPUs it ran on.
    if (auto const at = name.find('@'); at != std::string::npos) {
        name.replace(at, name.find('/', at) - at, "@1");
    }
    std::uint64_t hash = 0xcbf29ce484222325ULL;
    for (unsigned char const byte : name) hash = (hash ^ byte) * 0x100000001b3ULL;
    double const center = 0.1 + static_cast<double>(hash % 1000) / 1000;
    std::mt19937_64 of_launch{hash + static_cast<std::uint64_t>(launch)};
    std::mt19937_64 of_step{hash * 31 + static_cast<std::uint64_t>(launch * 1000003 + sequence)};
    std::normal_distribution<double> normal;
    return center * std::exp(0.01 * normal(of_launch) + 0.02 * normal(of_step));
}

int print_environment() {
    Environment environment{.libtorch = "synthetic"};
    if (auto const* blas = std::getenv("SYNTHETIC_BLAS")) environment.blas = blas;
    std::puts(to_json_text(environment).c_str());
    return 0;
}

int run(char const* plan_file, char const* samples_file) {
    auto const plan = plan_from_json(read_text(plan_file), plan_file);
    Writer writer{samples_file};
    // derate-bench searches them as a plan promises them: ascending, each once.
    if (std::ranges::adjacent_find(plan.done, std::ranges::greater_equal{}) != plan.done.end()) {
        std::fprintf(stderr, "synthetic_bench: the plan's done steps are not ascending\n");
        return 2;
    }
    std::set<std::int64_t> const done{plan.done.begin(), plan.done.end()};
    auto const began = monotonic_ns();

    auto const allocator =
        plan.execution.allocator == Allocator::pinned ? std::nullopt : plan.execution.allocator;
    writer.write(
        {.launch = plan.launch,
         .content = EnvironmentLine{{.libtorch = "synthetic", .threads = plan.execution.threads}},
         .allocator = allocator});
    if (plan.peaks) {
        for (auto const& [probe, unit, rate] :
             {std::tuple{"fma_synthetic", "flop", 1e11}, std::tuple{"copy", "byte", 2e10}}) {
            double const per_second = rate * drawn_ms(probe, plan.launch, 0);
            writer.write(
                {.launch = plan.launch,
                 .content = PeakLine{.probe = probe, .per_second = per_second, .unit = unit}});
        }
    }
    auto const pause = number_from_environment("SYNTHETIC_PAUSE_US", 0);
    auto const crash_at = number_from_environment("SYNTHETIC_CRASH_AT", -1);
    auto const tear_at = number_from_environment("SYNTHETIC_TEAR_AT", -1);
    auto const* fail_case = std::getenv("SYNTHETIC_FAIL_CASE");
    bool const fails_all = std::getenv("SYNTHETIC_FAIL_ALL") != nullptr;
    auto const* crash_in = std::getenv("SYNTHETIC_CRASH_IN");        // a model's name
    auto const* crash_cases = std::getenv("SYNTHETIC_CRASH_CASES");  // their keys
    bool out_of_time = false;
    for (std::int64_t sequence = 0; sequence < static_cast<std::int64_t>(plan.steps.size());
         ++sequence) {
        if (done.contains(sequence)) continue;
        if (plan.time_limit_s > 0 &&
            static_cast<double>(monotonic_ns() - began) * 1e-9 > plan.time_limit_s) {
            out_of_time = true;
            break;
        }
        if (pause > 0) ::usleep(static_cast<useconds_t>(pause));
        if (plan.launch == 0 && sequence == crash_at) {
            std::signal(SIGSEGV, SIG_DFL);  // a sanitizer would end it by an exit of its own
            std::raise(SIGSEGV);
        }
        auto const& step = plan.steps[static_cast<std::size_t>(sequence)];
        bool const is_case = step.kind == StepKind::isolated;
        bool const is_probe = step.kind == StepKind::drift;
        auto const model = is_case ? plan.cases[step.index].model : step.index;
        auto const name = is_case    ? plan.cases[step.index].key
                          : is_probe ? (step.index == 0 ? "compute" : "bandwidth")
                                     : plan.models[model].name;
        bool const crashes =
            (crash_in != nullptr && !is_probe && plan.models[model].name == crash_in) ||
            (crash_cases != nullptr && is_case &&
             std::string{crash_cases}.find(name) != std::string::npos);
        if (crashes) {
            std::signal(SIGSEGV, SIG_DFL);
            std::raise(SIGSEGV);
        }
        SampleRecord record{.launch = plan.launch, .sequence = sequence, .allocator = allocator};
        if ((fails_all && !is_probe) || (fail_case != nullptr && is_case && name == fail_case)) {
            FailureLine failure{.model = plan.models[model].name,
                                .batch = plan.models[model].batch,
                                .reason = "synthetic failure"};
            if (is_case) {
                failure.case_key = name;
                failure.subgraph = plan.cases[step.index].subgraph;
            }
            record.content = failure;
            writer.write(record);
            continue;
        }
        // Half as long again where pages come anew.
        bool const faults =
            step.kind == StepKind::whole && plan.execution.allocator == Allocator::untouched;
        RepetitionTimes const times{
            .time_ms = (faults ? 1.5 : 1) * drawn_ms(name, plan.launch, sequence), .warmup = 1};
        switch (step.kind) {
            case StepKind::isolated:
                record.content = IsolatedLine{.case_key = name,
                                              .model = plan.models[model].name,
                                              .batch = plan.models[model].batch,
                                              .subgraph = plan.cases[step.index].subgraph,
                                              .times = times};
                break;
            case StepKind::whole:
                record.content =
                    WholeLine{.model = name, .batch = plan.models[model].batch, .times = times};
                break;
            case StepKind::in_context:
                record.content =
                    InContextLine{.model = name,
                                  .batch = plan.models[model].batch,
                                  .time_ms = times.time_ms,
                                  .subgraph_ms = {drawn_ms(name + "0", plan.launch, sequence)},
                                  .warmup = 1};
                break;
            case StepKind::drift:
                record.content = DriftLine{.probe = name, .time_ms = times.time_ms};
                break;
        }
        if (plan.launch == 0 && sequence == tear_at) {
            writer.tear(record);
            ::kill(::getpid(), SIGKILL);
        }
        writer.write(record);
    }
    writer.write(
        {.launch = plan.launch,
         .content = LaunchEndLine{.reason = out_of_time ? "time_limit" : "complete",
                                  .wall_s = static_cast<double>(monotonic_ns() - began) * 1e-9}});
    return 0;
}

}  // namespace
}  // namespace derate

int main(int argc, char** argv) {
    if (argc == 2 && std::string{argv[1]} == "--environment") return derate::print_environment();
    if (argc != 5 || std::string{argv[1]} != "--plan" || std::string{argv[3]} != "--samples") {
        std::fprintf(stderr, "usage: synthetic_bench --plan FILE --samples FILE | --environment\n");
        return 2;
    }
    return derate::run(argv[2], argv[4]);
}
