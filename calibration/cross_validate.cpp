#include "calibration/cross_validate.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "calibration/curve_fit.hpp"
#include "core/input_error.hpp"
#include "estimator/prepared_model.hpp"

namespace derate {
namespace {

/// Calls `work` with 0 ... count - 1, each once, on all processors that this process may use.
///
/// An exception of `work` ends the rest and is thrown here.
void for_each_in_parallel(std::size_t count, std::function<void(std::size_t)> const& work) {
    std::atomic<std::size_t> next{0};
    std::mutex guard;
    std::exception_ptr problem;
    auto const worker = [&] {
        for (auto i = next++; i < count; i = next++) {
            try {
                work(i);
            } catch (...) {
                std::lock_guard const lock{guard};
                if (!problem) problem = std::current_exception();
                next = count;
            }
        }
    };
    {
        std::vector<std::jthread> threads;
        auto const processors = std::max(1U, std::thread::hardware_concurrency());
        for (std::size_t t = 1; t < std::min<std::size_t>(processors, count); ++t) {
            threads.emplace_back(worker);
        }
        worker();
    }
    if (problem) std::rethrow_exception(problem);
}

/// One model of `evidence` under a calibration, empty where its time is not known.
/// \param of_parts  the sum of the parts that were timed is what is predicted
std::optional<CrossValidatedModel> predict_model(Evidence const& evidence, int model_index,
                                                 CompiledCalibration const& compiled,
                                                 std::set<std::string> const& seen,
                                                 bool of_parts = false) {
    auto model = evidence.models[static_cast<std::size_t>(model_index)];
    if (of_parts) {
        model.subgraphs.clear();
        model.whole_model.reset();
    }
    auto const parts = sum_of_parts_ms(evidence, model);
    if (!parts && !model.whole_model) return std::nullopt;
    CrossValidatedModel result;
    result.model_index = model_index;
    result.model = model.name;
    result.family = model.family;
    result.batch = model.batch;
    result.campaign = model.campaign;
    result.independent_truth = model.whole_model.has_value();
    result.measured_ms = model.whole_model ? model.whole_model->center_ms : *parts;
    std::vector<Subgraph> subgraphs;
    for (int const index : model.cases) {
        auto const& kernel = evidence.cases[static_cast<std::size_t>(index)];
        subgraphs.push_back(kernel.subgraph);
        if (!parts) continue;
        auto const predicted = predict_kernel(compiled, kernel.subgraph);
        result.kernels.push_back({.case_index = index,
                                  .measured_ms = kernel.timing->center_ms,
                                  .predicted_ms = predicted.mean_seconds * ms_per_second,
                                  .log_variance = predicted.log_variance,
                                  .seen = !kernel.subgraph.descriptor.empty() &&
                                          seen.contains(kernel.subgraph.descriptor),
                                  .extrapolated = predicted.extrapolated,
                                  .unseen_regime = predicted.unseen_regime});
    }
    result.predicted =
        estimate(compiled, prepare(compiled, subgraphs, evidence.condition.partition),
                 model.whole_model ? EstimateOf::whole_model : EstimateOf::sum_of_parts);
    return result;
}

}  // namespace

std::string_view to_string(LeaveOut what) {
    switch (what) {
        case LeaveOut::family:
            return "family";
        case LeaveOut::batch:
            return "batch";
        case LeaveOut::model:
            break;
    }
    return "model";
}

double CrossValidatedModel::log_error() const {
    return std::log(measured_ms / predicted.latency_ms);
}

bool CrossValidatedModel::inside_interval() const {
    return predicted.ci_95_lower_ms <= measured_ms && measured_ms <= predicted.ci_95_upper_ms;
}

CrossValidation cross_validate(Evidence const& evidence, LeaveOut what, FitOptions const& options) {
    if (auto const broken = violations(evidence); !broken.empty()) {
        throw InputError{"evidence", broken.front(), "consistent evidence"};
    }
    // Fits see the canonical order, so that the order of files does not matter; results are told in
    // the given one.
    auto const sorted = canonical(evidence);
    FitInput const input{sorted};
    // Only what the served fit rests on takes part in any: what is judged is that fit.
    std::vector<char> served(sorted.models.size(), 0);
    std::vector<int> held_out;
    for (std::size_t m = 0; m < sorted.models.size(); ++m) {
        served[m] = sorted.models[m].role == ModelRole::calibration ? 1 : 0;
        if (served[m] == 0) held_out.push_back(static_cast<int>(m));
    }
    auto folds = what == LeaveOut::family  ? folds_by_family(sorted, served)
                 : what == LeaveOut::batch ? folds_by_batch(sorted, served)
                                           : folds_by_model(sorted, served);
    if (folds.size() < 2) {
        throw InputError{"evidence", "one " + std::string{to_string(what)} + " alone",
                         "two or more, to leave one out"};
    }
    // Nothing is left out to predict a held-out model: the served fit never saw it. Of batch sizes
    // that would be no answer.
    if (!held_out.empty() && what != LeaveOut::batch) folds.push_back(std::move(held_out));
    auto fold_options = options;
    fold_options.batches_tell = batches_tell(sorted, served);
    std::map<std::tuple<std::string, std::optional<int>, std::string>, int> fold_of;
    for (std::size_t f = 0; f < folds.size(); ++f) {
        for (int const m : folds[f]) {
            auto const& model = sorted.models[static_cast<std::size_t>(m)];
            fold_of[{model.name, model.batch,
                     sorted.campaigns[static_cast<std::size_t>(model.campaign)].id}] =
                static_cast<int>(f);
        }
    }
    // Folds do not know of each other, so they run beside each other, and the result is the same.
    std::vector<std::vector<CrossValidatedModel>> of_fold(folds.size());
    for_each_in_parallel(folds.size(), [&](std::size_t f) {
        auto rest = served;
        for (int const m : folds[f]) rest[static_cast<std::size_t>(m)] = 0;
        if (input.cases_of(rest).empty()) return;  // the rest has no parts timed
        auto calibration = fit_curves(input, rest, fold_options);
        if (options.nested_intervals) fit_intervals(calibration, input, rest, fold_options);
        CompiledCalibration const compiled{calibration};
        std::set<std::string> seen;
        for (int const index : input.cases_of(rest)) {
            seen.insert(sorted.cases[static_cast<std::size_t>(index)].subgraph.descriptor);
        }
        for (std::size_t m = 0; m < evidence.models.size(); ++m) {
            auto const& model = evidence.models[m];
            auto const fold =
                fold_of.find({model.name, model.batch,
                              evidence.campaigns[static_cast<std::size_t>(model.campaign)].id});
            if (fold == fold_of.end() || fold->second != static_cast<int>(f)) continue;
            if (auto predicted = predict_model(evidence, static_cast<int>(m), compiled, seen,
                                               what == LeaveOut::batch)) {
                of_fold[f].push_back(std::move(*predicted));
            }
        }
    });
    CrossValidation result;
    result.left_out = what;
    for (auto& models : of_fold) std::ranges::move(models, std::back_inserter(result.models));
    std::ranges::sort(result.models, {}, &CrossValidatedModel::model_index);
    return result;
}

CrossValidation predict_models(Evidence const& evidence, Calibration const& calibration) {
    CompiledCalibration const compiled{calibration};
    CrossValidation result;
    for (std::size_t m = 0; m < evidence.models.size(); ++m) {
        if (auto predicted = predict_model(evidence, static_cast<int>(m), compiled, {})) {
            result.models.push_back(std::move(*predicted));
        }
    }
    return result;
}

}  // namespace derate
