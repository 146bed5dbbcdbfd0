#include "benchmarks/bench_flags.hpp"

#include <array>
#include <charconv>
#include <span>

#include "core/input_error.hpp"
#include "core/split_list.hpp"

namespace derate::benchmarks {
namespace {

constexpr std::string_view help_text =
    R"(derate-bench times the fused subgraphs of models on LibTorch.

one launch of a campaign (derate measure and derate calibrate start it so):
  --plan FILE        what to time, in which order
  --samples FILE     where to append a JSON line a repetition; locked while this runs
  --progress         a line "progress DONE STEPS" on standard error after each step

on its own, as a Google Benchmark program:
  --model NAME|FILE  a shipped model or a .pt2 file; repeatable, or a comma-separated list
  --batch N          batch size of shipped models (1) and of symbolic exports
  --dim NAME=N       size of a free dimension, by symbol (s77) or axis (x[0]); repeatable
  --precision P      fp32 or bf16 (fp32)
  --threads N        of LibTorch (1)
  --cpus A,B         run on these CPUs only
  --cache-state S    hot, cold_activations or cold_all (cold_all)
  --allocator A      malloc's thresholds pinned, or glibc's default (pinned)
  --seed N           of weights and inputs (0)
  --benchmark_*      Google Benchmark's flags: filter, min_time, repetitions, format, out, ...

  --peaks            print the peak rates of this machine as JSON (with --precision, --threads)
  --environment      print what is known of the libraries as JSON
  --help

examples:
  derate-bench --model resnet18 --benchmark_filter='^conv2d/' --benchmark_min_time=0.05
  derate-bench --model mobilenet_v2 --threads 2 --benchmark_out=m.json --benchmark_out_format=json
  derate-bench --peaks --threads 2

exit codes: 0, 2 bad input or a case that failed, 4 the environment refuses (locked, not Release)
)";

constexpr std::string_view program = "derate-bench";

int to_int(std::string_view flag, std::string_view text, int least) {
    int value = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < least) {
        throw InputError{flag, "got '" + std::string{text} + "'",
                         "a whole number, " + std::to_string(least) + " or more"};
    }
    return value;
}

/// Sets one flag; `next` gives its value.
template <class Next>
bool set_flag(BenchFlags& flags, std::string_view name, Next const& next) {
    if (name == "--help" || name == "-h") {
        flags.help = true;
    } else if (name == "--plan") {
        flags.plan = next();
    } else if (name == "--samples") {
        flags.samples = next();
    } else if (name == "--progress") {
        flags.progress = true;
    } else if (name == "--peaks") {
        flags.peaks = true;
    } else if (name == "--environment") {
        flags.environment = true;
    } else if (name == "--model" || name == "--models") {
        for (auto& model : split_list(next())) flags.models.push_back(std::move(model));
    } else if (name == "--batch") {
        flags.dimensions.batch = to_int(name, next(), 1);
    } else if (name == "--dim") {
        auto const text = next();
        auto const sign = text.rfind('=');
        if (sign == std::string::npos || sign == 0) {
            throw InputError{name, "got '" + text + "'", "NAME=N"};
        }
        flags.dimensions.named.emplace_back(text.substr(0, sign),
                                            to_int(name, text.substr(sign + 1), 0));
    } else if (name == "--threads") {
        flags.threads = to_int(name, next(), 1);
    } else if (name == "--seed") {
        flags.seed = static_cast<std::uint64_t>(to_int(name, next(), 0));
    } else if (name == "--cpus") {
        for (auto const& cpu : split_list(next())) flags.cpus.push_back(to_int(name, cpu, 0));
    } else if (name == "--precision") {
        auto const text = next();
        flags.precision = parse_precision(text);
        if (!flags.precision) throw InputError{name, "got '" + text + "'", "fp32, fp16 or bf16"};
        if (flags.precision == Precision::int8) {
            throw InputError{name, "measuring int8 is not supported", "fp32, fp16 or bf16"};
        }
    } else if (name == "--allocator") {
        auto const text = next();
        auto const allocator = parse_allocator(text);
        if (!allocator) throw InputError{name, "got '" + text + "'", "pinned or default"};
        flags.allocator = *allocator;
    } else if (name == "--cache-state") {
        auto const text = next();
        auto const state = parse_cache_state(text);
        if (!state || (*state != CacheState::hot && *state != CacheState::cold_activations &&
                       *state != CacheState::cold_all)) {
            throw InputError{name, "got '" + text + "'", "hot, cold_activations or cold_all"};
        }
        flags.cache_state = *state;
    } else {
        return false;
    }
    return true;
}

void check(BenchFlags const& flags) {
    if (flags.help) return;
    if (flags.plan.has_value() != flags.samples.has_value()) {
        throw InputError{
            program, flags.plan ? "--plan without --samples" : "--samples without --plan", "both"};
    }
    if (!flags.plan && !flags.peaks && !flags.environment && flags.models.empty()) {
        throw InputError{program, "nothing to do", "--model, --plan or --peaks; see --help"};
    }
}

}  // namespace

BenchFlags parse_bench_flags(int argc, char const* const* argv) {
    BenchFlags flags;
    std::vector<std::string> const arguments(argv + 1, argv + argc);
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        auto const& argument = arguments[i];
        if (argument.starts_with("--benchmark_") || argument.starts_with("--v=")) {
            flags.google_benchmark.push_back(argument);
            continue;
        }
        auto const equals = argument.find('=');
        auto const name = argument.substr(0, equals);
        auto const next = [&]() -> std::string {
            if (equals != std::string::npos) return argument.substr(equals + 1);
            if (++i == arguments.size()) throw InputError{name, "no value", "a value after it"};
            return arguments[i];
        };
        if (!set_flag(flags, name, next)) {
            std::array const known{
                std::string{"--help"},      std::string{"--plan"},
                std::string{"--samples"},   std::string{"--progress"},
                std::string{"--peaks"},     std::string{"--environment"},
                std::string{"--model"},     std::string{"--batch"},
                std::string{"--dim"},       std::string{"--threads"},
                std::string{"--seed"},      std::string{"--cpus"},
                std::string{"--precision"}, std::string{"--cache-state"},
                std::string{"--allocator"},
            };
            auto const nearest = nearest_name(name, known);
            throw InputError{argument, "unknown flag",
                             nearest.empty() ? "see --help" : "did you mean " + nearest + "?"};
        }
    }
    check(flags);
    return flags;
}

std::string_view bench_help() { return help_text; }

}  // namespace derate::benchmarks
