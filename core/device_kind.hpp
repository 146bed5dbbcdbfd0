#pragma once
#include <optional>
#include <string_view>

namespace derate {

enum class DeviceKind { cpu, gpu };

[[nodiscard]] std::string_view to_string(DeviceKind kind);  ///< "cpu", "gpu"
[[nodiscard]] std::optional<DeviceKind> parse_device_kind(std::string_view name);

/// As LibTorch and the flag --device call it: "cpu", "cuda".
[[nodiscard]] std::string_view torch_name(DeviceKind kind);
[[nodiscard]] std::optional<DeviceKind> parse_torch_name(std::string_view name);

}  // namespace derate
