#pragma once
#include <cmath>

#include "core/calibration.hpp"

namespace derate {

/// How like the log residuals of two kernels of one curve are: 1 for equal kernels.
///
///     (1 - trend_share) exp(-(d^2 + regime_distance [regimes differ]) / (2 length_scale^2))
///       + trend_share exp(-d^2 / (2 trend_length_scale^2)) [regimes equal]
///
/// d is the distance of their shape features. The first part is what kernels of like shape share;
/// the second what all kernels of a regime share, whatever their size: an operator that is slower
/// than its type's roofline is so for large and small tensors.
class ResidualCorrelation {
  public:
    /// Its two parts, or factors of them.
    template <class Number>
    struct Parts {
        Number near, trend;
    };

    ResidualCorrelation() = default;
    explicit ResidualCorrelation(ResidualModel const& model)
        : near_rate_{0.5 / (model.length_scale * model.length_scale)},
          trend_rate_{0.5 / (model.trend_length_scale * model.trend_length_scale)},
          trend_share_{model.trend_share},
          regime_distance_{model.regime_distance},
          regime_decay_{std::exp(-regime_distance_ * near_rate_)} {}

    [[nodiscard]] double operator()(double distance_squared, bool same_regime) const {
        return with([](double x) { return std::exp(x); }, distance_squared, same_regime);
    }

    /// \tparam Number       double, or several in a vector; Truth is what comparing them gives
    /// \param  exponential  exp for arguments up to 0
    template <class Exponential, class Number, class Truth>
    [[nodiscard, gnu::always_inline]] Number with(Exponential const& exponential,
                                                  Number const& distance_squared,
                                                  Truth const& same_regime) const {
        Number const none{};
        Number const apart = distance_squared + (same_regime ? none : none + regime_distance_);
        Number const near = (1 - trend_share_) * exponential(-apart * near_rate_);
        Number const trend = trend_share_ * exponential(-distance_squared * trend_rate_);
        return near + (same_regime ? trend : none);
    }

    /// Both parts at distance 0.
    template <class Number = double, class Truth = bool>
    [[nodiscard, gnu::always_inline]] Parts<Number> nearest(Truth const& same_regime) const {
        Number const none{};
        return {.near = same_regime ? none + (1 - trend_share_)
                                    : none + (1 - trend_share_) * regime_decay_,
                .trend = same_regime ? none + trend_share_ : none};
    }

    /// What both parts are multiplied by for a part of d^2, such as that of some features: over all
    /// features the factors multiply.
    template <class Exponential, class Number>
    [[nodiscard, gnu::always_inline]] Parts<Number> decays(Exponential const& exponential,
                                                           Number const& distance_squared) const {
        return {.near = exponential(-distance_squared * near_rate_),
                .trend = exponential(-distance_squared * trend_rate_)};
    }

  private:
    double near_rate_ = 0;
    double trend_rate_ = 0;
    double trend_share_ = 0;
    double regime_distance_ = 0;
    double regime_decay_ = 1;  ///< of the near part
};

}  // namespace derate
