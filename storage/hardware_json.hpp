#pragma once
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "core/hardware.hpp"

namespace derate {

/// Content of hardware.json (schema hardware_v1.json).
///
/// \param where  file name, for messages
/// \throws InputError naming the JSON pointer of the first fault
[[nodiscard]] Hardware hardware_from_json(nlohmann::json const& json, std::string_view where);
[[nodiscard]] nlohmann::json to_json(Hardware const& hardware);

/// The hardware with the peaks of other precisions and thread counts that `path` holds, if there is
/// such a file: one run measures its own peaks only.
///
/// \throws InputError  the file is there and no hardware.json
[[nodiscard]] Hardware with_known_peaks(Hardware hardware, std::filesystem::path const& path);

/// Parts that other files share. Thread counts are null in JSON where they are 0 here.
[[nodiscard]] ComputePeak compute_peak_from_json(nlohmann::json const& json,
                                                 std::string_view where);
[[nodiscard]] nlohmann::json to_json(ComputePeak const& peak);

}  // namespace derate
