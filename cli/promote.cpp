#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "cli/commands.hpp"
#include "cli/json_output.hpp"
#include "cli/today.hpp"
#include "cli/verdict_exit.hpp"
#include "core/input_error.hpp"
#include "gate/calibration_difference.hpp"
#include "gate/validation.hpp"
#include "reports/validation_report.hpp"
#include "storage/calibration_json.hpp"
#include "storage/file.hpp"
#include "storage/hardware_json.hpp"
#include "storage/registry.hpp"
#include "storage/stored_calibration.hpp"

namespace derate::cli {
namespace {

namespace fs = std::filesystem;

struct PromoteFlags {
    fs::path staged;
    std::string reason;
    bool dry_run = false;
    bool provisional = false;
};

/// Holds the registry for one promotion; the folder itself is locked, so no file is left behind.
class RegistryLock {
  public:
    explicit RegistryLock(fs::path const& registry)
        : folder_{::open(registry.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)} {
        if (folder_ < 0) {
            throw InputError{registry.string(), std::strerror(errno), "a registry folder"};
        }
        if (::flock(folder_, LOCK_EX | LOCK_NB) != 0) {
            ::close(folder_);
            throw EnvironmentRefused{registry.string(), "another promotion is at work",
                                     "one at a time; try again"};
        }
    }
    RegistryLock(RegistryLock const&) = delete;
    RegistryLock& operator=(RegistryLock const&) = delete;
    ~RegistryLock() { ::close(folder_); }

  private:
    int folder_;
};

/// One hardware's folder of the staged tree and what is to happen to it.
struct StagedHardware {
    fs::path place;  ///< "cpu/<id>", below both trees
    std::vector<StoredCalibration> calibrations;
};

std::vector<StagedHardware> read_staged(fs::path const& staged) {
    std::vector<StagedHardware> all;
    for (auto const& curves : calibration_files_below(staged)) {
        auto const place = fs::relative(curves.parent_path(), staged);
        auto const kind = place.begin() == place.end() ? fs::path{} : *place.begin();
        if (!parse_device_kind(kind.string()) || std::distance(place.begin(), place.end()) != 2) {
            throw InputError{curves.string(), "not in <cpu|gpu>/<hardware id>/",
                             "a folder staged by derate calibrate"};
        }
        if (all.empty() || all.back().place != place) all.push_back({.place = place});
        all.back().calibrations.push_back(read_stored_calibration(curves));
    }
    return all;
}

/// A hardware's new folder beside its old one, hidden until swap() exchanges the two in one step: a
/// reader sees the old folder or the new one. What keep() does not confirm is taken back.
class FolderReplacement {
  public:
    /// Copies the registry's folder with the staged files over it.
    /// \throws InputError, std::filesystem::filesystem_error  nothing is left behind then
    FolderReplacement(StagedHardware const& hardware, fs::path const& staged,
                      fs::path const& registry, bool provisional)
        : target_{registry / hardware.place},
          sibling_{target_.parent_path() / ("." + target_.filename().string() + ".promoted-" +
                                            std::to_string(::getpid()))} {
        try {
            fill(hardware, staged / hardware.place, provisional);
        } catch (...) {
            remove_sibling();
            throw;
        }
    }
    FolderReplacement(FolderReplacement const&) = delete;
    FolderReplacement& operator=(FolderReplacement const&) = delete;
    ~FolderReplacement() {
        if (swapped_ && !kept_) (void)exchange();
        remove_sibling();
    }

    void swap() {
        if (int const problem = exchange(); problem != 0) {
            throw InputError{target_.string(),
                             std::string{"cannot be replaced: "} + std::strerror(problem),
                             "a file system that exchanges folders in one step"};
        }
        swapped_ = true;
    }
    void keep() { kept_ = true; }

