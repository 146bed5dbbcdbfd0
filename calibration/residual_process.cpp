#include "calibration/residual_process.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>

#include "core/residual_correlation.hpp"

namespace derate {
namespace {

constexpr Eigen::Index most_points = 64;
// Squared: at a length of 1 two regimes share exp(-2) of the near part.
constexpr double regime_distance = 4.0;
constexpr double trend_share = 0.7;
constexpr double trend_length_scale = 6.0;  // a factor of 400 in one size
constexpr double jitter = 1e-6;             // relative to the squared amplitude

/// Eigen cuts products into blocks that fit the processor's caches, and with the blocks the order
/// of its sums: fixed sizes give the same curves to the last bit on processors of one instruction
/// set.
[[maybe_unused]] bool const cache_sizes_are_fixed = [] {
    Eigen::setCpuCacheSizes(32 << 10, 512 << 10, 8 << 20);
    return true;
}();

/// Repeated inputs are one input with a mean and a count: the posterior is the same.
struct DistinctInput {
    std::array<double, feature_count> features{};
    std::string regime;
    int regime_number = 0;  ///< equal where the regime is
    double mean = 0;
    double count = 0;
    double sum_squares = 0;  ///< of deviations from the mean
};

std::vector<DistinctInput> distinct_inputs(std::span<ResidualObservation const> observations) {
    std::map<std::tuple<std::string, std::array<double, feature_count>>, DistinctInput> found;
    for (auto const& observation : observations) {
        auto& input = found[{observation.regime, observation.features}];
        input.features = observation.features;
        input.regime = observation.regime;
        input.count += 1;
        double const step = observation.residual - input.mean;
        input.mean += step / input.count;
        input.sum_squares += step * (observation.residual - input.mean);
    }
    std::vector<DistinctInput> result;
    result.reserve(found.size());
    for (auto& [key, input] : found) {
        bool const another = !result.empty() && result.back().regime != input.regime;
        input.regime_number = result.empty() ? 0 : result.back().regime_number + (another ? 1 : 0);
        result.push_back(std::move(input));
    }
    return result;
}

double feature_distance(DistinctInput const& a, DistinctInput const& b) {
    double sum = 0;
    for (std::size_t f = 0; f < feature_count; ++f) {
        sum += (a.features[f] - b.features[f]) * (a.features[f] - b.features[f]);
    }
    return sum;
}

double squared_distance(DistinctInput const& a, DistinctInput const& b) {
    return feature_distance(a, b) + (a.regime_number == b.regime_number ? 0.0 : regime_distance);
}

ResidualCorrelation correlation_of(double length_scale) {
    ResidualModel model;
    model.length_scale = length_scale;
    model.regime_distance = regime_distance;
    model.trend_share = trend_share;
    model.trend_length_scale = trend_length_scale;
    return ResidualCorrelation{model};
}

/// Index of the largest value. Sizes are mostly products of small numbers, so equal distances are
/// common; rounding must not decide between them, and the first is taken.
Eigen::Index first_largest(Eigen::VectorXd const& values) {
    constexpr double rounding = 1e-9;
    double const largest = values.maxCoeff();
    Eigen::Index i = 0;
    while (values(i) < largest - rounding * std::abs(largest)) ++i;
    return i;
}

/// Farthest-point selection; ties go to the first, and inputs are sorted by content.
std::vector<Eigen::Index> choose_points(std::vector<DistinctInput> const& inputs) {
    auto const count = static_cast<Eigen::Index>(inputs.size());
    std::vector<Eigen::Index> chosen;
    if (count <= most_points) {
        for (Eigen::Index i = 0; i < count; ++i) chosen.push_back(i);
        return chosen;
    }
    DistinctInput centre = inputs.front();
    for (std::size_t f = 0; f < feature_count; ++f) {
        centre.features[f] = 0;
        for (auto const& input : inputs) {
            centre.features[f] += input.features[f] / static_cast<double>(count);
        }
    }
    Eigen::VectorXd nearest(count);
    for (Eigen::Index i = 0; i < count; ++i) {
        nearest(i) = squared_distance(inputs[static_cast<std::size_t>(i)], centre);
    }
    Eigen::Index next = first_largest(-nearest);
    nearest.setConstant(std::numeric_limits<double>::infinity());
    while (static_cast<Eigen::Index>(chosen.size()) < most_points) {
        chosen.push_back(next);
        for (Eigen::Index i = 0; i < count; ++i) {
            nearest(i) =
                std::min(nearest(i), squared_distance(inputs[static_cast<std::size_t>(i)],
                                                      inputs[static_cast<std::size_t>(next)]));
        }
        next = first_largest(nearest);
    }
    std::sort(chosen.begin(), chosen.end());
    return chosen;
}

/// A type's inputs with distances computed once for all hyperparameters.
struct Problem {
    std::vector<DistinctInput> inputs;
    std::vector<Eigen::Index> points;
    Eigen::MatrixXd input_distances;  // points x inputs, squared, of the features
    Eigen::MatrixXd same_regime;      // points x inputs, 1 or 0
    Eigen::VectorXd means;            // inputs
    Eigen::VectorXd counts;           // inputs
    double sum_squares = 0;
    double observations = 0;
};

Problem make_problem(std::span<ResidualObservation const> observations) {
    Problem problem;
    problem.inputs = distinct_inputs(observations);
    problem.points = choose_points(problem.inputs);
    auto const inputs = static_cast<Eigen::Index>(problem.inputs.size());
    auto const points = static_cast<Eigen::Index>(problem.points.size());
    problem.input_distances.resize(points, inputs);
    problem.same_regime.resize(points, inputs);
    problem.means.resize(inputs);
    problem.counts.resize(inputs);
    for (Eigen::Index i = 0; i < inputs; ++i) {
        auto const& input = problem.inputs[static_cast<std::size_t>(i)];
        problem.means(i) = input.mean;
        problem.counts(i) = input.count;
        problem.sum_squares += input.sum_squares;
        problem.observations += input.count;
        for (Eigen::Index p = 0; p < points; ++p) {
            auto const& point =
                problem
                    .inputs[static_cast<std::size_t>(problem.points[static_cast<std::size_t>(p)])];
            problem.input_distances(p, i) = feature_distance(point, input);
            problem.same_regime(p, i) = point.regime_number == input.regime_number ? 1 : 0;
        }
    }
    return problem;
}

/// What of a problem depends on the length scale alone, at amplitude 1.
///
/// Whitened features: the process at an input is amplitude * phi . z with z standard normal, plus
/// what the points do not explain.
struct Whitened {
    Eigen::LLT<Eigen::MatrixXd> prior;  // points x points
    Eigen::MatrixXd phi;                // points x inputs
    Eigen::VectorXd unexplained;        // inputs
};

Whitened whiten(Problem const& problem, double length_scale) {
    auto const correlation = correlation_of(length_scale);
    Eigen::MatrixXd phi(problem.input_distances.rows(), problem.input_distances.cols());
    for (Eigen::Index i = 0; i < phi.cols(); ++i) {
        for (Eigen::Index p = 0; p < phi.rows(); ++p) {
            phi(p, i) = correlation(problem.input_distances(p, i), problem.same_regime(p, i) > 0);
        }
    }
    Eigen::MatrixXd prior = phi(Eigen::all, problem.points);
    prior.diagonal().array() += jitter;
    Whitened whitened{.prior = Eigen::LLT<Eigen::MatrixXd>{prior}, .phi = {}, .unexplained = {}};
    whitened.phi = std::move(phi);
    whitened.prior.matrixL().solveInPlace(whitened.phi);
    whitened.unexplained =
        (1 - whitened.phi.colwise().squaredNorm().array()).max(0.0).matrix().transpose();
    return whitened;
}

struct Posterior {
    double log_likelihood = 0;
    Eigen::VectorXd whitened_weights;                     // points
    Eigen::LLT<Eigen::MatrixXd, Eigen::Lower> precision;  // points x points
};

Posterior condition(Problem const& problem, Whitened const& whitened,
                    ProcessHyperparameters const& hyper) {
    double const amplitude_squared = hyper.amplitude * hyper.amplitude;
    double const noise_squared = hyper.noise * hyper.noise;
    auto const points = whitened.phi.rows();
    // What the points do not explain counts as noise.
    Eigen::VectorXd const variance =
        (amplitude_squared * whitened.unexplained.array() + noise_squared / problem.counts.array())
            .matrix();
    Eigen::MatrixXd const scaled =
        whitened.phi * (hyper.amplitude * variance.array().rsqrt()).matrix().asDiagonal();
    Eigen::MatrixXd precision = Eigen::MatrixXd::Identity(points, points);
    precision.selfadjointView<Eigen::Lower>().rankUpdate(scaled);
    Posterior posterior;
    posterior.precision.compute(precision);
    Eigen::VectorXd const projected =
        scaled * (problem.means.array() * variance.array().rsqrt()).matrix();
    posterior.whitened_weights = posterior.precision.solve(projected);
    double const fit = (problem.means.array().square() / variance.array()).sum() -
                       projected.dot(posterior.whitened_weights);
    double const determinant =
        variance.array().log().sum() +
        2 * Eigen::MatrixXd(posterior.precision.matrixL()).diagonal().array().log().sum();
    // Repeats of one input: their scatter about its mean has the noise alone.
    double const repeats = problem.observations - static_cast<double>(problem.inputs.size());
    posterior.log_likelihood =
        -0.5 * (fit + determinant + problem.sum_squares / noise_squared +
                repeats * std::log(noise_squared) + problem.counts.array().log().sum());
    return posterior;
}

/// The lower triangular factor R for which the posterior variance where the kernel to the points is
/// k is amplitude^2 - |R k|^2.
Eigen::MatrixXd variance_factor(Whitened const& whitened, Posterior const& posterior,
                                double amplitude) {
    auto const points = whitened.phi.rows();
    auto const identity = Eigen::MatrixXd::Identity(points, points);
    // amplitude^2 - |phi|^2 + phi' S phi = amplitude^2 - k' L^-T (I - S) L^-1 k.
    Eigen::MatrixXd reduction = -posterior.precision.solve(identity);
    // I - S is positive semidefinite; a trace more keeps its factor defined where it is singular.
    constexpr double trace = 1e-11;
    reduction.diagonal().array() += 1 + trace;
    Eigen::LLT<Eigen::MatrixXd> const root{reduction};
    Eigen::MatrixXd full = whitened.prior.matrixL().solve(identity) / amplitude;
    full = root.matrixU() * full;  // points x points
    // |full k|: any orthogonal change keeps it, so make it triangular. full = Q R would be upper
    // triangular; reverse rows and columns for a lower one.
    Eigen::MatrixXd const reversed = full.rowwise().reverse();
    Eigen::HouseholderQR<Eigen::MatrixXd> const qr{reversed};
    Eigen::MatrixXd const upper = qr.matrixQR().triangularView<Eigen::Upper>();
    return upper.reverse();
}

/// The grid: start * 2^(step / 2), within limits that keep the search from running away on data
/// that cannot tell.
struct GridPoint {
    std::array<int, 3> steps{};
    [[nodiscard]] ProcessHyperparameters value() const {
        auto const at = [](double start, int step) { return start * std::exp2(0.5 * step); };
        return {.amplitude = at(0.3, steps[0]),
                .length_scale = at(1.5, steps[1]),
                .noise = at(0.15, steps[2])};
    }
};
constexpr double worth_a_step = 1e-6;  // of log likelihood: rounding alone does not move the search
constexpr std::array<int, 3> least_steps{-4, -3, 0};
constexpr std::array<int, 3> most_steps{4, -1, 4};

/// Hyperparameters of greatest likelihood and this.
std::pair<ProcessHyperparameters, double> likeliest(std::vector<Problem> const& problems) {
    std::map<int, std::vector<Whitened>> whitened_at;  // by step of the length scale
    std::map<std::array<int, 3>, double> known;
    auto const likelihood_at = [&](GridPoint const& point) {
        auto const [slot, is_new] = known.try_emplace(point.steps, 0.0);
        if (!is_new) return slot->second;
        auto const hyper = point.value();
        auto& whitened = whitened_at[point.steps[1]];
        if (whitened.empty()) {
            for (auto const& problem : problems) {
                whitened.push_back(whiten(problem, hyper.length_scale));
            }
        }
        for (std::size_t i = 0; i < problems.size(); ++i) {
            slot->second += condition(problems[i], whitened[i], hyper).log_likelihood;
        }
        return slot->second;
    };
    GridPoint best{.steps = {0, most_steps[1], 0}};
    bool moved = !problems.empty();
    while (moved) {
        moved = false;
        for (std::size_t axis = 0; axis < best.steps.size(); ++axis) {
            for (int const direction : {-1, 1}) {
                while (true) {
                    auto next = best;
                    next.steps[axis] += direction;
                    if (next.steps[axis] < least_steps[axis] ||
                        next.steps[axis] > most_steps[axis]) {
                        break;
                    }
                    if (!(likelihood_at(next) > likelihood_at(best) + worth_a_step)) break;
                    best = next;
                    moved = true;
                }
            }
        }
    }
    return {best.value(), problems.empty() ? 0 : likelihood_at(best)};
}

std::vector<ResidualObservation> without_batch(std::span<ResidualObservation const> observations,
                                               FeatureGroup group) {
    std::vector<ResidualObservation> result{observations.begin(), observations.end()};
    auto const names = feature_names(group);
    for (std::size_t f = 0; f < feature_count; ++f) {
        if (names[f] != items_feature) continue;
        for (auto& observation : result) observation.features[f] = 0;
    }
    return result;
}

}  // namespace

ProcessHyperparameters fit_hyperparameters(std::span<TypeObservations const> types,
                                           bool several_batches) {
    std::vector<Problem> by_sizes;
    std::vector<Problem> by_batch;
    for (auto const& [group, observations] : types) {
        if (observations.empty()) continue;
        by_sizes.push_back(make_problem(without_batch(observations, group)));
        if (several_batches) by_batch.push_back(make_problem(observations));
    }
    auto [best, likelihood] = likeliest(by_sizes);
    best.by_batch = false;
    if (!several_batches) return best;
    auto const [other, of_other] = likeliest(by_batch);
    return of_other > likelihood + worth_a_step ? other : best;
}

ResidualModel fit_residual_process(std::span<ResidualObservation const> observations,
                                   FeatureGroup group,
                                   ProcessHyperparameters const& hyperparameters) {
    auto const problem = make_problem(hyperparameters.by_batch
                                          ? std::vector(observations.begin(), observations.end())
                                          : without_batch(observations, group));
    auto const whitened = whiten(problem, hyperparameters.length_scale);
    auto const posterior = condition(problem, whitened, hyperparameters);
    auto const factor = variance_factor(whitened, posterior, hyperparameters.amplitude);
    Eigen::VectorXd const weights =
        whitened.prior.matrixU().solve(posterior.whitened_weights) / hyperparameters.amplitude;
    ResidualModel model;
    for (auto const name : feature_names(group)) {
        bool const counts = hyperparameters.by_batch || name != items_feature;
        model.features.emplace_back(counts ? name : unused_feature);
    }
    for (auto const index : problem.points) {
        auto const& input = problem.inputs[static_cast<std::size_t>(index)];
        model.points.insert(model.points.end(), input.features.begin(), input.features.end());
        model.point_regimes.push_back(input.regime);
    }
    model.weights.assign(weights.begin(), weights.end());
    for (Eigen::Index i = 0; i < factor.rows(); ++i) {
        for (Eigen::Index j = 0; j <= i; ++j) model.packed_factor.push_back(factor(i, j));
    }
    model.amplitude = hyperparameters.amplitude;
    model.length_scale = hyperparameters.length_scale;
    model.noise = hyperparameters.noise;
    model.regime_distance = regime_distance;
    model.trend_share = trend_share;
    model.trend_length_scale = trend_length_scale;
    return model;
}

}  // namespace derate
