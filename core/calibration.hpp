#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/condition.hpp"
#include "core/default_rules.hpp"
#include "core/hardware.hpp"
#include "core/legacy_rules.hpp"
#include "core/operation_type.hpp"
#include "statistics/interval.hpp"

namespace derate {

/// Why a curve can be believed; never mixed within one curve.
enum class CurveSource { measured, imported, legacy_hardcoded, conservative_default };

[[nodiscard]] std::string_view to_string(CurveSource source);  ///< "default" for the last
[[nodiscard]] std::optional<CurveSource> parse_curve_source(std::string_view name);

enum class WorkAxis { flops, bytes };

/// One bin of a curve: what was observed around one amount of work. The roadmap's data point.
struct DataPoint {
    double work =
        0;  ///< FLOPs or bytes (the curve's axis), > 0; the geometric centre of the bin's work
    double efficiency_mean = 0;  ///< achieved rate over the denominator, > 0
    std::optional<double> efficiency_std;
    std::optional<double> efficiency_min;
    std::optional<double> efficiency_max;
    std::int64_t num_observations = 0;
    std::vector<std::string> source_subgraphs;  ///< "model/batch/subgraph_id"
    std::optional<double> between_model_std;    ///< the between-model part of efficiency_std
    std::optional<Interval> confidence_interval_of_mean;
    std::optional<Interval> prediction_interval;
};

/// t = kernel_seconds * n_kernels + flop_coefficient * F^flop_exponent
///     + joined_flop_coefficient * F_joined^flop_exponent + byte_coefficient * B^byte_exponent
///     + cache_byte_seconds * max(0, B_activations - last_level_cache_bytes), in seconds.
///
/// With exponents 1 the coefficients are seconds per kernel, per FLOP and per byte. GPUs have 0.5:
/// small kernels leave most of the device idle, so that rate grows with size; beyond the data it
/// grows without bound.
struct AdditiveRoofline {
    double kernel_seconds = 0;    ///< > 0
    double flop_coefficient = 0;  ///< >= 0; seconds per FLOP^flop_exponent; 0 for zero-FLOP kernels
    double flop_exponent = 1;     ///< 1 on CPUs, 0.5 on GPUs
    double byte_coefficient = 0;  ///< > 0; seconds per byte^byte_exponent
    double byte_exponent = 1;     ///< 1 on CPUs, 0.5 on GPUs
    /// >= 0; seconds per FLOP^flop_exponent of what joined; 0 where the term is not fitted
    double joined_flop_coefficient = 0;
    double cache_byte_seconds = 0;  ///< >= 0; 0 where the term is not fitted
    double last_level_cache_bytes = 0;
    /// More joined FLOPs a byte of activations are those of a product, no norm or activation, and take
    /// at most as long as all else; empty: there is no such bound. Of parents, what their kernels
    /// show.
    std::optional<double> joined_flops_per_byte{};
};

/// Efficiency linear in log10(work) between knots.
struct PiecewiseLinear {
    std::vector<double> work;        ///< strictly increasing, > 0
    std::vector<double> efficiency;  ///< > 0
};

/// efficiency = intercept + slope * log10(work).
struct LogLinear {
    double intercept = 0;
    double slope = 0;
};

/// efficiency = ceiling / (1 + exp(-steepness * (log10(work) - midpoint))).
struct Sigmoid {
    double ceiling = 1;
    double steepness = 1;
    double midpoint = 7;
};

using FittedForm = std::variant<AdditiveRoofline, PiecewiseLinear, LogLinear, Sigmoid>;

/// The fitted form with what is known of its fit.
struct FittedCurve {
    FittedForm form;
    std::optional<double> r_squared;     ///< of the served function, on log time
    std::optional<double> residual_std;  ///< of log time
    std::vector<double>
        parameter_covariance;  ///< packed lower triangle; additive roofline: of log coefficients
};

/// A Gaussian process on the log residual of the fitted curve over log shape features.
///
/// With k(x, y) = amplitude^2 c(x, y), c the correlation of core/residual_correlation.hpp, and k
/// the vector of k(x, point_i), the correction of log t at x is weights . k; its variance is
/// amplitude^2 - |factor k|^2, and of log t of one kernel noise^2 more.
struct ResidualModel {
    std::vector<std::string> features;  ///< names, core/kernel_features.hpp
    std::vector<double> points;         ///< inducing points, row-major, count x features; <= 64
    std::vector<std::string> point_regimes;  ///< count; core/kernel_features.hpp
    std::vector<double> weights;             ///< count
    std::vector<double> packed_factor;  ///< lower triangle, row after row, count (count + 1) / 2
    double amplitude = 0;               ///< of log t
    double length_scale = 1;            ///< in natural logarithms of sizes
    double noise = 0;                   ///< of log t, one kernel
    double regime_distance = 0;         ///< squared distance of two regimes
    double trend_share = 0;         ///< of the variance, what a regime's kernels share at all sizes
    double trend_length_scale = 1;  ///< of that part, in natural logarithms of sizes
};

/// One operation type's curve: how long a kernel of it takes, and how sure that is.
struct EfficiencyCurve {
    OperationType type = OperationType::meta;
    bool zero_flop = false;  ///< the curve of the type's zero-FLOP kernels (curve_key)
    WorkAxis axis = WorkAxis::flops;
    CurveSource source = CurveSource::measured;
    std::vector<DataPoint> data_points;
    std::optional<FittedCurve> fitted_curve;  ///< what is served; empty: only data points are known
    std::vector<FittedCurve> diagnostics;     ///< fits that lost, shown beside it
    std::optional<ResidualModel> residual_model;
    std::optional<double> log_variance;  ///< out-of-fold, of log(measured/predicted) of one kernel
    /// Of parents: the part of `log_variance` that all kernels of a type without a curve of its own
    /// err by alike; empty: all of it.
    std::optional<double> common_log_variance{};
    /// A kernel's log variance is this times (posterior variance + noise^2), so that intervals
    /// cover left-out kernels. Empty without a residual model: then the variance is `log_variance`.
    std::optional<double> variance_scale;
    double mean_correction = 1;          ///< smearing factor: mean = exp(fit of log t) * this
    std::optional<Interval> work_range;  ///< seen in calibration, on `axis`
    std::optional<Interval> byte_range;  ///< bytes seen in calibration
    std::vector<std::string> regimes;    ///< seen in calibration, core/kernel_features.hpp
    int kernels = 0;                     ///< distinct kernels it was fitted on
};

/// Name of a curve in files and reports: "conv2d", "pool|0" for the curve of a type's zero-FLOP
/// kernels; of a parent "memory" and "memory|0".
[[nodiscard]] std::string curve_key(std::string_view name, bool zero_flop);
[[nodiscard]] std::string curve_key(EfficiencyCurve const& curve);
/// The name, and whether the curve is for kernels without FLOPs.
[[nodiscard]] std::pair<std::string_view, bool> split_curve_key(std::string_view key);

/// How kernels' errors combine to a whole model's (docs/uncertainty.md).
struct IntervalModel {
    /// Of kernels' own errors, beside what the residual model's joint posterior has them share.
    double same_type_correlation = 0;
    double cross_type_correlation = 0;
    double variance_factor = 1;     ///< likeliest for whole models out of fold, shrunk to 1
    double model_log_variance = 0;  ///< whole-model term, beside the context factor's
    double degrees_of_freedom = 1;  ///< calibration models - 1
    double t_quantile = 12.706204736432095;  ///< 0.975 quantile of Student's t
    /// Added to a kernel's log variance times its squared log distance from the fitted range, and
    /// to a model's times that from the models that the context factor was learnt from.
    double extrapolation_log_variance = 0;
    /// Added where no calibration case shows the regime; four times as much where the kernel is
    /// unlike all that its type's curve was made of (is_unlike_products); times the squared share of
    /// the kernel's time where it is a joined operator that none shows.
    double unseen_regime_log_variance = 0;
    double foreign_partition_log_variance = 0;  ///< added to the whole where partitions differ
};

/// What a whole model takes beyond its isolated parts, on calibration models only:
/// whole = factor * (sum of parts + operator_seconds_in(...) * operators that run).
struct ContextFactor {
    double factor = 1;
    /// Seconds, >= 0: inside a model an operator finds its code out of the caches, alone it does
    /// not.
    double operator_seconds = 0;
    std::optional<double> relative_std;
    int models = 0;
    /// What the largest kernel of those models writes, where larger tensors cost more than this
    /// factor says: of glibc's default allocator, whose page faults begin at some size.
    std::optional<double> largest_output_bytes{};
    /// What the smallest of those models moves (sum over its kernels). One that moves less may stay
    /// in caches from run to run, where kernels take less than alone and find their code.
    std::optional<double> least_model_bytes{};
};

/// What an operator costs more in a model that moves so many bytes: in full from the smallest model
/// that the factor was learnt from, below in proportion, since it is that traffic which drives
/// operators' code out of the caches. Seconds.
[[nodiscard]] double operator_seconds_in(ContextFactor const& context, double model_bytes);

/// Natural logarithm of how many times less such a model moves than any that the factor was learnt
/// from; 0 where it does not or where that is unknown.
[[nodiscard]] double log_distance_below(ContextFactor const& context, double model_bytes);

struct EvidenceFile {
    std::string file;    ///< base name, in evidence/ beside the calibration
    std::string sha256;  ///< of the file's bytes, lower-case hex
};

/// An evidence file as found beside a calibration.
struct EvidenceFileState {
    EvidenceFile recorded;
    std::optional<std::string> actual_sha256;  ///< empty: the file is not there
};

/// Who measured, when, with what: the roadmap's calibration_metadata and more.
struct Provenance {
    std::string date;  ///< ISO 8601; of several campaigns the newest
    std::optional<std::string> oldest_date{};  ///< of several campaigns, where it is another
    std::string tool_version;
    std::optional<std::string> git_revision;
    std::vector<std::string> models_used;
    /// Batch sizes that they were timed at, ascending; empty where a model does not say, and in
    /// files made before curves held several: there data points tell (timed_batches()).
    std::vector<int> batches{};
    std::int64_t num_samples = 0;  ///< repetitions
    std::optional<std::string> environment_hash;  ///< that all campaigns have
    std::optional<std::string> trust_grade;  ///< "A" to "D", docs/measuring.md; the worst campaign's
    std::string origin;  ///< licence and project of imported data; else the tool
    std::vector<EvidenceFile> evidence;
    std::optional<std::string> samples_sha256;
    /// The oldest of those by which weights and inputs got their values; empty if foreign.
    std::optional<std::string> value_rule{};
};

/// "2026-11-02", or of several campaigns "2026-11-02 to 2026-11-05"; days only, empty if unknown.
[[nodiscard]] std::string days_of(Provenance const& provenance);

/// What a calibration claims of itself; the gate recomputes it and trusts none of it.
struct ValidationClaim {
    std::string leave_out;  ///< "model", "family" or "batch"
    int models = 0;
    double mape_percent = 0;
    double bias_percent = 0;
    std::optional<double> coverage_95;  ///< fraction
    std::optional<double> median_half_width_percent;
    std::optional<double> noise_floor_percent;
    std::optional<std::string> noise_floor_basis{};  ///< what shows it, or who states it
    std::string verdict;                             ///< PASS, FAIL, INCONCLUSIVE
};

/// One condition of one device: content of efficiency_curves.json.
struct Calibration {
    std::string hardware_id;
    Condition condition;
    CurveSource source = CurveSource::measured;
    std::optional<PeakRate> peak_flops;      ///< denominator of compute efficiencies
    std::optional<PeakRate> peak_bandwidth;  ///< denominator of bandwidth efficiencies
    std::vector<EfficiencyCurve>
        curves;  ///< types and, for fallback, parents' and device's fits below
    /// Price types that `curves` lacks. Key: parent name or "device".
    std::map<std::string, EfficiencyCurve> parent_curves;
    /// Operators that some kernel holds beside the one that it is named after (joined_operators),
    /// sorted; empty where the file does not say.
    std::optional<std::vector<std::string>> joined_operators{};
    IntervalModel intervals;
    ContextFactor context;
    /// The same of whole models under glibc's default allocator; empty where none was timed so.
    std::optional<ContextFactor> default_allocator_context{};
    Provenance provenance;
    std::vector<ValidationClaim> claims;
    bool provisional = false;
    std::optional<LegacyRules> legacy_rules;    ///< where `source` is legacy_hardcoded
    std::optional<DefaultRules> default_rules;  ///< where `source` is conservative_default
};

/// Batch sizes that its curves were timed at, ascending: as its provenance says, else as its data
/// points do.
/// \return empty where neither tells
[[nodiscard]] std::vector<int> timed_batches(Calibration const& calibration);

/// What is to be said of a price at a batch size of which the curves show nothing: neither timed
/// nor between two that were.
///
/// \param timed  timed_batches()
/// \return a sentence; empty where they do show it, or do not say what they were timed at
[[nodiscard]] std::optional<std::string> unseen_batch_note(std::string_view hardware_id,
                                                           std::span<int const> timed, int batch);

/// Rules price instead of curves: at several precisions, for any thread count.
[[nodiscard]] bool holds_rules(Calibration const& calibration);

/// What prices a run under `allocator`: the calibration itself where its timings were taken so, or
/// with the context factor that was measured for it.
///
/// \return empty where nothing of it was timed under `allocator`; a calibration that does not say
///         how its timings were taken prices the pinned state
[[nodiscard]] std::optional<Calibration> under_allocator(Calibration calibration,
                                                         Allocator allocator);

/// The claim to show where there is room for one: leaving families out is the honest one, leaving
/// models out stands in where that is unknown.
/// \return nullptr where the calibration claims nothing
[[nodiscard]] ValidationClaim const* headline_claim(Calibration const& calibration);

}  // namespace derate
