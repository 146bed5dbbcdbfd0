#include "storage/registry.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "core/input_error.hpp"
#include "storage/calibration_files.hpp"
#include "storage/curve_file_head.hpp"
#include "storage/file.hpp"
#include "storage/hardware_json.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;

std::string environment_value(char const* name) {
    char const* const value = std::getenv(name);
    return value == nullptr ? std::string{} : std::string{value};
}

bool is_folder(fs::path const& path) {
    std::error_code error;
    return fs::is_directory(path, error);
}

fs::path required_folder(fs::path const& path, char const* where) {
    if (!is_folder(path)) {
        throw InputError{where, std::string{path}.append(" is not a folder"),
                         "a folder that holds cpu/ and gpu/"};
    }
    return path;
}

std::vector<fs::path> sorted_children(fs::path const& folder) {
    std::vector<fs::path> children;
    std::error_code error;
    for (fs::directory_iterator entry{folder, error}, end; entry != end && !error;
         entry.increment(error)) {
        children.push_back(entry->path());
    }
    std::ranges::sort(children);
    return children;
}

bool is_curve_file(fs::path const& path) {
    auto const name = path.filename().string();
    return name.ends_with(".json") && name.find("curves") != std::string::npos;
}

/// Adds the files of one registry's folder that no earlier registry has under the same name.
void merge_folder(HardwareEntry& entry, fs::path const& folder) {
    std::error_code error;
    if (!entry.hardware_file && fs::exists(folder / "hardware.json", error)) {
        entry.hardware_file = folder / "hardware.json";
    }
    for (auto const& file : sorted_children(folder)) {
        if (!is_curve_file(file)) continue;
        bool const known = std::ranges::any_of(entry.curve_files, [&](fs::path const& other) {
            return other.filename() == file.filename();
        });
        if (!known) entry.curve_files.push_back(file);
    }
}

void require_identity(std::string const& id, HardwareEntry const& entry, fs::path const& file) {
    if (id == entry.id) return;
    throw InputError{file.string().append("#/hardware_id"),
                     std::string{"got \""}.append(id).append("\""),
                     std::string{"the folder's name \""}.append(entry.id).append("\"")};
}

/// What `read` returns; empty, with its message kept, where the file is broken and there is a list.
template <class Read>
auto read_or_pass_over(PassedOver* passed_over, Read&& read) -> std::optional<decltype(read())> {
    try {
        return read();
    } catch (InputError const& error) {
        if (passed_over == nullptr) throw;
        auto const is_same = [&](InputError const& known) {
            return std::string_view{known.what()} == error.what();
        };
        if (std::ranges::none_of(*passed_over, is_same)) passed_over->push_back(error);
        return std::nullopt;
    }
}

int rank(CurveSource source) {
    switch (source) {
        case CurveSource::measured:
            return 0;
        case CurveSource::imported:
            return 1;
        case CurveSource::legacy_hardcoded:
            return 2;
        case CurveSource::conservative_default:
            return 3;
    }
    return 3;
}

bool answers(Calibration const& calibration, CalibrationRequest const& request) {
    if (request.only && calibration.source != *request.only) return false;
    if (calibration.default_rules) return true;
    if (calibration.legacy_rules) {
        return std::ranges::any_of(calibration.legacy_rules->rates, [&](LegacyRate const& rate) {
            return rate.precision == request.precision;
        });
    }
    bool const threads_agree =
        !request.threads || calibration.condition.execution.threads == *request.threads;
    return calibration.condition.precision == request.precision && threads_agree;
}

std::optional<RegisteredCalibration> read_registered(fs::path const& file,
                                                     HardwareEntry const& entry,
                                                     PassedOver* passed_over) {
    return read_or_pass_over(passed_over, [&] {
        auto calibration = read_calibration(file);
        require_identity(calibration.hardware_id, entry, file);
        return RegisteredCalibration{.path = file, .calibration = std::move(calibration)};
    });
}

/// A file of measured or imported curves whose head says that it cannot answer.
bool is_of_another(CurveFileHead const& head, CalibrationRequest const& request) {
    bool const has_curves =
        head.source == CurveSource::measured || head.source == CurveSource::imported;
    return has_curves && (head.precision != request.precision ||
                          (request.threads && head.threads != request.threads));
}

