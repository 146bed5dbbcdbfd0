#pragma once
#include <filesystem>
#include <optional>
#include <vector>

#include "calibration/cross_validate.hpp"
#include "calibration/model_outcome.hpp"
#include "core/calibration.hpp"
#include "core/evidence.hpp"
#include "gate/gate.hpp"

namespace derate {

/// How well models were predicted that a fit did not see.
struct LeftOutOutcomes {
    LeaveOut what = LeaveOut::model;
    std::vector<ModelOutcome> outcomes{};  ///< empty: too few models or families
};

/// What a stored calibration was found to be worth on its own evidence.
struct OwnAccuracy {
    std::vector<LeftOutOutcomes>
        left_out{};  ///< models, families, batch sizes; empty with fewer than 3
    std::optional<NoiseFloor> floor{};
    GateReport gate{};
    std::vector<ValidationClaim> claims{};  ///< one for each part that has outcomes
};

/// Judges a calibration as stored on its own evidence, leaving models, families and batch sizes
/// out in turn, and stores what that gives as its claims. Curves stay as they are.
///
/// \throws InputError  not a calibration with its evidence
OwnAccuracy store_claims(std::filesystem::path const& curves);

}  // namespace derate
