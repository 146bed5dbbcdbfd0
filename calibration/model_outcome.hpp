#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "calibration/cross_validate.hpp"
#include "core/calibration.hpp"
#include "core/evidence.hpp"
#include "core/operation_type.hpp"

namespace derate {

/// How far one kernel's prediction was off.
struct KernelOutcome {
    int case_index = -1;  ///< into Evidence::cases; -1 where there is none (simulations)
    OperationType type = OperationType::meta;
    double measured_ms = 0;
    double predicted_ms = 0;
    double log_variance = 0;  ///< served, of log(measured / predicted); > 0
    bool extrapolated = false;
    bool unseen_regime = false;
    bool fitted_on = false;  ///< what prices it was fitted on its own time

    [[nodiscard]] double log_error() const;  ///< log(measured / predicted)
};

/// Narrow enough to tell something (most_spread); the limits of an interval that is not are no
/// figures to print.
[[nodiscard]] bool is_known(Interval const& interval);

/// How far one model's prediction was off: what the gate's statistical rules look at.
struct ModelOutcome {
    std::string model;
    std::string family;
    std::optional<int> batch = 1;
    double measured_ms = 0;
    double predicted_ms = 0;
    Interval interval;               ///< served 95 % prediction interval, ms
    double log_variance = 0;         ///< served, of log(measured / predicted); > 0
    bool independent_truth = false;  ///< timed as a whole; false: `measured_ms` is a sum of parts
    std::vector<KernelOutcome> kernels;

    [[nodiscard]] double log_error() const;      ///< log(measured / predicted)
    [[nodiscard]] double error_percent() const;  ///< 100 (predicted / measured - 1)
    [[nodiscard]] bool inside_interval() const { return interval.contains(measured_ms); }
    [[nodiscard]] double standardised() const;  ///< log error / sqrt(log variance)
    /// Of its kernels, the mean of z^2 weighted by share of time; empty without kernels.
    [[nodiscard]] std::optional<double> kernel_square() const;
    /// 100 (sqrt(upper / lower) - 1): half of a log-normal interval's width.
    [[nodiscard]] double half_width_percent() const;
};

[[nodiscard]] std::vector<ModelOutcome> outcomes_of(CrossValidation const& predicted,
                                                    Evidence const& evidence);

/// A model of which nothing needs to have been timed.
struct UntimedModel {
    std::string name;
    std::string family;
    std::optional<int> batch = 1;
    std::string partition;
    std::vector<Subgraph> subgraphs;  ///< one or more
    std::vector<int> cases;           ///< KernelOutcome::case_index of each of them
};

/// Each model with all its kernels as the calibration prices them; what is predicted stands where
/// what was measured would.
[[nodiscard]] std::vector<ModelOutcome> outcomes_as_predicted(Calibration const& calibration,
                                                              std::span<UntimedModel const> models);

/// mean over outcomes of |error_percent|
[[nodiscard]] double mape_percent(std::span<ModelOutcome const> outcomes);

/// 100 (exp(mean log(predicted / measured)) - 1)
[[nodiscard]] double bias_percent(std::span<ModelOutcome const> outcomes);

/// Median over all kernels of |predicted / measured - 1|, in percent; empty without kernels.
[[nodiscard]] std::optional<double> kernel_median_error_percent(
    std::span<ModelOutcome const> outcomes);

/// Share of outcomes inside their interval.
[[nodiscard]] double coverage(std::span<ModelOutcome const> outcomes);

[[nodiscard]] double median_half_width_percent(std::span<ModelOutcome const> outcomes);

/// The least difference that a repeated measurement of the same model shows anyway.
struct NoiseFloor {
    enum class Basis {
        repeated_campaigns,  ///< the same model timed on two visits or more
        launches,            ///< halves of the process launches of one visit
        stated,              ///< by whoever timed it; the evidence cannot show it
    };
    double percent = 0;  ///< mean absolute relative difference
    Basis basis = Basis::launches;
    int models = 0;        ///< it rests on; 0 where it is stated
    std::string source{};  ///< who states it; empty where it comes from the evidence
    /// 95 %, of `percent`; empty where there is too little to tell.
    std::optional<Interval> interval_percent{};
    /// Launches carry no number (older files): equal ones may be lost, and which launches of two
    /// models were one process is not known.
    bool approximate = false;
};

[[nodiscard]] std::string_view to_string(NoiseFloor::Basis basis);  ///< in words

/// The basis in words, with the source of a stated one and the interval where it is known.
[[nodiscard]] std::string basis_of(NoiseFloor const& floor);

/// Mean over models of |difference| between two measurements of the same total, in percent.
///
/// Over pairs of campaigns where models were timed twice. Else from launches: the served time of
/// one half of a model's launches against that of the other, over all ways to take two halves of
/// equal size (of an odd number one launch stays out in turn: served times of unequal numbers of
/// launches differ without any noise). Of more than ten launches 500 halvings are drawn from a
/// recorded seed. Half as many launches as are served are compared, so it is a little too large; in
/// one visit of the machine, so it is too small for the next one. Else what the campaigns state, the
/// largest.
///
/// The interval is exp(+- t s) about the floor, s^2 the sum of the jackknife variances of its
/// logarithm over families and over launches (over campaigns), t on the lesser number less one: an
/// upper bound, as each holds the noise of single models.
///
/// \return empty when no model was timed twice in either sense and no campaign states it
[[nodiscard]] std::optional<NoiseFloor> noise_floor(Evidence const& evidence);

}  // namespace derate
