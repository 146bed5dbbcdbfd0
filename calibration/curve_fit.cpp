#include "calibration/curve_fit.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/input_error.hpp"
#include "estimator/roofline.hpp"

namespace derate {
namespace {

constexpr int least_models_beyond_cache = 4;
constexpr int least_models_for_operator_cost = 5;
constexpr double operator_cost_step_seconds = 0.25e-6;
/// With four the likelihood took for the batch's what was the families': leaving those out, the
/// imports were predicted worse by it (i7 11.8 % instead of 10.5, Orin 12.2 instead of 11.0).
constexpr int least_batches_to_tell = 5;
constexpr int operator_cost_steps = 80;  // up to 20 us

std::vector<std::vector<int>> folds_by(Evidence const& evidence, std::vector<char> const& models,
                                       auto const& name_of) {
    std::map<std::string, std::vector<int>> groups;
    for (std::size_t i = 0; i < evidence.models.size(); ++i) {
        if (models[i]) groups[name_of(evidence.models[i])].push_back(static_cast<int>(i));
    }
    std::vector<std::vector<int>> folds;
    for (auto& [name, members] : groups) folds.push_back(std::move(members));
    return folds;
}

RooflineShape roofline_shape(FitInput const& input, std::vector<char> const& models) {
    auto const& evidence = input.evidence();
    RooflineShape shape;
    if (evidence.hardware.kind == DeviceKind::gpu) shape.flop_exponent = shape.byte_exponent = 0.5;
    auto const used = input.cases_of(models);
    shape.joined_flops = std::ranges::any_of(
        used, [&](int index) { return input.row(index).terms.joined_flops > 0; });
    auto const cache = evidence.hardware.last_level_cache_bytes;
    if (!cache) return shape;
    std::set<std::string> beyond;
    for (std::size_t m = 0; m < models.size(); ++m) {
        if (!models[m]) continue;
        for (int const index : evidence.models[m].cases) {
            if (input.row(index).terms.activation_bytes > *cache) {
                beyond.insert(evidence.models[m].name);
                break;
            }
        }
    }
    if (static_cast<int>(beyond.size()) >= least_models_beyond_cache) {
        shape.last_level_cache_bytes = cache;
    }
    return shape;
}

struct WholeAndParts {
    double whole_seconds = 0;
    double parts_seconds = 0;
    double operators = 0;
    double bytes = 0;
};

/// Of log(whole / (parts + operator_seconds * operators)).
struct LogRatios {
    double mean = 0;
    double sum_squares = 0;  ///< of deviations from the mean
};

LogRatios log_ratios(std::vector<WholeAndParts> const& models, double operator_seconds) {
    LogRatios result;
    auto const count = static_cast<double>(models.size());
    auto const log_ratio = [&](WholeAndParts const& model) {
        return std::log(model.whole_seconds /
                        (model.parts_seconds + operator_seconds * model.operators));
    };
    for (auto const& model : models) result.mean += log_ratio(model) / count;
    for (auto const& model : models) {
        double const deviation = log_ratio(model) - result.mean;
        result.sum_squares += deviation * deviation;
    }
    return result;
}

/// The factor and cost with which whole / (parts + cost) differs least from model to model. The
/// cost is one of finitely many, so that rounding on another processor cannot change it.
///
/// \param models  one or more
ContextFactor fitted_context(std::vector<WholeAndParts> const& models) {
    ContextFactor context;
    context.models = static_cast<int>(models.size());
    auto best = log_ratios(models, 0);
    if (context.models >= least_models_for_operator_cost) {
        for (int step = 1; step <= operator_cost_steps; ++step) {
            double const operator_seconds = step * operator_cost_step_seconds;
            auto const ratios = log_ratios(models, operator_seconds);
            if (ratios.sum_squares >= best.sum_squares) continue;
            best = ratios;
            context.operator_seconds = operator_seconds;
        }
    }
    context.factor = std::exp(best.mean);
    double const least = std::ranges::min_element(models, {}, &WholeAndParts::bytes)->bytes;
    if (least > 0) context.least_model_bytes = least;
    return context;
}

/// What the largest kernel of those models writes.
std::optional<double> largest_output_bytes(Evidence const& evidence,
                                           std::vector<char> const& models,
                                           std::optional<Timing> EvidenceModel::*whole) {
    double largest = 0;
    for (std::size_t m = 0; m < models.size(); ++m) {
        auto const& model = evidence.models[m];
        if (!models[m] || !(model.*whole)) continue;
        for (int const index : model.cases) {
            auto const& kernel = evidence.cases[static_cast<std::size_t>(index)].subgraph;
            largest = std::max(largest, kernel.traffic.output.value());
        }
    }
    return largest > 0 ? std::optional{largest} : std::nullopt;
}

/// What whole models take beyond their parts, and how far a model lies from what the others say.
///
/// \param whole  which of their times
ContextFactor context_factor(FitInput const& input, std::vector<char> const& models,
                             std::optional<Timing> EvidenceModel::*whole) {
    auto const& evidence = input.evidence();
    std::vector<WholeAndParts> timed;
    for (std::size_t m = 0; m < models.size(); ++m) {
        auto const& model = evidence.models[m];
        if (!models[m] || !(model.*whole)) continue;
        auto const parts_ms = sum_of_parts_ms(evidence, model);
        if (!parts_ms) continue;
        double operators = 0;
        double bytes = 0;
        for (int const index : model.cases) {
            auto const& terms = input.row(index).terms;
            operators += terms.kernels;
            bytes += terms.bytes;
        }
        timed.push_back({.whole_seconds = (model.*whole)->center_ms / ms_per_second,
                         .parts_seconds = *parts_ms / ms_per_second,
                         .operators = operators,
                         .bytes = bytes});
    }
    if (timed.empty()) return {};
    auto context = fitted_context(timed);
    if (timed.size() < 2) return context;
    double sum_squares = 0;
    for (std::size_t left_out = 0; left_out < timed.size(); ++left_out) {
        auto others = timed;
        others.erase(others.begin() + static_cast<std::ptrdiff_t>(left_out));
        auto const fit = fitted_context(others);
        auto const& model = timed[left_out];
        // In full for the smallest too: what one beyond the others adds is widened for apart.
        double const error =
            std::log(model.whole_seconds /
                     (fit.factor * (model.parts_seconds + fit.operator_seconds * model.operators)));
        sum_squares += error * error;
    }
    context.relative_std = std::sqrt(sum_squares / static_cast<double>(timed.size()));
    return context;
}

void widen(std::optional<Interval>& range, double value) {
    if (!(value > 0)) return;
    if (!range) range = Interval{value, value};
    range->lower = std::min(range->lower, value);
    range->upper = std::max(range->upper, value);
}

/// A curve's fitted form with the ranges and regimes of the cases it rests on.
EfficiencyCurve curve_of(FittedCurve fitted, std::vector<int> const& cases, FitInput const& input,
                         bool zero_flop) {
    EfficiencyCurve curve;
    curve.zero_flop = zero_flop;
    curve.axis = zero_flop ? WorkAxis::bytes : WorkAxis::flops;
    curve.fitted_curve = std::move(fitted);
    std::set<std::string> regimes;
    for (int const index : cases) {
        auto const& terms = input.row(index).terms;
        widen(curve.work_range, zero_flop ? terms.bytes : terms.flops);
        widen(curve.byte_range, terms.bytes);
        regimes.insert(input.shape(index).regime);
    }
    curve.regimes.assign(regimes.begin(), regimes.end());
    curve.kernels = static_cast<int>(cases.size());
    return curve;
}

}  // namespace

FitInput::FitInput(Evidence const& evidence) : evidence_{&evidence} {
    for (auto const& kernel : evidence.cases) {
        auto const& subgraph = kernel.subgraph;
        rows_.push_back({.type = subgraph.type,
                         .zero_flop = !(subgraph.work.value() > 0),
                         .terms = roofline_terms(subgraph),
                         .seconds = kernel.timing ? kernel.timing->center_ms / ms_per_second : 0});
        shapes_.push_back(
            {.features = shape_features(subgraph), .regime = regime_of(subgraph), .residual = 0});
    }
}

std::vector<int> FitInput::cases_of(std::vector<char> const& models) const {
    std::vector<char> used(rows_.size(), 0);
    for (std::size_t m = 0; m < models.size(); ++m) {
        if (!models[m]) continue;
        for (int const index : evidence_->models[m].cases) used[at(index)] = 1;
    }
    std::vector<int> cases;
    for (std::size_t i = 0; i < used.size(); ++i) {
        auto const& kernel = evidence_->cases[i];
        if (kernel.timing && (used[i] || kernel.probe)) cases.push_back(static_cast<int>(i));
    }
    return cases;
}

std::vector<std::vector<int>> folds_by_model(Evidence const& evidence,
                                             std::vector<char> const& models) {
    return folds_by(evidence, models, [](EvidenceModel const& model) { return model.name; });
}

std::vector<std::vector<int>> folds_by_family(Evidence const& evidence,
                                              std::vector<char> const& models) {
    return folds_by(evidence, models, [](EvidenceModel const& model) { return model.family; });
}

std::vector<std::vector<int>> folds_by_batch(Evidence const& evidence,
                                             std::vector<char> const& models) {
    return folds_by(evidence, models,
                    [](EvidenceModel const& model) { return batch_text(model.batch); });
}

bool batches_tell(Evidence const& evidence, std::vector<char> const& models) {
    return static_cast<int>(folds_by_batch(evidence, models).size()) >= least_batches_to_tell;
}

std::vector<std::vector<int>> folds_across_families(Evidence const& evidence,
                                                    std::vector<char> const& models) {
    constexpr std::size_t count = 5;
    std::vector<std::vector<int>> folds(count);
    std::size_t next = 0;
    for (auto const& family : folds_by_family(evidence, models)) {
        std::string last_name;
        for (int const m : family) {
            // All batch sizes of a model stay together.
            auto const& name = evidence.models[static_cast<std::size_t>(m)].name;
            if (name != last_name) ++next;
            last_name = name;
            folds[next % count].push_back(m);
        }
    }
    std::erase_if(folds, [](auto const& fold) { return fold.empty(); });
    return folds;
}

Calibration fit_curves(FitInput const& input, std::vector<char> const& models,
                       FitOptions const& options,
                       std::optional<ProcessHyperparameters> hyperparameters) {
    auto const cases = input.cases_of(models);
    if (cases.empty()) throw InputError{"evidence", "no timed kernel", "one model or more"};
    std::vector<RooflineRow> rows;
    std::map<CurveKey, std::vector<int>> cases_of_type;
    std::map<ParentType, std::vector<int>> cases_of_parent;
    for (int const index : cases) {
        auto const& row = input.row(index);
        rows.push_back(row);
        cases_of_type[{row.type, row.zero_flop}].push_back(index);
        cases_of_parent[parent_of(row.type)].push_back(index);
    }
    auto fits = fit_additive_rooflines(rows, roofline_shape(input, models));

    Calibration calibration;
    auto const& evidence = input.evidence();
    calibration.hardware_id = evidence.hardware.id;
    calibration.condition = evidence.condition;
    calibration.condition.execution.device = evidence.hardware.kind;
    calibration.context = context_factor(input, models, &EvidenceModel::whole_model);
    // Without a spread there is no interval to print.
    if (auto context = context_factor(input, models, &EvidenceModel::whole_model_default_allocator);
        context.relative_std) {
        context.largest_output_bytes = largest_output_bytes(
            evidence, models, &EvidenceModel::whole_model_default_allocator);
        calibration.default_allocator_context = context;
    }
    std::set<std::string, std::less<>> joined;
    for (int const index : cases) {
        for (auto const op :
             joined_operators(evidence.cases[static_cast<std::size_t>(index)].subgraph)) {
            joined.emplace(op);
        }
    }
    // Foreign files name modules: which operators their kernels hold is unknown.
    if (!joined.empty()) calibration.joined_operators.emplace(joined.begin(), joined.end());
    bool const imported = std::any_of(cases.begin(), cases.end(), [&](int index) {
        auto const& kernel = evidence.cases[static_cast<std::size_t>(index)];
        return evidence.campaigns[static_cast<std::size_t>(kernel.campaign)].imported;
    });
    calibration.source = imported ? CurveSource::imported : CurveSource::measured;

    std::vector<TypeObservations> residuals;
    for (auto const& [key, members] : cases_of_type) {
        auto curve = curve_of(std::move(fits.types.at(key)), members, input, key.second);
        curve.type = key.first;
        curve.source = calibration.source;
        auto const& form = std::get<AdditiveRoofline>(curve.fitted_curve->form);
        auto& observations =
            residuals.emplace_back(TypeObservations{.group = feature_group_of(curve.type)})
                .observations;
        for (int const index : members) {
            auto observation = input.shape(index);
            auto const& row = input.row(index);
            observation.residual =
                std::log(row.seconds) -
                std::log(roofline_seconds(form, roofline_factors(form, row.terms)).total());
            observations.push_back(std::move(observation));
        }
        calibration.curves.push_back(std::move(curve));
    }
    for (auto const& [parent, members] : cases_of_parent) {
        auto curve = curve_of(std::move(fits.parents.at(parent)), members, input, false);
        curve.source = calibration.source;
        curve.regimes.clear();  // a parent's fit knows no regimes
        calibration.parent_curves.emplace(to_string(parent), std::move(curve));
    }
    auto device = curve_of(std::move(fits.device), cases, input, false);
    device.source = calibration.source;
    device.regimes.clear();
    calibration.parent_curves.emplace("device", std::move(device));

    if (options.residual == ResidualForm::gaussian_process) {
        if (!hyperparameters) {
            hyperparameters = fit_hyperparameters(
                residuals, options.batches_tell.value_or(batches_tell(evidence, models)));
        }
        for (std::size_t i = 0; i < residuals.size(); ++i) {
            calibration.curves[i].residual_model = fit_residual_process(
                residuals[i].observations, residuals[i].group, *hyperparameters);
        }
    }
    return calibration;
}

}  // namespace derate