/// The entry's calibrations but for those that cannot be chosen, going by their heads: of another
/// precision or thread count, or measured at more threads than another that answers too. Where one
/// of the others is broken, all of them.
std::vector<RegisteredCalibration> read_those_that_may_answer(HardwareEntry const& entry,
                                                              CalibrationRequest const& request,
                                                              PassedOver* passed_over) {
    struct File {
        fs::path path;
        std::optional<CurveFileHead> head;
    };
    std::vector<File> files;
    bool is_whole = true;
    for (auto const& path : entry.curve_files) {
        // Of many files one text at a time is held.
        auto const head =
            read_or_pass_over(passed_over, [&] { return skim_curve_file(read_text(path)); });
        is_whole = is_whole && head.has_value();
        if (head) files.push_back({.path = path, .head = *head});
    }
    auto const answers_measured = [&](File const& file) {
        return file.head && file.head->source == CurveSource::measured &&
               !is_of_another(*file.head, request);
    };
    std::optional<std::optional<int>> least_threads;
    for (auto const& file : files) {
        if (!answers_measured(file)) continue;
        least_threads = std::min(least_threads.value_or(file.head->threads), file.head->threads);
    }
    auto const is_needless = [&](File const& file) {
        return file.head && (is_of_another(*file.head, request) ||
                             (answers_measured(file) && file.head->threads > *least_threads));
    };
    std::vector<RegisteredCalibration> all;
    for (bool const needless : {false, true}) {
        if (needless && is_whole) break;
        for (auto const& file : files) {
            if (is_needless(file) != needless) continue;
            auto registered = read_registered(file.path, entry, passed_over);
            is_whole = is_whole && registered.has_value();
            if (registered) all.push_back(std::move(*registered));
        }
    }
    return all;
}

}  // namespace

fs::path shipped_registry() {
    std::error_code error;
    auto const program = fs::read_symlink("/proc/self/exe", error);
    if (!error) {
        auto const installed = program.parent_path() / "../share/derate/hardware_registry";
        if (is_folder(installed)) return fs::weakly_canonical(installed);
    }
    return required_folder(DERATE_SOURCE_REGISTRY, "shipped registry");
}

void refuse_shipped_tree(fs::path const& output) {
    auto const tree = fs::weakly_canonical(shipped_registry());
    auto const place = fs::weakly_canonical(fs::absolute(output));
    auto const differ = std::mismatch(tree.begin(), tree.end(), place.begin(), place.end());
    if (differ.first != tree.end()) return;
    throw InputError{output.string(), "lies in the shipped registry",
                     "a folder of yours; `derate promote` copies what is there into the registry "
                     "once the gate has passed"};
}

std::vector<fs::path> registry_roots(std::span<fs::path const> given) {
    std::vector<fs::path> roots;
    for (auto const& root : given) roots.push_back(required_folder(root, "--registry"));
    auto const named = environment_value("DERATE_REGISTRY");
    for (std::size_t start = 0; start < named.size();) {
        auto const end = std::min(named.find(':', start), named.size());
        if (end > start) {
            roots.push_back(required_folder(named.substr(start, end - start), "DERATE_REGISTRY"));
        }
        start = end + 1;
    }
    if (!environment_value("DERATE_REGISTRY_ONLY").empty()) return roots;

    fs::path data = environment_value("XDG_DATA_HOME");
    if (data.empty()) {
        if (auto const home = environment_value("HOME"); !home.empty()) {
            data = fs::path{home} / ".local/share";
        }
    }
    if (!data.empty() && is_folder(data / "derate/hardware_registry")) {
        roots.push_back(data / "derate/hardware_registry");
    }
    roots.push_back(shipped_registry());
    return roots;
}

std::vector<HardwareEntry> list_hardware(std::span<fs::path const> roots) {
    std::map<std::string, HardwareEntry> entries;
    for (auto const& root : roots) {
        for (auto const kind : all_device_kinds) {
            for (auto const& folder : sorted_children(root / to_string(kind))) {
                if (!is_folder(folder)) continue;
                auto const id = folder.filename().string();
                auto const [entry, is_new] = entries.try_emplace(id);
                if (is_new) {
                    entry->second.id = id;
                    entry->second.kind = kind;
                }
                if (entry->second.kind == kind) merge_folder(entry->second, folder);
            }
        }
    }
    std::vector<HardwareEntry> all;
    for (auto& [id, entry] : entries) {
        for (auto const& root : roots) {
            auto const file = root / "defaults" / to_string(entry.kind) / "efficiency_curves.json";
            std::error_code error;
            if (fs::exists(file, error)) entry.default_files.push_back(file);
        }
        all.push_back(std::move(entry));
    }
    return all;
}

