#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "calibration/model_outcome.hpp"
#include "gate/gate.hpp"
#include "statistics/normality.hpp"
#include "storage/stored_calibration.hpp"

namespace derate {

/// How well one operation type's kernels were predicted.
struct TypeValidation {
    OperationType type = OperationType::meta;
    int kernels = 0;
    int models = 0;
    double time_share = 0;            ///< of the predicted time of all models
    double median_error_percent = 0;  ///< of |predicted / measured - 1|
    double bias_percent = 0;    ///< 100 (exp(mean log(predicted/measured)) - 1), time-weighted
    double coverage_95 = 0;     ///< share inside +-1.96 served standard deviations
    double variance_ratio = 0;  ///< mean squared log error over served variance
    std::optional<double> bias_p_value;  ///< models as units, Holm-adjusted over the types
};

/// How well kernels of one half-decade of work were predicted, of any type.
struct SizeValidation {
    std::string size;  ///< "10M to 30M FLOP"; "1M to 3M bytes" for kernels without FLOPs
    int kernels = 0;
    double median_error_percent = 0;  ///< of |predicted / measured - 1|
    double coverage_95 = 0;           ///< share inside +-1.96 served standard deviations
};

/// One type's part of one model's error: (predicted - measured) of its kernels in percent of the
/// model's measured time. The parts and `context` add up to the model's error.
struct ErrorPart {
    OperationType type = OperationType::meta;
    double percent = 0;
};

struct ErrorDecomposition {
    std::string model;
    std::optional<int> batch = 1;
    std::vector<ErrorPart> parts;  ///< largest magnitude first
    /// What the sum of parts does not explain; empty where parts were not timed.
    std::optional<double> context_percent;
};

/// What would narrow the intervals most, and what it costs.
struct Recommendation {
    OperationType type = OperationType::meta;
    std::string size;                        ///< "10M to 30M FLOP"
    bool unseen_regime = false;              ///< no calibration case shows this kind of kernel
    double variance_share = 0;               ///< of the models' log variance that comes from here
    double half_width_percent = 0;           ///< median now
    double narrowed_half_width_percent = 0;  ///< after measuring it, at best
    std::vector<std::string> shapes;         ///< kernels to measure, largest part first
    std::vector<std::string> models;         ///< of the evidence that hold most of them
    double seconds = 0;                      ///< of timed work, about
};

struct Validation {
    std::string hardware_id;
    std::string judged_by;             ///< "leaving out each model", "measurements.json", ...
    std::optional<LeaveOut> left_out;  ///< what was, where something was
    std::vector<ModelOutcome> outcomes;
    GateReport gate;
    std::vector<TypeValidation> types;  ///< by share of time
    std::vector<SizeValidation> sizes;  ///< FLOPs then bytes, by size
    std::vector<ErrorDecomposition> decompositions;
    /// Of models that the calibration does not hold: unseen regimes first, then by variance share.
    std::vector<Recommendation> recommendations;
    std::optional<NoiseFloor> floor;
    std::optional<ShapiroWilk> normality;  ///< of the models' standardised errors; information only
};

[[nodiscard]] std::vector<TypeValidation> validate_types(std::span<ModelOutcome const> outcomes);

/// \param evidence  the outcomes' case indices point into it
[[nodiscard]] std::vector<SizeValidation> validate_sizes(std::span<ModelOutcome const> outcomes,
                                                         Evidence const& evidence);

[[nodiscard]] std::vector<ErrorDecomposition> decompose_errors(
    std::span<ModelOutcome const> outcomes);

/// Groups kernels by type and half-decade of work, and ranks the groups by what they add to the log
/// variance of whole models: (sum of share_i sd_i over the group)^2 against the sum of these
/// squares. A measured group adds next to nothing, so the half-width falls to sqrt(1 - share) of
/// itself.
///
/// \param evidence  the outcomes' case indices point into it
/// \param most      at most so many
[[nodiscard]] std::vector<Recommendation> recommend(std::span<ModelOutcome const> outcomes,
                                                    Evidence const& evidence, int most = 5);

/// Judges by leaving models (or families) of the calibration's own evidence out, or without
/// evidence by what can be judged then.
[[nodiscard]] Validation validate(GateSubject const& subject,
                                  std::optional<GateComputation> const& computation,
                                  std::span<PairedKernel const> replaced = {},
                                  GateLimits const& limits = {});

/// The whole gate on a calibration as stored, against the stored one it replaces.
///
/// \param replaced  nullptr when it replaces none; without evidence (legacy values) it is not
/// compared
[[nodiscard]] Validation validate_stored(StoredCalibration const& stored,
                                         StoredCalibration const* replaced = nullptr,
                                         LeaveOut what = LeaveOut::model,
                                         GateLimits const& limits = {});

/// Writes into the calibration what its gate found: the verdict into every claim, and a claim of
/// its own where the file makes none for this way of leaving out. Nothing where no model was left
/// out.
void record_claims(Calibration& calibration, Validation const& validation);

/// What one campaign of the evidence alone would give: refits its models but each (or each family)
/// and predicts what was left out. Only the statistical rules apply; the noise floor is that of all
/// campaigns together.
///
/// \throws InputError  no such campaign, or fewer than two models (families) in it
[[nodiscard]] Validation validate_campaign(Evidence const& evidence, std::string_view campaign,
                                           LeaveOut what, FitOptions const& options = {},
                                           GateLimits const& limits = {});

/// Judges a calibration by measurements it was not made from: prices each model as stored. Only the
/// statistical rules, independent truth, measurement quality and noise floor apply.
///
/// \throws InputError  the measurements cannot be priced
[[nodiscard]] Validation validate_on(Calibration const& calibration, Evidence const& measured,
                                     GateLimits const& limits = {});

}  // namespace derate
