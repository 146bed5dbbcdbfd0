#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "calibration/fit_calibration.hpp"
#include "core/evidence.hpp"
#include "estimator/latency_estimate.hpp"

namespace derate {

/// What is kept from the fit that predicts a model: the model at all its batch sizes, all models of
/// its family, or all models at its batch size.
enum class LeaveOut { model, family, batch };

[[nodiscard]] std::string_view to_string(LeaveOut what);

struct CrossValidatedKernel {
    int case_index = 0;  ///< into Evidence::cases
    double measured_ms = 0;
    double predicted_ms = 0;  ///< mean, isolated (without the context factor)
    double log_variance = 0;  ///< of log(measured / predicted)
    bool seen = false;        ///< the same descriptor was among the cases fitted on
    bool extrapolated = false;
    bool unseen_regime = false;
};

/// A model as predicted by a calibration that never saw it (or its family).
struct CrossValidatedModel {
    int model_index = 0;  ///< into Evidence::models
    std::string model;
    std::string family;
    std::optional<int> batch = 1;
    int campaign = 0;
    double measured_ms = 0;
    bool independent_truth = false;  ///< timed as a whole; false: `measured_ms` is the sum of parts
    LatencyEstimate predicted;
    /// One a subgraph, in the model's order; empty where a subgraph has no time of its own.
    std::vector<CrossValidatedKernel> kernels;

    [[nodiscard]] double log_error() const;  ///< log(measured / predicted)
    [[nodiscard]] bool inside_interval() const;
};

struct CrossValidation {
    LeaveOut left_out = LeaveOut::model;
    std::vector<CrossValidatedModel> models;  ///< in the order of Evidence::models
};

/// Refits without each calibration model (or family of them, or batch size) in turn and predicts
/// it. Where batch sizes are left out, what is predicted of a model is the sum of its kernels that
/// were timed, and held-out models are no part of the result. Otherwise held-out models are
/// predicted by the fit of all calibration models, which is the served one. Where the independent
/// whole-model sum of parts and the context factor is not applied; a model whose parts are not all
/// timed either is left out of the result.
///
/// \throws InputError  as fit_calibration, or fewer than two models (families, batch sizes)
[[nodiscard]] CrossValidation cross_validate(Evidence const& evidence, LeaveOut what,
                                             FitOptions const& options = {});

/// Predicts every model of `evidence` with a calibration made elsewhere (held-out models, or fresh
/// measurements).
[[nodiscard]] CrossValidation predict_models(Evidence const& evidence,
                                             Calibration const& calibration);

}  // namespace derate