namespace {

/// The nearest name, and those that go on where `given` ends or hold all of it.
std::vector<std::string> alike_names(std::string_view given,
                                     std::vector<std::string> const& known) {
    auto const folded = [](std::string_view text) {
        std::string lower;
        for (char const letter : text) {
            lower += letter == '_'
                         ? '-'
                         : static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
        }
        return lower;
    };
    std::vector<std::string> alike;
    if (auto nearest = nearest_name(given, known); !nearest.empty()) {
        alike.push_back(std::move(nearest));
    }
    constexpr std::size_t shortest = 3;  // letters that say which hardware is meant
    if (given.size() < shortest) return alike;
    for (auto const& name : known) {
        bool const holds = folded(name).find(folded(given)) != std::string::npos;
        if (holds && std::ranges::find(alike, name) == alike.end()) alike.push_back(name);
    }
    return alike;
}

}  // namespace

HardwareEntry find_hardware(std::string_view id, std::span<fs::path const> roots) {
    std::vector<std::string> known;
    for (auto& entry : list_hardware(roots)) {
        if (entry.id == id) return std::move(entry);
        known.push_back(entry.id);
    }
    auto problem = std::string{"no registry knows \""}.append(id).append("\"");
    auto const alike = alike_names(id, known);
    if (alike.empty()) {
        throw InputError{"--hardware", problem, "an id that `derate list hardware` prints"};
    }
    std::string meant;
    for (auto const& name : alike) meant += (meant.empty() ? "\"" : " or \"") + name + "\"";
    throw InputError{"--hardware", problem, std::string{"did you mean "}.append(meant).append("?")};
}

std::optional<Hardware> read_hardware(HardwareEntry const& entry, PassedOver* passed_over) {
    if (!entry.hardware_file) return std::nullopt;
    return read_or_pass_over(passed_over, [&] {
        auto hardware =
            hardware_from_json(read_json(*entry.hardware_file), entry.hardware_file->string());
        require_identity(hardware.id, entry, *entry.hardware_file);
        return hardware;
    });
}

std::vector<RegisteredCalibration> read_calibrations(HardwareEntry const& entry,
                                                     PassedOver* passed_over) {
    std::vector<RegisteredCalibration> all;
    for (auto const& file : entry.curve_files) {
        auto registered = read_registered(file, entry, passed_over);
        if (registered) all.push_back(std::move(*registered));
    }
    return all;
}

std::vector<RegisteredCalibration> calibrations_for(HardwareEntry const& entry,
                                                    CalibrationRequest const& request,
                                                    PassedOver* passed_over) {
    auto all = read_those_that_may_answer(entry, request, passed_over);
    // The first registry that has assumptions decides, as for every other file.
    for (auto const& file : entry.default_files) {
        auto calibration = read_or_pass_over(passed_over, [&] { return read_calibration(file); });
        if (!calibration) continue;
        all.push_back({.path = file, .calibration = std::move(*calibration)});
        break;
    }
    std::erase_if(all, [&](RegisteredCalibration const& registered) {
        return !answers(registered.calibration, request);
    });
    std::ranges::stable_sort(all, {}, [](RegisteredCalibration const& registered) {
        return std::pair{rank(registered.calibration.source),
                         registered.calibration.condition.execution.threads};
    });
    // Thread counts are keys, not steps of the chain: another one's curves would price other
    // kernels.
    auto const is_measured = [](RegisteredCalibration const& registered) {
        return !holds_rules(registered.calibration);
    };
    if (auto const first = std::ranges::find_if(all, is_measured); first != all.end()) {
        auto const threads = first->calibration.condition.execution.threads;
        std::erase_if(all, [&](RegisteredCalibration const& registered) {
            return is_measured(registered) &&
                   registered.calibration.condition.execution.threads > threads;
        });
    }
    if (all.empty()) {
        if (passed_over != nullptr && !passed_over->empty()) throw passed_over->front();
        auto where = std::string{"--hardware "}.append(entry.id);
        if (request.only) {
            throw InputError{where,
                             std::string{"has no "}
                                 .append(to_string(request.precision))
                                 .append(" calibration of source ")
                                 .append(to_string(*request.only)),
                             "a source that `derate list hardware` shows for it"};
        }
        throw InputError{where, "has no calibration, and no registry has defaults",
                         "a registry with defaults/, as the shipped one"};
    }
    return all;
}

std::optional<CurveSource> parse_requested_source(std::string_view name) {
    if (name == "legacy") return CurveSource::legacy_hardcoded;
    return parse_curve_source(name);
}

}  // namespace derate
