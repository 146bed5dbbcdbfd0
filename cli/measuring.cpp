#include "cli/measuring.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "campaign/host_environment.hpp"
#include "campaign/plan_making.hpp"
#include "cli/revision.hpp"
#include "core/input_error.hpp"

namespace derate::cli {
namespace {

/// The last CPUs this process may use: interrupts mostly go to the first.
std::vector<int> choose_cpus(int threads) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return {};
    std::vector<int> allowed;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &set)) allowed.push_back(cpu);
    }
    if (threads > static_cast<int>(allowed.size())) {
        throw InputError{"--threads",
                         "this process may use " + std::to_string(allowed.size()) + " CPUs, not " +
                             std::to_string(threads),
                         "no more threads than CPUs"};
    }
    return {allowed.end() - threads, allowed.end()};
}

double steady_now_s() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

std::string own_command_line() {
    std::ifstream file{"/proc/self/cmdline", std::ios::binary};
    std::string text{std::istreambuf_iterator<char>{file}, {}};
    while (!text.empty() && text.back() == '\0') text.pop_back();
    std::ranges::replace(text, '\0', ' ');
    return text;
}

}  // namespace

void add_measuring_flags(CLI::App& command, MeasuringFlags& flags, char const* runs_flag) {
    command.add_option("--device", flags.device, "cpu or cuda")->capture_default_str();
    command.add_option("--batch", flags.batch, "Batch size (default 1)");
    command.add_option("--precision", flags.precision, "fp32, bf16 or fp16")->capture_default_str();
    command.add_option("--threads", flags.threads, "Threads inside an operator")
        ->capture_default_str();
    command.add_option(
        runs_flag, flags.runs,
        "Repetitions of each case over all launches, rounded up to a multiple of the "
        "launches (default: until intervals are narrow, 60 at most)");
    command.add_option(
        "--launches", flags.launches,
        "Process launches: exactly so many with " + std::string{runs_flag} + ", else at least");
    command.add_option("--budget", flags.budget, "Wall time to spend measuring, e.g. 180s or 12m");
    command
        .add_option("--cache-state", flags.cache_states,
                    "What lies in the caches: cold_all, cold_activations, hot")
        ->delimiter(',')
        ->capture_default_str();
    command.add_option("--seed", flags.seed, "Of weights, inputs and the order of cases")
        ->capture_default_str();
    command.add_flag("--quick", flags.quick, "Three short launches; good for a first look");
    command.add_flag("--publish", flags.publish,
                     "Ten launches or more, half-widths of 1 %: for figures that others rely on");
    command.add_flag("--dry-run", flags.dry_run, "List what would be timed and how long it takes");
}

double parse_duration_s(std::string const& text, std::string const& where) {
    double value = 0;
    auto const* begin = text.data();
    auto const [end, fault] = std::from_chars(begin, begin + text.size(), value);
    std::string const unit{end, begin + text.size()};
    double const scale = unit.empty() || unit == "s"    ? 1
                         : unit == "m" || unit == "min" ? 60
                         : unit == "h"                  ? 3600
                                                        : 0;
    if (fault != std::errc{} || !(value * scale > 0) || !std::isfinite(value)) {
        throw InputError{where, "got '" + text + "'", "a time such as 180s, 3m or 1h"};
    }
    return value * scale;
}

Precision precision_to_measure(std::string const& name) {
    auto const precision = parse_precision(name);
    if (!precision) throw InputError{"--precision", "got '" + name + "'", "fp32, fp16 or bf16"};
    if (*precision == Precision::int8) {
        throw InputError{"--precision", "measuring INT8 is not supported",
                         "fp32, fp16 or bf16; INT8 curves can be imported"};
    }
    return *precision;
}

CampaignSettings settings_of(MeasuringFlags const& flags) {
    if (flags.device != "cpu" && flags.device != "cuda") {
        throw InputError{"--device", "got '" + flags.device + "'", "cpu or cuda"};
    }
    if (flags.threads < 1) throw InputError{"--threads", "less than one", "1 or more"};
    if (flags.runs && *flags.runs < 1) throw InputError{"--runs", "less than one", "1 or more"};
    if (flags.launches && *flags.launches < 1) {
        throw InputError{"--launches", "less than one", "1 or more"};
    }
    if (flags.quick && flags.publish) {
        throw InputError{"--quick", "--publish asks for the opposite", "one of the two"};
    }
    (void)precision_to_measure(flags.precision);

    CampaignSettings settings;
    settings.seed = flags.seed;
    settings.device = flags.device;
    settings.threads = flags.device == "cuda" ? 1 : flags.threads;
    settings.cpus = choose_cpus(settings.threads);
    settings.peaks = true;
    settings.states.clear();
    for (auto const& name : flags.cache_states) {
        auto const state = parse_cache_state(name);
        if (!state || *state == CacheState::in_context || *state == CacheState::unknown) {
            throw InputError{"--cache-state", "got '" + name + "'",
                             "cold_all, cold_activations or hot"};
        }
        settings.states.push_back(*state);
    }
    auto& rules = settings.rules;
    rules = flags.quick ? quick_rules() : flags.publish ? publish_rules() : standard_rules();
    if (flags.runs) {
        auto const budget_s = rules.budget_s;
        rules = exact_rules(*flags.runs, flags.launches);
        if (flags.quick) rules.budget_s = budget_s;
    } else if (flags.launches) {
        rules.min_launches = *flags.launches;
        rules.max_launches = std::max(rules.max_launches, *flags.launches);
    }
    if (!flags.budget.empty()) rules.budget_s = parse_duration_s(flags.budget, "--budget");
    settings.repetition.min_timed_ms = 2;
    settings.repetition.max_warmup_ms = flags.quick ? 10 : 20;
    return settings;
}

