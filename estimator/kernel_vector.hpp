#pragma once
#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/kernel_features.hpp"
#include "estimator/compiled_calibration.hpp"

namespace derate {

struct CurveRun;
struct PreparedModel;

inline constexpr std::size_t max_points = 64;  ///< inducing points of one residual model

/// Position of a regime in `curve.regimes`, -1 if no calibration case shows it.
[[nodiscard]] int regime_index(CompiledCurve const& curve, std::string_view regime);

/// Covariances of a kernel with the residual model's points.
/// \param vector  at least padded_points(curve.points) long; zeros beyond the points
void kernel_vector(CompiledCurve const& curve, std::array<double, feature_count> const& features,
                   int regime, std::span<double> vector);

/// factor * vector, whose squared length is the variance that the points explain.
/// \param vectors   of one kernel after the other, each padded_points(curve.points) long
/// \param whitened  as long; zeros beyond the points
void whiten(CompiledCurve const& curve, std::span<double const> vectors,
            std::span<double> whitened);

/// What a calibration makes of a kernel before it prices it.
struct KernelTerms {
    // What its sizes do not change:
    OperationType type = OperationType::meta;
    std::string regime;
    bool is_unlike_products = false;
    std::string unseen_joined;               ///< joined operators that no calibration case shows
    std::ptrdiff_t unseen_joined_count = 0;  ///< as often as they run

    int curve = -1;
    int regime_number = -1;  ///< regime_index() in that curve
    RooflineTerms terms;
    std::array<double, feature_count> sizes{};
    std::array<double, feature_count> features{};  ///< their logarithms
    std::string unseen;         ///< what of it no calibration case shows, in words; else empty
    double unseen_share = 0;    ///< of its time
    double added_variance = 0;  ///< of log time, for what is unseen and extrapolated
    bool extrapolated = false;
};
/// \throws std::invalid_argument  no curve prices it
[[nodiscard]] KernelTerms kernel_terms(CompiledCalibration const& calibration,
                                       KernelTraits const& traits);

/// The same kernel with other numbers: `kernel` is then what kernel_terms() gives. Allocates
/// nothing. \param traits  those that `kernel` was made from, but for terms and sizes
void set_numbers(KernelTerms& kernel, CompiledCalibration const& calibration,
                 KernelTraits const& traits);

/// Covariances of a model's kernels with the points of their curves, to the last bit those of
/// kernel_vector(). Keeps what of a kernel stays from one size of the model to the next, and what
/// kernels of one size share.
class PointCovariances {
  public:
    /// For a model of so many kernels, at another size.
    void start(std::size_t kernels);
    /// \param kernel  its number in the model
    /// \param curve   one that outlives this object
    void write(std::size_t kernel, CompiledCurve const& curve, KernelTerms const& terms,
               std::span<double> vector);

  private:
    /// The residual model's parts at each point, as far as some of the features decide them.
    struct Decays {
        CompiledCurve const* curve = nullptr;
        int regime = 0;
        std::array<double, feature_count> features{};
        alignas(64) std::array<double, max_points> near{};
        alignas(64) std::array<double, max_points> trend{};
    };
    std::vector<Decays> staying_;  ///< of each kernel
    std::vector<Decays> growing_;  ///< of each combination of growing features
    std::size_t growing_count_ = 0;
};

/// How like the residuals of kernels of one curve are.
class KernelCorrelations {
  public:
    /// Where all are to the first as they were before, so are their covariances.
    /// \param curve  one that outlives this object
    void set(CompiledCurve const& curve, std::span<KernelTerms const* const> kernels);

    /// Covariances of each kernel with each, padded_points() of their number a row.
    [[nodiscard]] std::span<double const> covariances() const { return covariances_; }

  private:
    using Features = std::array<double, feature_count>;
    CompiledCurve const* curve_ = nullptr;
    std::vector<Features> ratios_;  ///< of sizes to those of the first kernel
    std::vector<int> regimes_;
    std::vector<Features> scratch_;
    LaneVector columns_;  ///< logarithms of ratios, as CompiledCurve holds features
    LaneVector column_regimes_;
    LaneVector covariances_;
};

/// The correlation with which the shared deviations of a run's kernels add to
///
///     sum_ij m_i m_j s (k(x_i, x_j) - w_i . w_j),
///
/// m the mean times, s the curve's variance scale, w the whitened vectors: the residual model's
/// joint posterior.
/// \param run           of two kernels or more, by a curve with points
/// \param correlations  set() with those kernels
/// \param memory        kept from one call to the next
[[nodiscard]] double shared_correlation(CompiledCurve const& curve, PreparedModel const& model,
                                        CurveRun const& run, KernelCorrelations const& correlations,
                                        LaneVector& memory);

}  // namespace derate
