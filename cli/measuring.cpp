#include "cli/measuring.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <algorithm>
#include <cctype>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "campaign/child_process.hpp"
#include "campaign/host_environment.hpp"
#include "campaign/launch_choice.hpp"
#include "campaign/plan_making.hpp"
#include "campaign/trust_grade.hpp"
#include "cli/json_output.hpp"
#include "cli/revision.hpp"
#include "core/hardware.hpp"
#include "core/input_error.hpp"
#include "core/shell_word.hpp"
#include "measuring/control_groups.hpp"
#include "measuring/usable_memory.hpp"
#include "storage/fields.hpp"
#include "workloads/model_set.hpp"

namespace derate::cli {
namespace {

namespace fs = std::filesystem;

/// Of the CPUs that this process may use.
std::vector<int> cpus_for(int threads) {
    auto const allowed = usable_cpus();
    if (allowed.empty()) return {};
    if (threads > static_cast<int>(allowed.size())) {
        throw InputError{
            "--threads",
            fmt::format("this process may use {} CPUs, not {}", allowed.size(), threads),
            "no more threads than CPUs"};
    }
    // Threads that share a quota are stopped together, in the middle of whatever they run. One
    // thread is timed even so, and graded.
    if (auto const quota = cpu_quota(); quota && threads > 1 && *quota < threads) {
        throw InputError{"--threads",
                         fmt::format("a control group of this process grants {:.3g} CPUs, not {}",
                                     *quota, threads),
                         "no more threads than CPUs"};
    }
    return choose_cpus(allowed, static_cast<std::size_t>(threads));
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

void add_sizes_flags(CLI::App& command, MeasuringFlags& flags) {
    command
        .add_option("--batch", flags.batches,
                    "Batch sizes, such as 1,2,16: of a shipped model (default 1), or of the one "
                    "free first dimension of a symbolic export")
        ->delimiter(',');
    command.add_option("--seq", flags.dimensions.sequence, sequence_help);
    add_named_dimension_flags(command, flags.dimensions, "NAME=VALUE");
}

void add_measuring_flags(CLI::App& command, MeasuringFlags& flags, char const* runs_flag) {
    command.add_option("--device", flags.device, "cpu or cuda")->capture_default_str();
    add_sizes_flags(command, flags);
    command.add_option("--precision", flags.precision, "fp32, bf16 or fp16")->capture_default_str();
    command.add_option("--threads", flags.threads, "Threads inside an operator")
        ->capture_default_str();
    auto* const runs = command.add_option(
        runs_flag, flags.runs,
        "Repetitions of each case over all launches, rounded up to a multiple of the "
        "launches (default: until intervals are narrow)");
    command.add_option(
        "--launches", flags.launches,
        "Process launches: exactly so many with " + std::string{runs_flag} + ", else at least");
    command.add_option("--budget", flags.budget, "Wall time to spend measuring, e.g. 180s or 12m");
    command
        .add_option("--cache-state", flags.cache_states,
                    "What lies in the caches: cold_all, cold_activations, hot")
        ->delimiter(',')
        ->capture_default_str();
    command
        .add_option("--allocator", flags.allocator,
                    "State of malloc: pinned (no page faults, as with MALLOC_MMAP_THRESHOLD_ and "
                    "MALLOC_TRIM_THRESHOLD_ set) or default")
        ->capture_default_str();
    command.add_option("--seed", flags.seed, "Of weights, inputs and the order of cases")
        ->capture_default_str();
    auto* const quick =
        command.add_flag("--quick", flags.quick, "Three short launches; good for a first look");
    command
        .add_flag("--publish", flags.publish,
                  "Ten launches or more, half-widths of 1 %: for figures that others rely on")
        ->excludes(quick)
        ->excludes(runs);
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
    if (fault != std::errc{} || !(value * scale > 0) || !std::isfinite(value * scale)) {
        throw InputError{where, "got '" + text + "'", "a time such as 180s, 3m or 1h"};
    }
    return value * scale;
}

void require_folder_name(fs::path const& output, char const* required) {
    // "derate-0.2" is a folder's name.
    auto const extension = output.extension().string();
    if (extension.size() < 2 || std::isalpha(static_cast<unsigned char>(extension[1])) == 0) return;
    if (std::error_code error; fs::is_directory(output, error)) return;
    throw InputError{"--output", "got '" + output.string() + "'", required};
}

void require_hardware_id(std::string const& given, char const* flag) {
    if (parse_hardware_id(given)) return;
    throw InputError{flag, "got '" + given + "'", hardware_id_rule};
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

CampaignModel model_to_time(MeasuringFlags const& flags, std::string const& model,
                            std::optional<int> batch) {
    auto dimensions = flags.dimensions;
    dimensions.batch = batch;
    return campaign_model(
        load_model(model, requested_dimensions(dimensions), precision_to_measure(flags.precision)),
        CampaignSettings{}.execution.backend);
}

std::vector<std::optional<int>> batches_of(MeasuringFlags const& flags) {
    if (flags.batches.empty()) return {std::nullopt};
    std::vector<std::optional<int>> batches;
    for (int const batch : flags.batches) {
        auto const where = "--batch " + std::to_string(batch);
        if (batch < 1) throw InputError{where, "not a batch size", "1 or more"};
        if (std::ranges::count(batches, batch) > 0) {
            throw InputError{where, "is named twice", "each batch size once"};
        }
        batches.emplace_back(batch);
    }
    return batches;
}

CampaignSettings settings_of(MeasuringFlags const& flags) {
    auto const device = parse_torch_name(flags.device);
    if (!device) throw InputError{"--device", "got '" + flags.device + "'", "cpu or cuda"};
    if (flags.threads < 1) throw InputError{"--threads", "less than one", "1 or more"};
    if (flags.runs && *flags.runs < 1) throw InputError{"--runs", "less than one", "1 or more"};
    if (flags.launches && *flags.launches < 1) {
        throw InputError{"--launches", "less than one", "1 or more"};
    }
    if (!is_host(*device) && flags.threads != 1) {
        throw InputError{"--threads", "a GPU's kernels have none", "no --threads beside --device cuda"};
    }
    (void)precision_to_measure(flags.precision);

    CampaignSettings settings;
    settings.seed = flags.seed;
    settings.execution.device = *device;
    settings.execution.threads = flags.threads;
    settings.execution.cpus = cpus_for(flags.threads);
    settings.peaks = true;
    auto const allocator = parse_allocator(flags.allocator);
    if (!allocator) {
        throw InputError{"--allocator", "got '" + flags.allocator + "'", "pinned or default"};
    }
    if (!is_host(*device) && *allocator != Allocator::pinned) {
        throw InputError{"--allocator", "a GPU's memory is not malloc's", "--device cpu"};
    }
    settings.execution.allocator = *allocator;
    settings.states.clear();
    for (auto const& name : flags.cache_states) {
        auto const state = parse_cache_state(name);
        if (!state || *state == CacheState::in_context || *state == CacheState::unknown) {
            throw InputError{"--cache-state", "got '" + name + "'",
                             "cold_all, cold_activations or hot"};
        }
        if (std::ranges::count(settings.states, *state) > 0) {
            throw InputError{"--cache-state", "names " + name + " twice", "each state once"};
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

Environment machine_environment(std::span<int const> cpus) {
    auto environment = read_host_environment("/", cpus);
    environment.tool_version = DERATE_VERSION;
    environment.git_revision = git_revision();
    environment.git_dirty = git_dirty();
    environment.command_line = own_command_line();
    return environment;
}

Environment machine_environment(CampaignSettings const& settings, fs::path const& bench_program) {
    auto environment = machine_environment(settings.execution.cpus);
    if (is_host(settings.execution.device)) return environment;
    // Which GPU it is names the hardware and bounds the models in memory: known before the first
    // launch.
    auto const told = ask_for_environment(bench_program);
    if (!told) {
        throw EnvironmentRefused{bench_program.filename().string(), "does not tell what GPU it has",
                                 "a GPU and its driver; `derate doctor` says more"};
    }
    environment.gpu_name = told->gpu_name;
    environment.gpu_memory_bytes = told->gpu_memory_bytes;
    return environment;
}

std::string repro_line(CampaignSettings const& settings, DistinctCase const& item) {
    auto const& model = settings.models[item.model];
    auto line = std::string{bench_program_name(settings.execution.device)} + " --model ";
    // A shipped model by its name; the probes have none, and a person's file is where it is.
    bool const is_shipped =
        model.file.parent_path() == models_directory() && model.name != "probes";
    if (is_shipped) {
        line += model.name.substr(0, model.name.find('@')) +
                (model.batch ? " --batch " + std::to_string(*model.batch) : std::string{}) +
                " --precision " + std::string{to_string(model.precision)};
    } else {
        line += shell_word(fs::absolute(model.file).string());
    }
    for (auto const& dimension : model.dimensions) {
        bool const is_batch = std::ranges::any_of(
            dimension.axes, [](std::string const& axis) { return axis.ends_with("[0]"); });
        if (is_shipped && is_batch) continue;  // said above
        line += " --dim " + dimension.symbol + "=" + std::to_string(dimension.value);
    }
    line += " --threads " + std::to_string(settings.execution.threads.value_or(1)) +
            " --cache-state " + std::string{to_string(item.state)} + " --seed " +
            std::to_string(settings.seed);
    if (auto const allocator = settings.execution.allocator; allocator != Allocator::pinned) {
        line += " --allocator " + std::string{to_string(*allocator)};
    }
    if (!settings.execution.cpus.empty()) {
        line += " --cpus ";
        for (auto const cpu : settings.execution.cpus) {
            line += (cpu == settings.execution.cpus.front() ? "" : ",") + std::to_string(cpu);
        }
    }
    return line + " --benchmark_filter='^" + item.name + "/'";
}

std::string nothing_measured(fs::path const& samples) {
    return "nothing was measured: " + samples.string() +
           " was finished before; to measure anew, name another --output or delete that file";
}

std::string format_time_ms(double time_ms, std::optional<double> half_width) {
    // Two digits of the interval are enough to judge it; what lies below them is noise.
    double const uncertain = half_width ? time_ms * *half_width : time_ms * 0.01;
    int decimals = 3;
    if (uncertain > 0 && std::isfinite(uncertain)) {
        decimals = std::clamp(static_cast<int>(std::ceil(1 - std::log10(uncertain))), 0, 6);
    }
    auto const time = fmt::format("{:.{}f} ms", time_ms, decimals);
    return half_width ? fmt::format("{} +-{:.1f}%", time, 100 * *half_width) : time;
}

std::string timing_text(Timing const& timing) {
    auto const interval = interval_of_center(timing.launches);
    return format_time_ms(timing.center_ms,
                          interval ? std::optional{interval->relative_half_width()} : std::nullopt);
}

std::string progress_line(CampaignProgress const& progress) {
    auto line = fmt::format("[{}/{}] {}", progress.cases_settled, progress.cases, progress.latest);
    if (progress.latest_ms) {
        line += " " + format_time_ms(*progress.latest_ms, progress.latest_half_width);
    }
    auto const remaining = static_cast<int>(progress.remaining_s + 0.5);
    return line + fmt::format(" (target {:g}%) launch {} step {}/{} eta {:02}:{:02}",
                              100 * progress.target_half_width, progress.launch + 1,
                              progress.steps_done, progress.steps, remaining / 60, remaining % 60);
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
    auto const plan =
        make_plan(settings, cases, everything_of(settings, cases), "", 0, usable_memory_bytes());
    auto const quota = short_quota(cpu_quota(), settings.execution.threads.value_or(1));
    // Where each case and whole model comes first.
    std::vector<std::pair<std::size_t, PlannedStep>> order;
    std::set<std::pair<StepKind, std::size_t>> seen;
    for (std::size_t i = 0; i < plan.steps.size(); ++i) {
        auto const& step = plan.steps[i];
        if (step.kind != StepKind::isolated && step.kind != StepKind::whole) continue;
        if (seen.insert({step.kind, step.index}).second) order.emplace_back(i, step);
    }
    if (as_json) {
        nlohmann::json list = nlohmann::json::array();
        nlohmann::json models = nlohmann::json::array();
        for (auto const& [sequence, step] : order) {
            if (step.kind == StepKind::whole) {
                auto const& model = settings.models[step.index];
                models.push_back(
                    {{"model", model.name}, {"batch", json_or_null(model.batch)}, {"first_step", sequence}});
                continue;
            }
            auto const& item = cases[step.index];
            list.push_back({{"case", item.key},
                            {"name", item.name},
                            {"model", settings.models[item.model].name},
                            {"batch", json_or_null(settings.models[item.model].batch)},
                            {"subgraph_id", item.subgraph},
                            {"cache_state", to_string(item.state)},
                            {"guessed_ms", item.expected_ms},
                            {"first_step", sequence},
                            {"repro", repro_line(settings, item)}});
        }
        nlohmann::json all{{"cases", list},
                           {"models", models},
                           {"steps_of_first_launch", plan.steps.size()},
                           {"rules", to_string(settings.rules)},
                           {"seed", settings.seed},
                           {"threads", settings.execution.threads.value_or(1)},
                           {"expected_s", expected_s}};
        std::vector<Warning> warnings;
        if (quota) warnings.push_back({WarningCode::cpu_quota, quota->what});
        set_warnings(all, warnings);
        print_json("output_dry_run_v1.json", std::move(all));
        return;
    }
    for (auto const& [sequence, step] : order) {
        if (step.kind == StepKind::whole) {
            auto const& model = settings.models[step.index];
            std::printf("%6zu  %-44s %-18s %s\n", sequence, "whole model", "",
                        model_label(model.name, model.batch).c_str());
            continue;
        }
        auto const& item = cases[step.index];
        auto const& model = settings.models[item.model];
        std::printf("%6zu  %-44s %-18s %-24s subgraph %d\n", sequence, item.name.c_str(),
                    std::string{to_string(item.state)}.c_str(),
                    model_label(model.name, model.batch).c_str(), item.subgraph);
    }
    auto const wholes =
        order.size() - static_cast<std::size_t>(std::ranges::count_if(order, [](auto const& entry) {
            return entry.second.kind == StepKind::isolated;
        }));
    std::printf(
        "\n%zu distinct cases and %zu whole model%s, in the order in which a first launch with all "
        "repetitions (%zu steps) comes to them; %s; seed %llu; about %d s\n",
        order.size() - wholes, wholes, wholes == 1 ? "" : "s", plan.steps.size(),
        to_string(settings.rules).c_str(), static_cast<unsigned long long>(settings.seed),
        static_cast<int>(std::ceil(expected_s)));
    if (quota) {
        std::printf("trust grade %s at best: %s (%s)\n",
                    std::string{to_string(quota->at_best)}.c_str(), quota->what.c_str(),
                    quota->remedy.c_str());
    }
    if (!cases.empty()) {
        std::printf("one case alone: %s\n", repro_line(settings, cases.front()).c_str());
    }
}

}  // namespace derate::cli
