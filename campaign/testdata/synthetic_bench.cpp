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

    SampleRecord environment{.kind = SampleKind::environment, .launch = plan.launch};
    if (plan.execution.allocator != Allocator::pinned)
        environment.allocator = plan.execution.allocator;
    environment.environment =
        Environment{.libtorch = "synthetic", .threads = plan.execution.threads};
    writer.write(environment);
    if (plan.peaks) {
        for (auto const& [probe, unit, rate] :
             {std::tuple{"fma_synthetic", "flop", 1e11}, std::tuple{"copy", "byte", 2e10}}) {
            SampleRecord peak{.kind = SampleKind::peak, .launch = plan.launch};
            peak.probe = probe;
            peak.unit = unit;
            peak.per_second = rate * drawn_ms(probe, plan.launch, 0);
            writer.write(peak);
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
        SampleRecord record{.kind = SampleKind::isolated, .launch = plan.launch};
        record.sequence = sequence;
        if (plan.execution.allocator != Allocator::pinned)
            record.allocator = plan.execution.allocator;
        std::size_t model = step.index;
        std::string name;
        switch (step.kind) {
            case StepKind::isolated:
                name = plan.cases[step.index].key;
                record.case_key = name;
                record.subgraph = plan.cases[step.index].subgraph;
                model = plan.cases[step.index].model;
                break;
            case StepKind::whole:
                record.kind = SampleKind::whole;
                name = plan.models[model].name;
                break;
            case StepKind::in_context:
                record.kind = SampleKind::in_context;
                name = plan.models[model].name;
                record.subgraph_ms = {drawn_ms(name + "0", plan.launch, sequence)};
                break;
            case StepKind::drift:
                record.kind = SampleKind::drift;
                name = step.index == 0 ? "compute" : "bandwidth";
                record.probe = name;
                break;
        }
        if (step.kind != StepKind::drift) {
            record.model = plan.models[model].name;
            record.batch = plan.models[model].batch;
        }
        bool const crashes = (crash_in != nullptr && record.model == crash_in) ||
                             (crash_cases != nullptr && record.case_key &&
                              std::string{crash_cases}.find(*record.case_key) != std::string::npos);
        if (crashes) {
            std::signal(SIGSEGV, SIG_DFL);
            std::raise(SIGSEGV);
        }
        if ((fails_all && step.kind != StepKind::drift) ||
            (fail_case != nullptr && record.case_key == fail_case)) {
            record.kind = SampleKind::failure;
            record.reason = "synthetic failure";
            writer.write(record);
            continue;
        }
        record.iterations = 1;
        // Half as long again where pages come anew.
        bool const faults =
            record.kind == SampleKind::whole && plan.execution.allocator == Allocator::untouched;
        double const slower = faults ? 1.5 : 1;
        record.time_ms = slower * drawn_ms(name, plan.launch, sequence);
        record.steady = true;
        record.warmup = 1;
        if (plan.launch == 0 && sequence == tear_at) {
            writer.tear(record);
            ::kill(::getpid(), SIGKILL);
        }
        writer.write(record);
    }
    SampleRecord end{.kind = SampleKind::launch_end, .launch = plan.launch};
    end.reason = out_of_time ? "time_limit" : "complete";
    end.wall_s = static_cast<double>(monotonic_ns() - began) * 1e-9;
    end.loading_s = 0.0;
    writer.write(end);
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
