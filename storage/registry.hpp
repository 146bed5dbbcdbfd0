#pragma once
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/calibration.hpp"
#include "core/hardware.hpp"
#include "core/input_error.hpp"

namespace derate {

/// The tree that came with the program: the installed
/// `<program>/../share/derate/hardware_registry`, else `hardware_registry/` of the source tree that
/// the program was built from.
///
/// \throws InputError  neither is there
[[nodiscard]] std::filesystem::path shipped_registry();

/// For commands that write: the shipped tree changes by `derate promote` alone, after the gate.
///
/// \throws InputError  `output` lies in the shipped tree
void refuse_shipped_tree(std::filesystem::path const& output);

/// The registries, searched in this order: `given` (`--registry`), those of the environment's
/// DERATE_REGISTRY (separated by ':'), the user's data folder
/// (`$XDG_DATA_HOME/derate/hardware_registry`, by default below `~/.local/share`), the shipped
/// tree. Where DERATE_REGISTRY_ONLY is set and not empty, the last two are left out.
///
/// \throws InputError  a registry of the first two kinds is not a folder
[[nodiscard]] std::vector<std::filesystem::path> registry_roots(
    std::span<std::filesystem::path const> given);

/// What the registries hold of one piece of hardware. A file in an earlier registry stands before
/// the one of the same name in a later registry.
struct HardwareEntry {
    std::string id;  ///< name of its folder, `<root>/<cpu|gpu>/<id>/`
    DeviceKind kind = DeviceKind::cpu;
    std::optional<std::filesystem::path> hardware_file;  ///< hardware.json
    std::vector<std::filesystem::path> curve_files;      ///< *curves*.json, by name
    std::vector<std::filesystem::path> default_files;    ///< assumptions for this kind of device
};

/// Every piece of hardware, by id.
[[nodiscard]] std::vector<HardwareEntry> list_hardware(
    std::span<std::filesystem::path const> roots);

/// \throws InputError  no registry knows `id`, with the nearest id that one does know
[[nodiscard]] HardwareEntry find_hardware(std::string_view id,
                                          std::span<std::filesystem::path const> roots);

/// What is wrong with the files that were passed over: one broken file must not make its neighbours
/// unreachable. Readers without such a list throw instead.
using PassedOver = std::vector<InputError>;

/// Content of its hardware.json.
/// \return empty where there is none
/// \throws InputError  without `passed_over`: not readable, or another hardware_id than the folder's
///                     name
[[nodiscard]] std::optional<Hardware> read_hardware(HardwareEntry const& entry,
                                                    PassedOver* passed_over = nullptr);

/// One curve file of the registry, read.
struct RegisteredCalibration {
    std::filesystem::path path;
    Calibration calibration;
};

/// Every curve file of the entry, as list_hardware found them.
/// \throws InputError  without `passed_over`: not readable, or another hardware_id than the folder's
///                     name
[[nodiscard]] std::vector<RegisteredCalibration> read_calibrations(
    HardwareEntry const& entry, PassedOver* passed_over = nullptr);

/// What is asked of the hardware.
struct CalibrationRequest {
    Precision precision = Precision::fp32;
    std::optional<int> threads;       ///< empty: the default, which is the fewest calibrated
    std::optional<CurveSource> only;  ///< empty: whatever there is
};

/// The calibrations that can answer, best first: measured, imported, legacy, conservative default.
/// Measured and imported ones count where precision and threads agree (curves that do not say for how
/// many threads they hold answer no request for a number), legacy rules where they hold a rate for
/// the precision, defaults always.
///
/// \throws InputError  without `passed_over` a file is not readable; nothing is there that
///                     `request.only` allows
[[nodiscard]] std::vector<RegisteredCalibration> calibrations_for(
    HardwareEntry const& entry, CalibrationRequest const& request,
    PassedOver* passed_over = nullptr);

/// The source that `--source` names: "measured", "imported", "legacy", "default".
[[nodiscard]] std::optional<CurveSource> parse_requested_source(std::string_view name);

}  // namespace derate
