#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/calibration.hpp"
#include "core/kernel_features.hpp"
#include "core/residual_correlation.hpp"
#include "estimator/roofline.hpp"

namespace derate {

/// No kernel's median is less, whatever its curve says.
inline constexpr double least_seconds = 1e-8;

/// Points are held in whole groups of this many.
inline constexpr int point_lanes = 8;
[[nodiscard]] constexpr int padded_points(int points) {
    return (points + point_lanes - 1) / point_lanes * point_lanes;
}

/// Allocates whole lines of a processor's cache, so that no load of lanes touches two.
template <class Value>
struct LineAllocator {
    static constexpr std::align_val_t line{64};
    using value_type = Value;

    LineAllocator() = default;
    template <class Other>
    explicit LineAllocator(LineAllocator<Other> const&) {}

    [[nodiscard]] Value* allocate(std::size_t count) {
        return static_cast<Value*>(::operator new(count * sizeof(Value), line));
    }
    void deallocate(Value* values, std::size_t) { ::operator delete(values, line); }
    friend bool operator==(LineAllocator, LineAllocator) { return true; }
};
using LaneVector = std::vector<double, LineAllocator<double>>;

/// One curve, flat: what pricing a kernel needs and nothing else.
struct CompiledCurve {
    std::string name;        ///< "conv2d", "pool|0", "conv (parent)" or "device"
    bool is_parent = false;  ///< prices types that have no curve of their own
    CurveSource source = CurveSource::measured;
    AdditiveRoofline roofline;
    TermLimits limits;  ///< of parents; of types none
    double mean_correction = 1;
    double log_variance = 0;    ///< of one kernel, where there is no residual model
    double common_log_variance = 0;  ///< of parents: what of it all kernels of a type err by alike
    double variance_scale = 1;  ///< of the residual model's variance
    bool zero_flop = false;
    Interval flop_range{0, 0};  ///< natural logarithms; lower > upper: unknown
    Interval byte_range{0, 0};
    // Sizes that are surely inside, whatever rounding does; lower > upper: unknown
    Interval inner_flops{1, 0};
    Interval inner_bytes{1, 0};
    std::vector<std::string> regimes;  ///< sorted

    // Residual model; `points` is 0 without one.
    int points = 0;
    double amplitude_squared = 0;
    double noise_squared = 0;
    ResidualCorrelation correlation;
    /// Older files know fewer: the rest count as 0.
    std::array<bool, feature_count> uses_feature{};
    // As many of each as padded_points(points), zeros at the end:
    LaneVector features;       ///< for one feature after the other, that of each point
    LaneVector point_regimes;  ///< index into `regimes`; -2 at the end
    LaneVector weights;
    // Of the features that grow with a batch, each combination that points have once:
    std::array<bool, feature_count> grows{};
    int growths = 0;
    LaneVector growing_features;       ///< as `features`, padded_points(growths) of each
    std::vector<int> growth_of_point;  ///< padded_points(points)
    LaneVector factor;                 ///< one column of the lower triangle after the other
};

/// A calibration as flat arrays: made once, then any number of models are priced from it without
/// parsing, searching by name or allocating.
class CompiledCalibration {
  public:
    /// \throws std::invalid_argument  a curve is served by another form than the additive roofline,
    ///         there is no curve at all, or array sizes of a residual model disagree
    explicit CompiledCalibration(Calibration const& calibration);

    /// Whether any curve prices such a kernel.
    [[nodiscard]] bool prices(OperationType type, bool zero_flop) const {
        return lookup_[slot_of(type, zero_flop)] != absent;
    }
    /// The curve that prices a kernel: its type's (of those with or without FLOPs), else the
    /// parent's, else the device's.
    /// \throws std::invalid_argument  prices() says no
    [[nodiscard]] int curve_of(OperationType type, bool zero_flop) const {
        int const index = lookup_[slot_of(type, zero_flop)];
        if (index == absent) throw_unpriced(type);
        return index;
    }
    [[nodiscard]] std::span<CompiledCurve const> curves() const { return curves_; }
    [[nodiscard]] IntervalModel const& intervals() const { return intervals_; }
    /// For a search of the likeliest one.
    void set_variance_factor(double factor) { intervals_.variance_factor = factor; }
    [[nodiscard]] ContextFactor const& context() const { return context_; }
    [[nodiscard]] std::optional<double> peak_flops() const { return peak_flops_; }
    [[nodiscard]] std::optional<double> peak_bandwidth() const { return peak_bandwidth_; }
    [[nodiscard]] std::string const& partition() const { return partition_; }
    /// Whether a calibration kernel holds it, or the file does not say what they hold.
    [[nodiscard]] bool knows_joined(std::string_view op) const {
        return !names_joined_ || std::ranges::binary_search(joined_operators_, op);
    }

  private:
    static constexpr int absent = -1;
    static constexpr std::size_t slot_of(OperationType type, bool zero_flop) {
        return 2 * static_cast<std::size_t>(type) + (zero_flop ? 1 : 0);
    }
    [[noreturn]] static void throw_unpriced(OperationType type);

    std::vector<CompiledCurve> curves_;
    std::array<int, 2 * all_operation_types.size()> lookup_{};
    IntervalModel intervals_;
    ContextFactor context_;
    std::optional<double> peak_flops_;
    std::optional<double> peak_bandwidth_;
    std::string partition_;
    bool names_joined_ = false;  ///< the file says what joins its kernels
    std::vector<std::string> joined_operators_;
};

/// One kernel priced: the curve's part and the residual model's beside it.
struct KernelPrediction {
    int curve = 0;
    double roofline_seconds = 0;    ///< of the fitted curve: about the median without the residual
    double residual = 0;            ///< of log t, from the residual model
    double median_seconds = 0;      ///< roofline * exp(residual), at least 1e-8
    double mean_seconds = 0;        ///< median * smearing factor
    double posterior_variance = 0;  ///< of the residual model, without noise
    double model_variance = 1;      ///< the same plus noise^2; 1 without a residual model
    double log_variance = 0;        ///< of log(measured / median)
    double compute_seconds = 0;     ///< the terms of roofline_seconds
    double memory_seconds = 0;
    double overhead_seconds = 0;
    bool extrapolated = false;
    bool unseen_regime = false;
};

/// Prices one kernel, from its features to its variance. Allocates nothing but a buffer of 64.
[[nodiscard]] KernelPrediction predict_kernel(CompiledCalibration const& calibration,
                                              Subgraph const& subgraph);

}  // namespace derate