  private:
    void fill(StagedHardware const& hardware, fs::path const& source, bool provisional) {
        fs::remove_all(sibling_);
        fs::create_directories(sibling_ / "evidence");
        replaces_ = fs::exists(target_);
        auto const overwrite = fs::copy_options::overwrite_existing;
        if (replaces_) fs::copy(target_, sibling_, fs::copy_options::recursive | overwrite);
        if (auto const staged_file = source / "hardware.json"; fs::exists(staged_file)) {
            auto const staged_hardware =
                hardware_from_json(read_json(staged_file), staged_file.string());
            write_atomically(
                sibling_ / "hardware.json",
                pretty_json(to_json(with_known_peaks(staged_hardware, target_ / "hardware.json"))));
        }
        for (auto const& stored : hardware.calibrations) {
            auto calibration = *stored.calibration;
            for (auto const& evidence : calibration.provenance.evidence) {
                fs::copy_file(source / "evidence" / evidence.file,
                              sibling_ / "evidence" / evidence.file, overwrite);
            }
            calibration.provisional = calibration.provisional || provisional;
            write_atomically(sibling_ / stored.curves.filename(), pretty_json(to_json(calibration)));
        }
    }

    /// Its own inverse where a folder is replaced. \return errno, 0 for success
    int exchange() {
        bool const back = swapped_ && !replaces_;
        auto const& from = back ? target_ : sibling_;
        auto const& to = back ? sibling_ : target_;
        unsigned const how = replaces_ ? RENAME_EXCHANGE : 0;
        if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), how) == 0) return 0;
        return errno;
    }

    void remove_sibling() {
        std::error_code ignored;
        fs::remove_all(sibling_, ignored);
    }

    fs::path target_;
    fs::path sibling_;
    bool replaces_ = false;
    bool swapped_ = false;
    bool kept_ = false;
};

/// Bytes of the files below a folder, each rounded up to whole blocks.
std::uintmax_t bytes_below(fs::path const& folder) {
    constexpr std::uintmax_t block = 4096;
    std::uintmax_t bytes = 0;
    std::error_code error;
    for (fs::recursive_directory_iterator entry{folder, error}, end; entry != end && !error;
         entry.increment(error)) {
        auto const size = entry->is_regular_file(error) ? entry->file_size(error) : 0;
        bytes += (size + block) / block * block;
    }
    return bytes;
}

/// Said before the gate works for minutes: a registry that takes no file, or has no room for the old
/// and the new folders side by side.
void require_room(std::vector<StagedHardware> const& staged, fs::path const& from,
                  fs::path const& registry) {
    std::uintmax_t needed = 0;
    for (auto const& hardware : staged) {
        require_writable(registry / hardware.place / "any_file");
        require_writable(registry / hardware.place.parent_path() / "any_file");
        needed += bytes_below(from / hardware.place) + bytes_below(registry / hardware.place);
    }
    require_writable(registry / "CHANGELOG.md");
    std::error_code error;
    auto const space = fs::space(registry, error);
    if (error || space.available >= needed) return;
    throw InputError{registry.string(),
                     "has room for " + std::to_string(space.available / 1024) + " KiB",
                     "room for " + std::to_string(needed / 1024) + " KiB"};
}

std::string one_line(std::string text) {
    for (char& c : text) {
        if (c == '\n' || c == '\r') c = ' ';
    }
    return text;
}

std::string changelog_line(StagedHardware const& hardware, StoredCalibration const& stored,
                           Validation const& validation, PromoteFlags const& flags) {
    std::string figures;
    if (!validation.outcomes.empty()) {
        figures = fmt::format(", MAPE {:.1f} % of {} models, {:.0f} % covered",
                              mape_percent(validation.outcomes), validation.outcomes.size(),
                              100 * coverage(validation.outcomes));
    }
    auto verdict = std::string{to_string(validation.gate.verdict())};
    if (flags.provisional && verdict != "PASS") verdict += ", provisional";
    return fmt::format("- {} `{}`: {}{}. {}\n", today(),
                       (hardware.place / stored.curves.filename()).generic_string(), verdict,
                       figures, one_line(flags.reason));
}

void append_changelog(fs::path const& registry, std::string const& lines) {
    auto const file = registry / "CHANGELOG.md";
    auto const before =
        fs::exists(file) ? read_text(file) : std::string{"# Changes of this registry\n\n"};
    write_atomically(file, before + lines);
}

