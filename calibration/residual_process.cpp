#include "calibration/residual_process.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>

namespace derate {
namespace {

constexpr Eigen::Index most_points = 64;
constexpr double regime_distance = 4.0;  // squared; two regimes share about half at length 1.5
constexpr double jitter = 1e-6;          // relative to the squared amplitude

/// Repeated inputs are one input with a mean and a count: the posterior is the same.
struct DistinctInput {
    std::array<double, feature_count> features{};
    std::string regime;
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
    for (auto& [key, input] : found) result.push_back(std::move(input));
    return result;
}

double squared_distance(DistinctInput const& a, DistinctInput const& b) {
    double sum = a.regime == b.regime ? 0.0 : regime_distance;
    for (std::size_t f = 0; f < feature_count; ++f) {
        sum += (a.features[f] - b.features[f]) * (a.features[f] - b.features[f]);
    }
    return sum;
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
    Eigen::Index next = 0;
    nearest.minCoeff(&next);
    nearest.setConstant(std::numeric_limits<double>::infinity());
    while (static_cast<Eigen::Index>(chosen.size()) < most_points) {
        chosen.push_back(next);
        for (Eigen::Index i = 0; i < count; ++i) {
            nearest(i) =
                std::min(nearest(i), squared_distance(inputs[static_cast<std::size_t>(i)],
                                                      inputs[static_cast<std::size_t>(next)]));
        }
        nearest.maxCoeff(&next);
    }
    std::sort(chosen.begin(), chosen.end());
    return chosen;
}

/// A type's inputs with distances computed once for all hyperparameters.
struct Problem {
    std::vector<DistinctInput> inputs;
    std::vector<Eigen::Index> points;
    Eigen::MatrixXd point_distances;  // points x points, squared
    Eigen::MatrixXd input_distances;  // points x inputs, squared
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
    problem.means.resize(inputs);
    problem.counts.resize(inputs);
    for (Eigen::Index i = 0; i < inputs; ++i) {
        auto const& input = problem.inputs[static_cast<std::size_t>(i)];
        problem.means(i) = input.mean;
        problem.counts(i) = input.count;
        problem.sum_squares += input.sum_squares;
        problem.observations += input.count;
        for (Eigen::Index p = 0; p < points; ++p) {
            problem.input_distances(p, i) = squared_distance(
                problem
                    .inputs[static_cast<std::size_t>(problem.points[static_cast<std::size_t>(p)])],
                input);
        }
    }
    problem.point_distances = problem.input_distances(Eigen::all, problem.points);
    return problem;
}

struct Posterior {
    double log_likelihood = 0;
    Eigen::VectorXd weights;  // points
    Eigen::MatrixXd
        factor;  // points x points, lower triangle; variance = amplitude^2 - |factor k|^2
};

Posterior solve(Problem const& problem, ProcessHyperparameters const& hyper, bool want_factor) {
    double const amplitude_squared = hyper.amplitude * hyper.amplitude;
    double const noise_squared = hyper.noise * hyper.noise;
    double const scale = -0.5 / (hyper.length_scale * hyper.length_scale);
    auto const points = problem.point_distances.rows();
    Eigen::MatrixXd prior =
        (amplitude_squared * (scale * problem.point_distances.array()).exp()).matrix();
    prior.diagonal().array() += jitter * amplitude_squared;
    Eigen::MatrixXd const cross =
        (amplitude_squared * (scale * problem.input_distances.array()).exp()).matrix();
    Eigen::LLT<Eigen::MatrixXd> const prior_factor{prior};
    // Whitened features: the process at an input is phi . z with z standard normal, plus what the
    // points do not explain, which counts as noise.
    Eigen::MatrixXd const phi = prior_factor.matrixL().solve(cross);  // points x inputs
    Eigen::VectorXd const unexplained =
        (amplitude_squared - phi.colwise().squaredNorm().array()).max(0.0).matrix().transpose();
    Eigen::VectorXd const variance =
        (unexplained.array() + noise_squared / problem.counts.array()).matrix();
    Eigen::MatrixXd const scaled = phi * variance.array().sqrt().inverse().matrix().asDiagonal();
    Eigen::MatrixXd precision = Eigen::MatrixXd::Identity(points, points);
    precision.selfadjointView<Eigen::Lower>().rankUpdate(scaled);
    Eigen::LLT<Eigen::MatrixXd, Eigen::Lower> const posterior_factor{
        precision.selfadjointView<Eigen::Lower>()};
    Eigen::VectorXd const projected = phi * (problem.means.array() / variance.array()).matrix();
    Eigen::VectorXd const whitened_weights = posterior_factor.solve(projected);

    Posterior posterior;
    double const fit =
        (problem.means.array().square() / variance.array()).sum() - projected.dot(whitened_weights);
    double const determinant =
        variance.array().log().sum() +
        2 * Eigen::MatrixXd(posterior_factor.matrixL()).diagonal().array().log().sum();
    // Repeats of one input: their scatter about its mean has the noise alone.
    double const repeats = problem.observations - static_cast<double>(problem.inputs.size());
    posterior.log_likelihood =
        -0.5 * (fit + determinant + problem.sum_squares / noise_squared +
                repeats * std::log(noise_squared) + problem.counts.array().log().sum());
    if (!want_factor) return posterior;
    posterior.weights = prior_factor.matrixU().solve(whitened_weights);
    // amplitude^2 - |phi|^2 + phi' S phi = amplitude^2 - k' L^-T (I - S) L^-1 k.
    Eigen::MatrixXd reduction = -posterior_factor.solve(Eigen::MatrixXd::Identity(points, points));
    reduction.diagonal().array() += 1;
    // I - S is positive semidefinite; its eigenvalues below 0 are rounding.
    Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> const eigen{reduction};
    Eigen::MatrixXd const root = eigen.eigenvalues().cwiseMax(0.0).cwiseSqrt().asDiagonal() *
                                 eigen.eigenvectors().transpose();
    // |root L^-1 k|: any orthogonal change keeps it, so make it triangular.
    Eigen::MatrixXd const whitening =
        prior_factor.matrixL().solve(Eigen::MatrixXd::Identity(points, points));
    Eigen::MatrixXd const full = root * whitening;  // points x points
    // full = Q R would be upper triangular; reverse rows and columns for a lower one.
    Eigen::MatrixXd const reversed = full.rowwise().reverse();
    Eigen::HouseholderQR<Eigen::MatrixXd> const qr{reversed};
    Eigen::MatrixXd const upper = qr.matrixQR().triangularView<Eigen::Upper>();
    posterior.factor = upper.reverse();
    return posterior;
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
constexpr std::array<int, 3> least_steps{-4, -3, 0};
constexpr std::array<int, 3> most_steps{4, -1, 4};

}  // namespace

ProcessHyperparameters fit_hyperparameters(
    std::span<std::vector<ResidualObservation> const> types) {
    std::vector<Problem> problems;
    for (auto const& observations : types) {
        if (!observations.empty()) problems.push_back(make_problem(observations));
    }
    std::map<std::array<int, 3>, double> known;
    auto const likelihood_at = [&](GridPoint const& point) {
        auto const [slot, is_new] = known.try_emplace(point.steps, 0.0);
        if (is_new) {
            for (auto const& problem : problems) {
                slot->second += solve(problem, point.value(), false).log_likelihood;
            }
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
                    if (!(likelihood_at(next) > likelihood_at(best))) break;
                    best = next;
                    moved = true;
                }
            }
        }
    }
    return best.value();
}

ResidualModel fit_residual_process(std::span<ResidualObservation const> observations,
                                   FeatureGroup group,
                                   ProcessHyperparameters const& hyperparameters) {
    auto const problem = make_problem(observations);
    auto const posterior = solve(problem, hyperparameters, true);
    ResidualModel model;
    for (auto const name : feature_names(group)) model.features.emplace_back(name);
    for (auto const index : problem.points) {
        auto const& input = problem.inputs[static_cast<std::size_t>(index)];
        model.points.insert(model.points.end(), input.features.begin(), input.features.end());
        model.point_regimes.push_back(input.regime);
    }
    model.weights.assign(posterior.weights.begin(), posterior.weights.end());
    for (Eigen::Index i = 0; i < posterior.factor.rows(); ++i) {
        for (Eigen::Index j = 0; j <= i; ++j) model.packed_factor.push_back(posterior.factor(i, j));
    }
    model.amplitude = hyperparameters.amplitude;
    model.length_scale = hyperparameters.length_scale;
    model.noise = hyperparameters.noise;
    model.regime_distance = regime_distance;
    return model;
}

}  // namespace derate
