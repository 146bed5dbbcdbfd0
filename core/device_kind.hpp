#pragma once
#include <array>
#include <optional>
#include <string_view>

namespace derate {

enum class DeviceKind { cpu, gpu };

inline constexpr std::array all_device_kinds{DeviceKind::cpu, DeviceKind::gpu};

/// Operators run on the processor that derate-bench itself runs on: threads, affinity and the state
/// of malloc are part of how, and the machine can say what it is.
[[nodiscard]] constexpr bool is_host(DeviceKind kind) { return kind == DeviceKind::cpu; }

[[nodiscard]] std::string_view to_string(DeviceKind kind);  ///< "cpu", "gpu"
[[nodiscard]] std::optional<DeviceKind> parse_device_kind(std::string_view name);

/// As LibTorch and the flag --device call it: "cpu", "cuda".
[[nodiscard]] std::string_view torch_name(DeviceKind kind);
[[nodiscard]] std::optional<DeviceKind> parse_torch_name(std::string_view name);

}  // namespace derate