ExitCode run_promote(CommonFlags const& common, PromoteFlags const& flags) {
    if (flags.reason.find_first_not_of(" \t\n") == std::string::npos) {
        throw InputError{"--reason", "empty", "why the registry changes, one sentence"};
    }
    auto const registry =
        common.registries.empty() ? shipped_registry() : common.registries.front();
    RegistryLock const lock{registry};
    auto staged = read_staged(flags.staged);
    if (!flags.dry_run) require_room(staged, flags.staged, registry);

    auto verdict = Verdict::pass;
    std::string changelog;
    nlohmann::json results = nlohmann::json::array();
    for (auto& hardware : staged) {
        for (auto& stored : hardware.calibrations) {
            auto const target = registry / hardware.place / stored.curves.filename();
            std::optional<StoredCalibration> replaced;
            if (fs::exists(target)) replaced = read_stored_calibration(target);
            auto const validation = validate_stored(stored, replaced ? &*replaced : nullptr);
            verdict = worse(verdict, validation.gate.verdict());
            if (stored.calibration) record_claims(*stored.calibration, validation);
            changelog += changelog_line(hardware, stored, validation, flags);

            std::vector<std::string> changes;
            if (replaced && replaced->calibration && stored.calibration) {
                changes = differences(*replaced->calibration, *stored.calibration);
            }
            if (common.json) {
                auto result = validation_json(validation);
                result["file"] = target.string();
                result["replaces"] = replaced.has_value();
                result["changes"] = changes;
                set_condition(result, stored.calibration ? &*stored.calibration : nullptr,
                              stored.evidence ? &*stored.evidence : nullptr);
                results.push_back(std::move(result));
            } else {
                std::fputs(validation_text(validation).c_str(), stdout);
                std::printf("\n%s\n", replaced ? ("Changes to " + target.string() + ":").c_str()
                                               : ("New: " + target.string()).c_str());
                for (auto const& line : changes) std::printf("  %s\n", line.c_str());
                if (replaced && changes.empty()) std::puts("  none that matter");
            }
        }
    }
    bool const tolerated = verdict == Verdict::inconclusive && flags.provisional;
    auto const code = tolerated ? exit_pass : exit_code_of(verdict);
    bool const promoted = code == exit_pass && !flags.dry_run;
    if (promoted) {
        bool const provisional = verdict == Verdict::inconclusive;
        std::deque<FolderReplacement> replacements;
        for (auto const& hardware : staged) {
            replacements.emplace_back(hardware, flags.staged, registry, provisional);
        }
        for (auto& replacement : replacements) replacement.swap();
        append_changelog(registry, changelog);  // all of it, or nothing
        for (auto& replacement : replacements) replacement.keep();
    }
    if (common.json) {
        print_json("output_promote_v1.json", {{"verdict", to_string(verdict)},
                                              {"promoted", promoted},
                                              {"registry", registry.string()},
                                              {"calibrations", results}});
    } else if (promoted) {
        std::printf("\nPromoted to %s:\n%s", registry.c_str(), changelog.c_str());
    } else if (code == exit_pass) {
        std::printf("\nDry run; nothing was written. It would be promoted:\n%s", changelog.c_str());
    } else {
        std::printf(
            "\nNot promoted: %s%s\n", std::string{to_string(verdict)}.c_str(),
            verdict == Verdict::inconclusive ? "; --provisional promotes it, graded so" : "");
    }
    return code;
}

}  // namespace

Run add_promote(CLI::App& command) {
    auto flags = std::make_shared<PromoteFlags>();
    command.get_option("--registry")
        ->description("Registry that gets it (default: the shipped one)")
        ->expected(1);
    command.add_option("staged", flags->staged, "Folder that derate calibrate staged")->required();
    command.add_option("--reason", flags->reason, "Why, for the registry's CHANGELOG.md")
        ->required();
    command.add_flag("--dry-run", flags->dry_run, "Run the gate, show the changes, write nothing");
    command.add_flag("--provisional", flags->provisional,
                     "Promote an INCONCLUSIVE calibration, graded provisional");
    return [flags](CommonFlags const& common) { return run_promote(common, *flags); };
}

}  // namespace derate::cli
