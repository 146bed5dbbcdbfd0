#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "campaign/campaign_settings.hpp"
#include "campaign/plan_making.hpp"
#include "campaign/run_campaign.hpp"
#include "cli/dimension_flags.hpp"
#include "core/measurement.hpp"
#include "measuring/environment.hpp"

namespace CLI {
class App;
}

namespace derate::cli {

/// Flags that measure and calibrate share.
struct MeasuringFlags {
    std::string device = "cpu";
    DimensionFlags dimensions{};  ///< without batch
    std::vector<int> batches{};
    std::string precision = "fp32";
    int threads = 1;
    std::optional<int> runs{};
    std::optional<int> launches{};
    std::string budget{};
    std::vector<std::string> cache_states{"cold_all"};
    std::string allocator = "pinned";
    std::uint64_t seed = 1;
    bool quick = false;
    bool publish = false;
    bool dry_run = false;
};

/// Those of them that say at which sizes models are timed: --batch, --seq, --dim, --axis.
void add_sizes_flags(CLI::App& command, MeasuringFlags& flags);

/// \param runs_flag  "--runs" or "--runs-per-model"
void add_measuring_flags(CLI::App& command, MeasuringFlags& flags, char const* runs_flag);

/// "180s", "3m", "1.5h" or a plain number of seconds.
/// \throws InputError  anything else, or nothing left of it
[[nodiscard]] double parse_duration_s(std::string const& text, std::string const& where);

/// The model as the flags bind it, to be timed on their back end.
/// \param batch  empty: what the model has without saying
/// \throws InputError  as load_model(), or it calls no operator
[[nodiscard]] CampaignModel model_to_time(MeasuringFlags const& flags, std::string const& model,
                                          std::optional<int> batch);

/// The batch sizes of the flags; one that is empty where they name none.
/// \throws InputError  one below 1, or one twice
[[nodiscard]] std::vector<std::optional<int>> batches_of(MeasuringFlags const& flags);

/// Rules, repetitions, threads and affinity as the flags ask for; without models.
/// \throws InputError  INT8, an unknown device or state, a number out of range
[[nodiscard]] CampaignSettings settings_of(MeasuringFlags const& flags);

/// A name that looks like a file's would become a folder.
/// \throws InputError  naming `--output`: another extension, and no folder of that name is there
void require_folder_name(std::filesystem::path const& output, char const* required);

/// Before anything is measured under that name, or written into a folder of it.
/// \throws InputError  naming `flag`: no hardware id
void require_hardware_id(std::string const& given, char const* flag);

/// \throws InputError  naming the precision: unknown, or one that cannot be measured
[[nodiscard]] Precision precision_to_measure(std::string const& name);

/// The machine's half of the environment block, with this program's version and command line.
///
/// \param cpus  those to be timed on; empty: CPU 0 stands for all
[[nodiscard]] Environment machine_environment(std::span<int const> cpus = {});

/// The same before a campaign; on a GPU with its name and memory, as the program that times tells.
/// \throws EnvironmentRefused  that program has no GPU
[[nodiscard]] Environment machine_environment(CampaignSettings const& settings,
                                              std::filesystem::path const& bench_program);

/// The command that times this case alone, to see for oneself what a campaign reports of it.
[[nodiscard]] std::string repro_line(CampaignSettings const& settings, DistinctCase const& item);

/// Prints where a campaign stands to standard error: one line that is rewritten on a terminal, a
/// line every few seconds elsewhere, nothing with --quiet.
class ProgressPrinter {
  public:
    explicit ProgressPrinter(bool quiet);
    ~ProgressPrinter();  ///< ends the rewritten line
    void operator()(CampaignProgress const& progress);

  private:
    bool quiet_;
    bool terminal_;
    bool line_open_ = false;
    double last_s_ = -1e9;
};

/// "[12/96] conv2d/9b2f00c3a1d4e587 0.347 ms +-1.8% (target 2%) launch 2 eta 04:10".
[[nodiscard]] std::string progress_line(CampaignProgress const& progress);

/// What `--dry-run` prints: every case and whole model in the order of a first launch with all its
/// repetitions, as the seed draws it (a budget may leave some out), with its guessed time and (as
/// JSON) the command that times it alone; and the expected wall time.
void print_dry_run(CampaignSettings const& settings, bool as_json);

/// What to say of a campaign that had been finished before.
[[nodiscard]] std::string nothing_measured(std::filesystem::path const& samples);

/// format_time_ms() with the interval from launch to launch; without it where there is none.
[[nodiscard]] std::string timing_text(Timing const& timing);

/// "0.347 ms +-1.8%": as many digits as the interval leaves meaning to.
[[nodiscard]] std::string format_time_ms(double time_ms, std::optional<double> half_width);

}  // namespace derate::cli
