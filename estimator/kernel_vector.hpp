#pragma once
#include <array>
#include <span>
#include <string>
#include <string_view>

#include "core/kernel_features.hpp"
#include "estimator/compiled_calibration.hpp"

namespace derate {

inline constexpr std::size_t max_points = 64;  ///< inducing points of one residual model

/// Position of a regime in `curve.regimes`, -1 if no calibration case shows it.
[[nodiscard]] int regime_index(CompiledCurve const& curve, std::string_view regime);

/// Covariances of a kernel with the residual model's points.
/// \param vector  at least padded_points(curve.points) long; zeros beyond the points
void kernel_vector(CompiledCurve const& curve, std::array<double, feature_count> const& features,
                   int regime, std::span<double> vector);

/// factor * vector, whose squared length is the variance that the points explain.
/// \param whitened  as long; zeros beyond the points
void whitened_vector(CompiledCurve const& curve, std::span<double const> vector,
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

/// How like the residuals of kernels of one curve are.
class KernelCorrelations {
  public:
    void set(std::span<KernelTerms const* const> kernels);

    /// Covariances of a kernel with the first ones that were set, valid until the next call.
    [[nodiscard]] std::span<double const> with_first(CompiledCurve const& curve,
                                                     KernelTerms const& kernel, int count);

  private:
    int padded_ = 0;
    std::vector<double> features_;  // as CompiledCurve holds those of points
    std::vector<double> regimes_;
    std::vector<double> correlations_;
};

}  // namespace derate
