#pragma once
#include <string>
#include <vector>

#include "core/calibration.hpp"

namespace derate {

/// What a new calibration changes against the one it replaces, in lines for a person: source,
/// models, environment, tool, claims, curves that come, go or move, context factor. Empty when
/// nothing that matters differs.
[[nodiscard]] std::vector<std::string> differences(Calibration const& before,
                                                   Calibration const& after);

}  // namespace derate
