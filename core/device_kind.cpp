#include "core/device_kind.hpp"

#include "core/name_table.hpp"

namespace derate {
namespace {

constexpr NameTable<DeviceKind, 2> names{{{DeviceKind::cpu, "cpu"}, {DeviceKind::gpu, "gpu"}}};
constexpr NameTable<DeviceKind, 2> torch_names{
    {{DeviceKind::cpu, "cpu"}, {DeviceKind::gpu, "cuda"}}};

}  // namespace

std::string_view to_string(DeviceKind kind) { return name_of(kind, names); }

std::optional<DeviceKind> parse_device_kind(std::string_view name) {
    return value_named(name, names);
}

std::string_view torch_name(DeviceKind kind) { return name_of(kind, torch_names); }

std::optional<DeviceKind> parse_torch_name(std::string_view name) {
    return value_named(name, torch_names);
}

}  // namespace derate
