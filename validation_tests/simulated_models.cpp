#include "validation_tests/simulated_models.hpp"

#include <array>
#include <cmath>
#include <map>
#include <random>
#include <string>

#include "statistics/distributions.hpp"

namespace derate {
namespace {

constexpr double same_type_correlation = 0.4;
constexpr double cross_type_correlation = 0.15;
constexpr double family_share = 0.5;  // of what a model's kernels have in common
constexpr double tail_degrees_of_freedom = 6;
constexpr int models_per_family = 3;

struct SimulatedType {
    OperationType type;
    double deviation;  // of the log error of one kernel
    double share;      // of a typical model's time
};

constexpr std::array simulated_types{
    SimulatedType{OperationType::conv2d, 0.25, 0.35},
    SimulatedType{OperationType::conv2d_pointwise, 0.25, 0.20},
    SimulatedType{OperationType::conv2d_depthwise, 0.45, 0.10},
    SimulatedType{OperationType::linear, 0.20, 0.12},
    SimulatedType{OperationType::attention, 0.35, 0.05},
    SimulatedType{OperationType::norm, 0.35, 0.05},
    SimulatedType{OperationType::activation, 0.30, 0.05},
    SimulatedType{OperationType::elementwise, 0.30, 0.05},
    SimulatedType{OperationType::pool, 0.40, 0.03},
};

/// Standard normal and heavy-tailed draws that a seed repeats on every machine.
class Draws {
  public:
    explicit Draws(std::uint64_t seed) : generator_{seed} {}

    double uniform() { return (static_cast<double>(generator_() >> 11) + 0.5) * 0x1p-53; }
    double normal() { return std::sqrt(-2 * std::log(uniform())) * std::cos(2 * M_PI * uniform()); }
    /// Variance 1.
    double heavy_tailed() {
        double squares = 0;
        for (int i = 0; i < static_cast<int>(tail_degrees_of_freedom); ++i) {
            double const x = normal();
            squares += x * x;
        }
        return normal() * std::sqrt((tail_degrees_of_freedom - 2) / squares);
    }

