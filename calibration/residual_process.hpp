#pragma once
#include <array>
#include <span>
#include <string>
#include <vector>

#include "core/calibration.hpp"
#include "core/kernel_features.hpp"

namespace derate {

/// One kernel's log residual after the fitted curve, where its shape lies.
struct ResidualObservation {
    std::array<double, feature_count> features{};
    std::string regime;
    double residual = 0;  ///< log(measured / curve)
};

/// What was observed of the kernels of one type.
struct TypeObservations {
    FeatureGroup group = FeatureGroup::memory;
    std::vector<ResidualObservation> observations;
};

/// Shared by all types of a calibration.
struct ProcessHyperparameters {
    double amplitude = 0.3;
    double length_scale = 1.5;
    double noise = 0.2;
    bool by_batch = true;  ///< `items_feature` counts

    friend bool operator==(ProcessHyperparameters const&, ProcessHyperparameters const&) = default;
};

/// Hyperparameters of greatest marginal likelihood, summed over types.
///
/// A coordinate search on a fixed grid of ratios 2^(1/2), from a fixed start: the result is one of
/// finitely many, so that rounding on another processor does not change it.
///
/// \param several_batches  kernels were timed at enough of them to tell: whether the number of
/// items counts is searched for too;
///                         else it does not
[[nodiscard]] ProcessHyperparameters fit_hyperparameters(std::span<TypeObservations const> types,
                                                         bool several_batches);

/// The posterior of a Gaussian process at 64 or fewer inducing points.
///
/// With at most 64 distinct inputs the points are these and the posterior is exact up to a jitter;
/// with more, the fully independent training conditional stands in for it. Points are chosen by
/// greatest distance from those chosen before, starting at the input nearest to the mean, so they
/// cover what was measured. Does not depend on the order of `observations` beyond rounding.
///
/// \param observations  one or more
/// Source: Snelson, Ghahramani, "Sparse Gaussian processes using pseudo-inputs", NIPS 18 (2006);
/// Rasmussen, Williams, "Gaussian Processes for Machine Learning", MIT Press 2006, chapter 8.
[[nodiscard]] ResidualModel fit_residual_process(std::span<ResidualObservation const> observations,
                                                 FeatureGroup group,
                                                 ProcessHyperparameters const& hyperparameters);

}  // namespace derate
