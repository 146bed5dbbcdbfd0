#pragma once
#include <optional>
#include <string>
#include <vector>

#include "calibration/cross_validate.hpp"
#include "calibration/rates_above_peak.hpp"
#include "core/calibration.hpp"
#include "core/evidence.hpp"
#include "statistics/distribution_fit.hpp"
#include "statistics/heteroscedasticity.hpp"
#include "statistics/normality.hpp"
#include "statistics/sample_summary.hpp"

namespace derate {

/// One distinct kernel against the curve that serves it.
struct KernelResidual {
    int case_index = 0;  ///< into Evidence::cases
    double work = 0;     ///< FLOPs, or bytes for zero-FLOP kernels
    double measured_ms = 0;
    double predicted_ms = 0;
    std::optional<double> efficiency;  ///< of the stated peak; empty where that is unknown
    double log_residual = 0;           ///< log(measured / predicted)
    double standardised =
        0;  ///< (log_residual - mean of the curve) / standard deviation of the curve
    /// Of the kernel itself: campaigns that timed it each have a case of it, which share whatever
    /// the curve cannot follow. Empty where the evidence has none: then each case is a kernel.
    std::string descriptor;
    std::vector<std::string> models;            ///< that contain it, sorted
    std::vector<std::string> source_subgraphs;  ///< "model/batch/subgraph_id"
};

/// How a sample is distributed. Tests and fits are empty where the sample is too small for them.
struct DistributionDiagnostics {
    SampleSummary summary;
    double median = 0;
    double min = 0;
    double max = 0;
    std::optional<double> skewness;
    std::optional<double> excess_kurtosis;
    std::optional<ShapiroWilk> shapiro_wilk;
    std::optional<AndersonDarling> anderson_darling;
    std::vector<DistributionFit> fits;  ///< best AIC first
};

[[nodiscard]] DistributionDiagnostics diagnose_distribution(std::vector<double> const& values);

/// How one model's kernels lie about a curve that all models share.
struct ModelShift {
    std::string model;
    int kernels = 0;
    double mean_log_residual = 0;
    /// Welch's t-test against the kernels of this curve that the model does not contain, adjusted
    /// over the models by Holm; a kernel of several campaigns is one value. Empty with fewer than
    /// two kernels on a side.
    std::optional<double> p_value;
};

/// Do the models agree on kernels of one type?
struct ModelConsistency {
    std::vector<ModelShift> models;  ///< largest |mean| first
    /// One-way analysis of variance of the log residuals over models: P(F >= f). A kernel that
    /// several models share cannot tell them apart and takes no part.
    std::optional<double> p_value;
};

/// Where the variance of log(measured / predicted) of one kernel comes from; each part is a
/// variance of the logarithm, so its square root reads as a relative standard deviation. Parts that
/// the evidence cannot tell are empty, never zero.
struct VarianceBudget {
    std::optional<double> within_launch;     ///< of one repetition in its launch
    std::optional<double> between_launches;  ///< of a launch's median about the kernel's mean
    std::optional<double> noise_of_mean;   ///< of the served centre: what the two above leave of it
    std::optional<double> between_models;  ///< models' shifts about the curve
    std::optional<double> lack_of_fit;     ///< the rest: what the curve cannot follow
    double total = 0;                      ///< of the log residuals, about zero
};

/// Everything about one curve.
struct CurveDiagnostics {
    OperationType type = OperationType::meta;
    bool zero_flop = false;
    std::vector<KernelResidual> kernels;  ///< by increasing work
    DistributionDiagnostics efficiency;   ///< of `efficiency`; count 0 where the peak is unknown
    DistributionDiagnostics residual;     ///< of `standardised`
    double mean_log_residual = 0;
    double log_residual_std = 0;
    /// Of the log residuals on log10 of work.
    std::optional<BreuschPagan> heteroscedasticity;
    std::vector<std::size_t>
        outliers;  ///< into `kernels`, beyond 3 standard deviations, worst first
    ModelConsistency consistency;
    VarianceBudget variance;
    double time_share = 0;  ///< of all models' measured time, 0 to 1
};

struct CalibrationDiagnostics {
    std::vector<CurveDiagnostics> curves;  ///< largest time share first
    VarianceBudget variance;               ///< over all kernels
    ModelConsistency consistency;          ///< over all kernels
    std::vector<RatesAbovePeak> above_peak;
    int kernels = 0;
    int models = 0;
};

/// Judges a calibration by the kernels it rests on.
///
/// Residuals are about the served curves, residual model included, on the kernels those were fitted
/// to: they show shape (tails, trends, outliers), not accuracy on unseen models, which
/// cross-validation shows. Kernels without a timing and models that are held out take no part.
///
/// \param predictions  predict_models(evidence, calibration)
[[nodiscard]] CalibrationDiagnostics diagnose(Evidence const& evidence,
                                              Calibration const& calibration,
                                              CrossValidation const& predictions);

}  // namespace derate
