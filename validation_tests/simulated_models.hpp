#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "calibration/model_outcome.hpp"
#include "core/operation_type.hpp"
#include "gate/gate.hpp"

namespace derate {

/// A calibration of known quality, as its left-out models would look, to judge the gate by.
///
/// Every kernel's log error has its type's standard deviation (0.2 to 0.45), a correlation of 0.4
/// with the same type and 0.15 with other types of its model, tails of Student's t with 6 degrees
/// of freedom (excess kurtosis 3), and shares half of what models have in common with its family.
/// The defects are planted on top.
struct SimulatedCalibration {
    int models = 33;
    std::uint64_t seed = 1;
    double bias_percent = 0;                   ///< all predictions too long by
    std::optional<OperationType> biased_type;  ///< then only this type's predictions
    double variance_understatement = 1;        ///< true over served variance
    double error_scale = 1;  ///< of all type deviations, served variances with them
};

[[nodiscard]] std::vector<ModelOutcome> simulate_outcomes(SimulatedCalibration const& what);

/// A calibration and the one it replaces, on the kernels of the same models.
///
/// Between the two campaigns each kernel moved by 5 %, each model by 2 % and all together by 3 %
/// (standard deviations); both fits follow what they measured within 2 %.
struct SimulatedReplacement {
    int models = 20;
    std::uint64_t seed = 1;
    double type_bias_percent = 0;  ///< new predictions of `biased_type` moved without measurement
    OperationType biased_type = OperationType::conv2d;
    double slowed_percent = 0;  ///< new times, measured and predicted, of every other model
    double common_percent = 0;  ///< new times, measured and predicted, of all models
};

[[nodiscard]] std::vector<PairedKernel> simulate_replacement(SimulatedReplacement const& what);

}  // namespace derate