Environment machine_environment() {
    auto environment = read_host_environment();
    environment.tool_version = DERATE_VERSION;
    environment.git_revision = git_revision();
    environment.git_dirty = git_dirty();
    environment.command_line = own_command_line();
    return environment;
}

std::string format_time_ms(double time_ms, std::optional<double> half_width) {
    // Two digits of the interval are enough to judge it; what lies below them is noise.
    double const uncertain = half_width ? time_ms * *half_width : time_ms * 0.01;
    int decimals = 3;
    if (uncertain > 0 && std::isfinite(uncertain)) {
        decimals = std::clamp(static_cast<int>(std::ceil(1 - std::log10(uncertain))), 0, 6);
    }
    char text[64];
    if (half_width) {
        std::snprintf(text, sizeof text, "%.*f ms +-%.1f%%", decimals, time_ms, 100 * *half_width);
    } else {
        std::snprintf(text, sizeof text, "%.*f ms", decimals, time_ms);
    }
    return text;
}

std::string progress_line(CampaignProgress const& progress) {
    std::string line = "[" + std::to_string(progress.cases_settled) + "/" +
                       std::to_string(progress.cases) + "] " + progress.latest;
    if (progress.latest_ms) {
        line += " " + format_time_ms(*progress.latest_ms, progress.latest_half_width);
    }
    char text[96];
    auto const remaining = static_cast<int>(progress.remaining_s + 0.5);
    std::snprintf(text, sizeof text, " (target %g%%) launch %d step %zu/%zu eta %02d:%02d",
                  100 * progress.target_half_width, progress.launch + 1, progress.steps_done,
                  progress.steps, remaining / 60, remaining % 60);
    return line + text;
}

ProgressPrinter::ProgressPrinter(bool quiet)
    : quiet_{quiet}, terminal_{::isatty(STDERR_FILENO) == 1} {}

ProgressPrinter::~ProgressPrinter() {
    if (line_open_) std::fputs("\n", stderr);
}

void ProgressPrinter::operator()(CampaignProgress const& progress) {
    if (quiet_) return;
    double const now_s = steady_now_s();
    if (now_s - last_s_ < (terminal_ ? 0.2 : 5)) return;
    last_s_ = now_s;
    auto const line = progress_line(progress);
    if (terminal_) {
        std::fprintf(stderr, "\r\033[K%s", line.c_str());
        line_open_ = true;
    } else {
        std::fprintf(stderr, "%s\n", line.c_str());
    }
    std::fflush(stderr);
}

void print_dry_run(CampaignSettings const& settings, bool as_json) {
    auto const cases = distinct_cases(settings);
    double const expected_s = expected_campaign_seconds(settings);
    if (as_json) {
        nlohmann::json list = nlohmann::json::array();
        for (auto const& item : cases) {
            list.push_back({{"case", item.key},
                            {"name", item.name},
                            {"model", settings.models[item.model].name},
                            {"batch", settings.models[item.model].batch},
                            {"subgraph_id", item.subgraph},
                            {"cache_state", to_string(item.state)},
                            {"guessed_ms", item.expected_ms}});
        }
        nlohmann::json models = nlohmann::json::array();
        for (auto const& model : settings.models) {
            models.push_back({{"model", model.name}, {"batch", model.batch}});
        }
        nlohmann::json const all{{"cases", list},
                                 {"models", models},
                                 {"rules", to_string(settings.rules)},
                                 {"seed", settings.seed},
                                 {"threads", settings.threads},
                                 {"expected_s", expected_s}};
        std::printf("%s\n", all.dump(2).c_str());
        return;
    }
    for (auto const& item : cases) {
        std::printf("%-48s %-18s %-24s subgraph %d\n", item.name.c_str(),
                    std::string{to_string(item.state)}.c_str(),
                    model_label(settings.models[item.model].name, settings.models[item.model].batch)
                        .c_str(),
                    item.subgraph);
    }
    std::printf("\n%zu distinct cases and %zu whole models; %s; seed %llu; about %d s\n",
                cases.size(), settings.models.size(), to_string(settings.rules).c_str(),
                static_cast<unsigned long long>(settings.seed),
                static_cast<int>(std::ceil(expected_s)));
}

}  // namespace derate::cli
