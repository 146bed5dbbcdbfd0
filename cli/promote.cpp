#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "calibration/calibration_difference.hpp"
#include "calibration/validation.hpp"
#include "cli/commands.hpp"
#include "core/input_error.hpp"
#include "core/json/calibration_json.hpp"
#include "core/json/file.hpp"
#include "core/json/hardware_json.hpp"
#include "core/json/registry.hpp"
#include "core/json/stored_calibration.hpp"
#include "reports/validation_report.hpp"

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
        if ((kind != "cpu" && kind != "gpu") || std::distance(place.begin(), place.end()) != 2) {
            throw InputError{curves.string(), "not in <cpu|gpu>/<hardware id>/",
                             "a folder staged by derate calibrate"};
        }
        if (all.empty() || all.back().place != place) all.push_back({.place = place});
        all.back().calibrations.push_back(read_stored_calibration(curves));
    }
    return all;
}

/// Copies a hardware's folder of the registry with the staged files over it to a sibling, then
/// swaps the two in one step: a reader sees the old folder or the new one.
void replace_folder(StagedHardware const& hardware, fs::path const& staged,
                    fs::path const& registry, bool provisional) {
    auto const target = registry / hardware.place;
    auto const sibling = target.parent_path() / ("." + target.filename().string() + ".promoted-" +
                                                 std::to_string(::getpid()));
    fs::remove_all(sibling);
    fs::create_directories(sibling / "evidence");
    if (fs::exists(target)) {
        fs::copy(target, sibling,
                 fs::copy_options::recursive | fs::copy_options::overwrite_existing);
    }
    auto const source = staged / hardware.place;
    auto const overwrite = fs::copy_options::overwrite_existing;
    if (auto const staged_file = source / "hardware.json"; fs::exists(staged_file)) {
        auto const staged_hardware =
            hardware_from_json(read_json(staged_file), staged_file.string());
        write_atomically(
            sibling / "hardware.json",
            pretty_json(to_json(with_known_peaks(staged_hardware, target / "hardware.json"))));
    }
    for (auto const& stored : hardware.calibrations) {
        auto calibration = *stored.calibration;
        for (auto const& evidence : calibration.provenance.evidence) {
            fs::copy_file(source / "evidence" / evidence.file, sibling / "evidence" / evidence.file,
                          overwrite);
        }
        calibration.provisional = calibration.provisional || provisional;
        write_atomically(sibling / stored.curves.filename(), pretty_json(to_json(calibration)));
    }
    if (!fs::exists(target)) {
        fs::rename(sibling, target);
        return;
    }
    if (::renameat2(AT_FDCWD, sibling.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) != 0) {
        auto const problem = std::string{std::strerror(errno)};
        fs::remove_all(sibling);
        throw InputError{target.string(), "cannot be replaced: " + problem,
                         "a file system that exchanges folders in one step"};
    }
    fs::remove_all(sibling);
}

std::string today() {
    std::time_t const now = std::time(nullptr);
    std::tm calendar{};
    ::gmtime_r(&now, &calendar);
    char date[16];
    std::strftime(date, sizeof date, "%Y-%m-%d", &calendar);
    return date;
}

std::string one_line(std::string text) {
    for (char& c : text) {
        if (c == '\n' || c == '\r') c = ' ';
    }
    return text;
}

std::string changelog_line(StagedHardware const& hardware, StoredCalibration const& stored,
                           Validation const& validation, PromoteFlags const& flags) {
    char figures[128] = "";
    if (!validation.outcomes.empty()) {
        std::snprintf(figures, sizeof figures, ", MAPE %.1f %% of %zu models, %.0f %% covered",
                      mape_percent(validation.outcomes), validation.outcomes.size(),
                      100 * coverage(validation.outcomes));
    }
    auto verdict = std::string{to_string(validation.gate.verdict())};
    if (flags.provisional && verdict != "PASS") verdict += ", provisional";
    return "- " + today() + " `" + (hardware.place / stored.curves.filename()).generic_string() +
           "`: " + verdict + figures + ". " + one_line(flags.reason) + "\n";
}

void append_changelog(fs::path const& registry, std::string const& lines) {
    auto const file = registry / "CHANGELOG.md";
    auto const before =
        fs::exists(file) ? read_text(file) : std::string{"# Changes of this registry\n\n"};
    write_atomically(file, before + lines);
}

ExitCode exit_code_of(Verdict verdict, bool provisional) {
    if (verdict == Verdict::fail) return exit_gate_failed;
    if (verdict == Verdict::inconclusive && !provisional) return exit_inconclusive;
    return exit_pass;
}

ExitCode run_promote(CommonFlags const& common, PromoteFlags const& flags) {
    if (flags.reason.find_first_not_of(" \t\n") == std::string::npos) {
        throw InputError{"--reason", "empty", "why the registry changes, one sentence"};
    }
    auto const registry =
        common.registries.empty() ? shipped_registry() : common.registries.front();
    RegistryLock const lock{registry};
    auto staged = read_staged(flags.staged);

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
    auto const code = exit_code_of(verdict, flags.provisional);
    bool const promoted = code == exit_pass && !flags.dry_run;
    if (promoted) {
        bool const provisional = verdict == Verdict::inconclusive;
        for (auto const& hardware : staged) {
            replace_folder(hardware, flags.staged, registry, provisional);
        }
        append_changelog(registry, changelog);
    }
    if (common.json) {
        std::puts(pretty_json({{"verdict", to_string(verdict)},
                               {"promoted", promoted},
                               {"registry", registry.string()},
                               {"calibrations", results}})
                      .c_str());
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
    command.add_option("staged", flags->staged, "Folder that derate calibrate staged")->required();
    command.add_option("--reason", flags->reason, "Why, for the registry's CHANGELOG.md")
        ->required();
    command.add_flag("--dry-run", flags->dry_run, "Run the gate, show the changes, write nothing");
    command.add_flag("--provisional", flags->provisional,
                     "Promote an INCONCLUSIVE calibration, graded provisional");
    return [flags](CommonFlags const& common) { return run_promote(common, *flags); };
}

}  // namespace derate::cli