  private:
    std::mt19937_64 generator_;
};

struct Kernel {
    std::size_t type;  // index into simulated_types
    double predicted_ms;
};

/// A model of 20 to 70 kernels whose mix of types is its family's.
std::vector<Kernel> kernels_of(std::vector<double> const& family_mix, Draws& draws) {
    std::vector<Kernel> kernels;
    double const scale = std::exp(draws.normal());
    for (std::size_t t = 0; t < simulated_types.size(); ++t) {
        int const count = 1 + static_cast<int>(draws.uniform() * 12);
        for (int i = 0; i < count; ++i) {
            kernels.push_back({t, scale * family_mix[t] / count * std::exp(0.8 * draws.normal())});
        }
    }
    return kernels;
}

std::vector<double> family_mix(Draws& draws) {
    std::vector<double> mix;
    for (auto const& type : simulated_types) mix.push_back(type.share * std::exp(draws.normal()));
    return mix;
}

/// Log-variance of a sum of kernels with these correlations, to first order (docs/uncertainty.md).
double variance_of_total(std::vector<Kernel> const& kernels, double error_scale) {
    double total = 0;
    for (auto const& kernel : kernels) total += kernel.predicted_ms;
    double squares = 0;
    std::map<std::size_t, double> by_type;
    double all = 0;
    for (auto const& kernel : kernels) {
        double const a =
            kernel.predicted_ms / total * simulated_types[kernel.type].deviation * error_scale;
        squares += a * a;
        by_type[kernel.type] += a;
        all += a;
    }
    double type_squares = 0;
    for (auto const& [type, a] : by_type) type_squares += a * a;
    return squares + same_type_correlation * (type_squares - squares) +
           cross_type_correlation * (all * all - type_squares);
}

double shared(double of_family, Draws& draws) {
    return std::sqrt(family_share) * of_family + std::sqrt(1 - family_share) * draws.normal();
}

}  // namespace

std::vector<ModelOutcome> simulate_outcomes(SimulatedCalibration const& what) {
    Draws draws{what.seed};
    std::vector<ModelOutcome> outcomes;
    // Five models come from four families, more from a third as many as there are models.
    int const families = std::max(std::min(what.models, 4),
                                  (what.models + models_per_family - 1) / models_per_family);
    for (int f = 0; f < families; ++f) {
        auto const mix = family_mix(draws);
        double const family_effect = draws.normal();
        std::array<double, simulated_types.size()> family_type_effects{};
        for (auto& effect : family_type_effects) effect = draws.normal();
        int const members = what.models / families + (f < what.models % families ? 1 : 0);
        for (int m = 0; m < members; ++m) {
            auto const kernels = kernels_of(mix, draws);
            double const variance = variance_of_total(kernels, what.error_scale);
            double const model_effect = shared(family_effect, draws);
            std::array<double, simulated_types.size()> type_effects{};
            for (std::size_t t = 0; t < type_effects.size(); ++t) {
                type_effects[t] = shared(family_type_effects[t], draws);
            }
            ModelOutcome outcome{
                .model = "model_" + std::to_string(f) + "_" + std::to_string(m),
                .family = "family_" + std::to_string(f),
                .batch = 1,
                .measured_ms = 0,
                .predicted_ms = 0,
                .interval = {},
                .log_variance = variance / what.variance_understatement,
                .independent_truth = true,
                .kernels = {},
            };
            for (auto const& kernel : kernels) {
                auto const& type = simulated_types[kernel.type];
                double const unit = std::sqrt(cross_type_correlation) * model_effect +
                                    std::sqrt(same_type_correlation - cross_type_correlation) *
                                        type_effects[kernel.type] +
                                    std::sqrt(1 - same_type_correlation) * draws.heavy_tailed();
                double const deviation = type.deviation * what.error_scale;
                bool const biased = !what.biased_type || *what.biased_type == type.type;
                double const bias = biased ? 1 + what.bias_percent / 100 : 1;
                // Served means include exp(v/2); so do these, or totals would seem to be too short.
                double const mean_correction = std::exp(-deviation * deviation / 2);
                double const measured =
                    kernel.predicted_ms * mean_correction * std::exp(deviation * unit);
                outcome.measured_ms += measured;
                outcome.predicted_ms += kernel.predicted_ms * bias;
                outcome.kernels.push_back({
                    .case_index = -1,
                    .type = type.type,
                    .measured_ms = measured,
                    .predicted_ms = kernel.predicted_ms * bias * mean_correction,
                    .log_variance = deviation * deviation / what.variance_understatement,
                });
            }
            double const reach = student_t_quantile(0.975, std::max(1, what.models - 1)) *
                                 std::sqrt(outcome.log_variance);
            outcome.interval = {.lower = outcome.predicted_ms * std::exp(-reach),
                                .upper = outcome.predicted_ms * std::exp(reach)};
            outcomes.push_back(std::move(outcome));
        }
    }
    return outcomes;
}

std::vector<PairedKernel> simulate_replacement(SimulatedReplacement const& what) {
    Draws draws{what.seed};
    std::vector<PairedKernel> paired;
    double const common = 0.03 * draws.normal() + std::log1p(what.common_percent / 100);
    std::vector<double> mix;
    for (int m = 0; m < what.models; ++m) {
        if (m % models_per_family == 0) mix = family_mix(draws);
        auto const kernels = kernels_of(mix, draws);
        double const slowed = m % 2 == 0 ? std::log1p(what.slowed_percent / 100) : 0;
        double const model_shift = common + 0.02 * draws.normal() + slowed;
        double total = 0;
        for (auto const& kernel : kernels) total += kernel.predicted_ms;
        for (auto const& kernel : kernels) {
            auto const& type = simulated_types[kernel.type];
            double const old_ms =
                kernel.predicted_ms * std::exp(type.deviation * draws.heavy_tailed());
            double const shift = model_shift + 0.05 * draws.normal();
            double const bias =
                type.type == what.biased_type ? std::log1p(what.type_bias_percent / 100) : 0;
            paired.push_back({
                .type = type.type,
                .model = "model_" + std::to_string(m),
                .family = "family_" + std::to_string(m / models_per_family),
                .predicted_new_ms =
                    kernel.predicted_ms * std::exp(model_shift + bias + 0.02 * draws.normal()),
                .predicted_old_ms = kernel.predicted_ms,
                .measured_new_ms = old_ms * std::exp(shift),
                .measured_old_ms = old_ms,
                .share = kernel.predicted_ms / total,
            });
        }
    }
    return paired;
}

}  // namespace derate
