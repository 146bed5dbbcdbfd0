#include "gate/validation.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "calibration/bins.hpp"
#include "core/input_error.hpp"
#include "statistics/mean_tests.hpp"
#include "statistics/multiple_testing.hpp"
#include "statistics/quantiles.hpp"

namespace derate {
namespace {

/// Kernels of one type and one half-decade of work (bytes for kernels without FLOPs).
struct Group {
    OperationType type;
    bool zero_flop;
    WorkBin bin;
    bool unseen_regime;

    [[nodiscard]] auto key() const {
        return std::tuple{static_cast<int>(type), zero_flop, bin.lower, unseen_regime};
    }
    bool operator<(Group const& other) const { return key() < other.key(); }
};

struct GroupTotals {
    double variance_share = 0;               // summed over models
    std::map<std::string, double> by_shape;  // share_i sd_i
    std::map<std::string, double> by_model;
    std::map<std::string, double> ms_by_shape;  // measured time of one run
};

/// What a person types to find the kernel again: its descriptor, or the pattern and shapes.
std::string shape_of(Subgraph const& subgraph) {
    if (!subgraph.descriptor.empty()) return subgraph.descriptor;
    std::string shape = subgraph.fusion_pattern;
    if (!subgraph.nodes.empty()) {
        shape += " on";
        for (auto const extent : subgraph.nodes.front().input_shape) {
            shape += ' ';
            shape += std::to_string(extent);
        }
    }
    return shape;
}

std::vector<std::string> largest(std::map<std::string, double> const& amounts, std::size_t most) {
    std::vector<std::pair<std::string, double>> sorted(amounts.begin(), amounts.end());
    std::ranges::stable_sort(sorted, std::greater{}, &std::pair<std::string, double>::second);
    std::vector<std::string> names;
    for (auto const& [name, amount] : sorted) {
        if (names.size() < most) names.push_back(name);
    }
    return names;
}

struct KernelWork {
    OperationType type;
    bool zero_flop;
    double work;  ///< FLOP, or bytes where it has none
};

Subgraph const& subgraph_of(Evidence const& evidence, KernelOutcome const& kernel) {
    return evidence.cases.at(static_cast<std::size_t>(kernel.case_index)).subgraph;
}

KernelWork work_of(Evidence const& evidence, KernelOutcome const& kernel) {
    auto const& subgraph = subgraph_of(evidence, kernel);
    bool const zero_flop = !(subgraph.work.value() > 0);
    return {subgraph.type, zero_flop,
            zero_flop ? subgraph.traffic.total().value() : subgraph.work.value()};
}

std::map<Group, GroupTotals> group_kernels(std::span<ModelOutcome const> outcomes,
                                           Evidence const& evidence) {
    std::map<Group, GroupTotals> groups;
    auto const with_kernels = static_cast<double>(std::ranges::count_if(
        outcomes, [](ModelOutcome const& outcome) { return !outcome.kernels.empty(); }));
    for (auto const& outcome : outcomes) {
        std::map<Group, double> parts;  // sum of share_i sd_i
        std::map<Group, double> known;  // the same of kernels that measuring tells nothing new of
        double total_ms = 0;
        for (auto const& kernel : outcome.kernels) total_ms += kernel.predicted_ms;
        for (auto const& kernel : outcome.kernels) {
            auto const [type, zero_flop, work] = work_of(evidence, kernel);
            if (!(work > 0)) continue;
            Group const group{type, zero_flop, work_bin_of(work), kernel.unseen_regime};
            double const part =
                kernel.predicted_ms / total_ms * std::sqrt(std::max(0.0, kernel.log_variance));
            if (kernel.fitted_on) {
                known[group] += part;
                continue;
            }
            parts[group] += part;
            auto& totals = groups[group];
            auto const shape = shape_of(subgraph_of(evidence, kernel));
            totals.by_shape[shape] += part;
            totals.by_model[model_in_words(outcome.model, outcome.batch)] += part;
            totals.ms_by_shape[shape] = kernel.measured_ms;
        }
        double squares = 0;
        for (auto const& [group, part] : known) squares += part * part;
        for (auto const& [group, part] : parts) squares += part * part;
        if (!(squares > 0)) continue;
        for (auto const& [group, part] : parts) {
            groups[group].variance_share += part * part / squares / with_kernels;
        }
    }
    return groups;
}

void add_statistics(Validation& validation, Evidence const& evidence) {
    validation.types = validate_types(validation.outcomes);
    validation.sizes = validate_sizes(validation.outcomes, evidence);
    validation.decompositions = decompose_errors(validation.outcomes);
    std::vector<double> z;
    for (auto const& outcome : validation.outcomes) {
        if (outcome.log_variance > 0) z.push_back(outcome.standardised());
    }
    validation.normality = shapiro_wilk(z);
}

}  // namespace

std::vector<TypeValidation> validate_types(std::span<ModelOutcome const> outcomes) {
    struct Totals {
        std::vector<double> errors;
        double weight = 0;
        double weighted_log = 0;
        double squares = 0;
        int inside = 0;
        std::map<std::string, std::pair<double, double>> by_model;  // weight, weighted log ratio
    };
    std::map<OperationType, Totals> types;
    double all_weight = 0;
    for (auto const& outcome : outcomes) {
        double total_ms = 0;
        for (auto const& kernel : outcome.kernels) total_ms += kernel.predicted_ms;
        for (auto const& kernel : outcome.kernels) {
            auto& totals = types[kernel.type];
            double const e = kernel.log_error();
            double const weight = kernel.predicted_ms / total_ms;
            totals.errors.push_back(100 * std::abs(std::expm1(-e)));
            totals.weight += weight;
            totals.weighted_log -= weight * e;
            double const z_squared = kernel.log_variance > 0 ? e * e / kernel.log_variance : 0;
            totals.squares += z_squared;
            totals.inside += z_squared <= 1.96 * 1.96 ? 1 : 0;
            auto& [model_weight, model_log] = totals.by_model[outcome.model];
            model_weight += weight;
            model_log -= weight * e;
            all_weight += weight;
        }
    }
    std::vector<TypeValidation> result;
    std::vector<double> p_values;
    std::vector<std::size_t> tested;
    for (auto const& [type, totals] : types) {
        auto const kernels = static_cast<double>(totals.errors.size());
        std::vector<double> model_means;
        for (auto const& [model, sums] : totals.by_model) {
            model_means.push_back(sums.second / sums.first);
        }
        if (auto const test = one_sample_t_test(model_means)) {
            tested.push_back(result.size());
            p_values.push_back(test->p_value);
        }
        result.push_back({
            .type = type,
            .kernels = static_cast<int>(totals.errors.size()),
            .models = static_cast<int>(totals.by_model.size()),
            .time_share = totals.weight / all_weight,
            .median_error_percent = median(totals.errors),
            .bias_percent = 100 * std::expm1(totals.weighted_log / totals.weight),
            .coverage_95 = totals.inside / kernels,
            .variance_ratio = totals.squares / kernels,
        });
    }
    auto const adjusted = holm_adjusted(p_values);
    for (std::size_t i = 0; i < tested.size(); ++i) result[tested[i]].bias_p_value = adjusted[i];
    std::ranges::stable_sort(result, std::greater{}, &TypeValidation::time_share);
    return result;
}

std::vector<SizeValidation> validate_sizes(std::span<ModelOutcome const> outcomes,
                                           Evidence const& evidence) {
    struct Totals {
        WorkBin bin;
        std::vector<double> errors;
        int inside = 0;
    };
    std::map<std::pair<bool, double>, Totals> sizes;  // without FLOPs, lower edge
    for (auto const& outcome : outcomes) {
        for (auto const& kernel : outcome.kernels) {
            auto const [type, zero_flop, work] = work_of(evidence, kernel);
            if (!(work > 0)) continue;
            auto const bin = work_bin_of(work);
            auto& totals = sizes[{zero_flop, bin.lower}];
            totals.bin = bin;
            double const e = kernel.log_error();
            totals.errors.push_back(100 * std::abs(std::expm1(-e)));
            totals.inside += e * e <= 1.96 * 1.96 * kernel.log_variance ? 1 : 0;
        }
    }
    std::vector<SizeValidation> result;
    for (auto const& [key, totals] : sizes) {
        auto const kernels = static_cast<double>(totals.errors.size());
        result.push_back({.size = to_string(totals.bin) + (key.first ? " bytes" : " FLOP"),
                          .kernels = static_cast<int>(totals.errors.size()),
                          .median_error_percent = median(totals.errors),
                          .coverage_95 = totals.inside / kernels});
    }
    return result;
}

std::vector<ErrorDecomposition> decompose_errors(std::span<ModelOutcome const> outcomes) {
    std::vector<ErrorDecomposition> decompositions;
    for (auto const& outcome : outcomes) {
        std::map<OperationType, double> parts;
        double explained = 0;
        for (auto const& kernel : outcome.kernels) {
            double const percent =
                100 * (kernel.predicted_ms - kernel.measured_ms) / outcome.measured_ms;
            parts[kernel.type] += percent;
            explained += percent;
        }
        ErrorDecomposition decomposition{
            .model = outcome.model, .batch = outcome.batch, .parts = {}, .context_percent = {}};
        if (!outcome.kernels.empty()) {
            decomposition.context_percent = outcome.error_percent() - explained;
        }
        for (auto const& [type, percent] : parts) decomposition.parts.push_back({type, percent});
        std::ranges::stable_sort(decomposition.parts, std::greater{},
                                 [](auto const& part) { return std::abs(part.percent); });
        decompositions.push_back(std::move(decomposition));
    }
    return decompositions;
}

std::vector<Recommendation> recommend(std::span<ModelOutcome const> outcomes,
                                      Evidence const& evidence, int most) {
    if (outcomes.empty()) return {};
    constexpr std::size_t shapes_each = 4;
    constexpr double repetitions = 50;
    constexpr double warm_up_factor = 3;  // untimed calls around each timed one, cold caches
    double const half_width = median_half_width_percent(outcomes);
    std::vector<Recommendation> recommendations;
    for (auto const& [group, totals] : group_kernels(outcomes, evidence)) {
        Recommendation one{
            .type = group.type,
            .size = to_string(group.bin).append(group.zero_flop ? " bytes" : " FLOP"),
            .unseen_regime = group.unseen_regime,
            .variance_share = totals.variance_share,
            .half_width_percent = half_width,
            .narrowed_half_width_percent =
                half_width * std::sqrt(std::max(0.0, 1 - totals.variance_share)),
            .shapes = largest(totals.by_shape, shapes_each),
            .models = largest(totals.by_model, 3),
        };
        for (auto const& shape : one.shapes) {
            one.seconds += totals.ms_by_shape.at(shape) / 1e3 * repetitions * (1 + warm_up_factor);
        }
        recommendations.push_back(std::move(one));
    }
    // An unseen regime comes first where it matters at all: its true variance is not known.
    constexpr double negligible = 0.005;
    auto const comes_first = [](Recommendation const& r) {
        return r.unseen_regime && r.variance_share >= negligible;
    };
    std::ranges::stable_sort(recommendations, [&](auto const& a, auto const& b) {
        if (comes_first(a) != comes_first(b)) return comes_first(a);
        return a.variance_share > b.variance_share;
    });
    if (std::ssize(recommendations) > most) {
        recommendations.resize(static_cast<std::size_t>(most));
    }
    return recommendations;
}

namespace {

/// The models that the calibration was not fitted on, with all their kernels: one that it was
/// needs no advice to be calibrated on. Left out for the judgement, its kernels only seem unseen.
std::vector<ModelOutcome> held_out_as_predicted(Calibration const& calibration,
                                                Evidence const& evidence) {
    std::set<int> fitted;
    for (auto const& model : evidence.models) {
        if (model.role == ModelRole::calibration)
            fitted.insert(model.cases.begin(), model.cases.end());
    }
    std::vector<UntimedModel> models;
    for (auto const& model : evidence.models) {
        if (model.role != ModelRole::held_out || model.cases.empty()) continue;
        models.push_back({.name = model.name,
                          .family = model.family,
                          .batch = model.batch,
                          .partition = evidence.condition.partition,
                          .subgraphs = {},
                          .cases = model.cases});
        for (int const index : model.cases) {
            models.back().subgraphs.push_back(
                evidence.cases.at(static_cast<std::size_t>(index)).subgraph);
        }
    }
    auto outcomes = outcomes_as_predicted(calibration, models);
    for (auto& outcome : outcomes) {
        for (auto& kernel : outcome.kernels) {
            auto const& timed = evidence.cases[static_cast<std::size_t>(kernel.case_index)];
            kernel.fitted_on = timed.timing && (timed.probe || fitted.contains(kernel.case_index));
        }
    }
    return outcomes;
}

}  // namespace

Validation validate(GateSubject const& subject, std::optional<GateComputation> const& computation,
                    std::span<PairedKernel const> replaced, GateLimits const& limits) {
    Validation validation{.hardware_id = subject.calibration.hardware_id};
    validation.gate = judge(subject, computation, replaced, limits);
    if (!subject.evidence || !computation) {
        validation.judged_by = "the file alone";
        return validation;
    }
    validation.left_out = computation->left_out.left_out;
    validation.judged_by =
        "leaving out each " + std::string{to_string(computation->left_out.left_out)};
    validation.outcomes = outcomes_of(computation->left_out, *subject.evidence);
    validation.floor = noise_floor(*subject.evidence);
    validation.recommendations =
        recommend(held_out_as_predicted(subject.calibration, *subject.evidence), *subject.evidence);
    add_statistics(validation, *subject.evidence);
    return validation;
}

Validation validate_stored(StoredCalibration const& stored, StoredCalibration const* replaced,
                           LeaveOut what, GateLimits const& limits) {
    GateSubject subject{.calibration = stored.calibration.value_or(Calibration{}),
                        .evidence = stored.evidence,
                        .schema_violations = stored.violations,
                        .evidence_files = stored.evidence_files};
    std::optional<GateComputation> computation;
    std::vector<PairedKernel> pairs;
    if (stored.calibration && stored.evidence) {
        try {
            computation = compute_for_gate(subject.calibration, *subject.evidence, what);
        } catch (InputError const&) {
            // One model or family alone: judge() then says that nothing can be left out.
            computation.reset();
        }
        if (replaced != nullptr && replaced->calibration && replaced->evidence) {
            pairs = pair_kernels(subject.calibration, *subject.evidence, *replaced->calibration,
                                 *replaced->evidence);
        }
    }
    return validate(subject, computation, pairs, limits);
}

void record_claims(Calibration& calibration, Validation const& validation) {
    if (!validation.left_out || validation.outcomes.empty()) return;
    auto const verdict = std::string{to_string(validation.gate.verdict())};
    for (auto& claim : calibration.claims) claim.verdict = verdict;
    auto const way = std::string{to_string(*validation.left_out)};
    if (std::ranges::count(calibration.claims, way, &ValidationClaim::leave_out) > 0) return;
    auto const& outcomes = validation.outcomes;
    calibration.claims.push_back(
        {.leave_out = way,
         .models = static_cast<int>(outcomes.size()),
         .mape_percent = mape_percent(outcomes),
         .bias_percent = bias_percent(outcomes),
         .coverage_95 = coverage(outcomes),
         .median_half_width_percent = median_half_width_percent(outcomes),
         .noise_floor_percent =
             validation.floor ? std::optional{validation.floor->percent} : std::nullopt,
         .verdict = verdict});
}

namespace {

/// The rules that need nothing but outcomes and what they were measured with.
void judge_outcomes(Validation& validation, CurveSource source, Evidence const& measured,
                    GateLimits const& limits) {
    auto& results = validation.gate.results;
    results.push_back(judge_independent_truth(source, measured));
    results.push_back(judge_measurement_quality(measured, limits));
    results.push_back(judge_noise_floor(validation.floor, validation.outcomes, limits));
    results.push_back(judge_accuracy(validation.outcomes, limits));
    results.push_back(judge_bias(validation.outcomes, limits));
    results.push_back(judge_variance(validation.outcomes, limits));
    results.push_back(judge_coverage(validation.outcomes, limits));
    validation.recommendations = recommend(validation.outcomes, measured);
    add_statistics(validation, measured);
}

}  // namespace

Validation validate_campaign(Evidence const& evidence, std::string_view campaign, LeaveOut what,
                             FitOptions const& options, GateLimits const& limits) {
    auto const part = only_campaign(evidence, campaign);
    if (!part) {
        std::string ids;
        for (auto const& known : evidence.campaigns) {
            ids += (ids.empty() ? "" : ", ") + known.id;
        }
        throw InputError{"--campaign " + std::string{campaign}, "not in the evidence",
                         "one of " + ids};
    }
    Validation validation{.hardware_id = evidence.hardware.id,
                          .judged_by = "campaign " + std::string{campaign} +
                                       " alone, leaving out each " + std::string{to_string(what)}};
    validation.outcomes = outcomes_of(cross_validate(*part, what, options), *part);
    validation.floor = noise_floor(evidence);
    bool const imported = std::ranges::any_of(
        part->campaigns, [&](Campaign const& one) { return one.id == campaign && one.imported; });
    judge_outcomes(validation, imported ? CurveSource::imported : CurveSource::measured, *part,
                   limits);
    return validation;
}

Validation validate_on(Calibration const& calibration, Evidence const& measured,
                       GateLimits const& limits) {
    Validation validation{.hardware_id = calibration.hardware_id,
                          .judged_by = "measurements it was not made from"};
    validation.outcomes = outcomes_of(predict_models(measured, calibration), measured);
    validation.floor = noise_floor(measured);
    judge_outcomes(validation, calibration.source, measured, limits);
    return validation;
}

}  // namespace derate
