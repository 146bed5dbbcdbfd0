// What the gate needs fits and predictions for.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "gate/gate.hpp"
#include "statistics/sample_summary.hpp"

namespace derate {

FitOptions fit_options_of(Calibration const& calibration) {
    bool const with_residual = std::ranges::any_of(
        calibration.curves,
        [](EfficiencyCurve const& curve) { return curve.residual_model.has_value(); });
    return {
        .residual = with_residual ? ResidualForm::gaussian_process : ResidualForm::none,
        .nested_intervals = true,
    };
}

GateComputation compute_for_gate(Calibration const& calibration, Evidence const& evidence,
                                 LeaveOut what) {
    auto const options = fit_options_of(calibration);
    auto refit = fit_calibration(evidence, options);
    auto refitted = predict_models(evidence, refit);
    return {
        .left_out = cross_validate(evidence, what, options),
        .served = predict_models(evidence, calibration),
        .refitted = std::move(refitted),
        .refit = std::move(refit),
    };
}

std::vector<PairedKernel> pair_kernels(Calibration const& current, Evidence const& current_evidence,
                                       Calibration const& replaced,
                                       Evidence const& replaced_evidence) {
    // A kernel is the same where its descriptor is; files without descriptors name it by its place.
    auto const key_of = [](Evidence const& evidence, CrossValidatedModel const& model,
                           std::size_t position) {
        auto const index = static_cast<std::size_t>(model.kernels[position].case_index);
        auto const& descriptor = evidence.cases[index].subgraph.descriptor;
        if (!descriptor.empty()) return descriptor;
        return model.model + "/" + batch_text(model.batch) + "/" + std::to_string(position);
    };
    std::map<std::string, SampleSummary> times_new;
    std::map<std::string, SampleSummary> times_old;
    auto const collect = [&](Evidence const& evidence, CrossValidation const& predicted,
                             std::map<std::string, SampleSummary>& times) {
        for (auto const& model : predicted.models) {
            for (std::size_t k = 0; k < model.kernels.size(); ++k) {
                auto& summary = times[key_of(evidence, model, k)];
                summary = merge(summary, {.count = 1, .mean = model.kernels[k].measured_ms});
            }
        }
    };
    auto const new_by_new = predict_models(current_evidence, current);
    auto const new_by_old = predict_models(current_evidence, replaced);
    auto const old_by_new = predict_models(replaced_evidence, current);
    auto const old_by_old = predict_models(replaced_evidence, replaced);
    collect(current_evidence, new_by_new, times_new);
    collect(replaced_evidence, old_by_old, times_old);

    std::vector<PairedKernel> kernels;
    std::set<std::string> seen;  // model/batch/position: once, though both evidences hold it
    auto const pair = [&](Evidence const& evidence, CrossValidation const& by_new,
                          CrossValidation const& by_old) {
        for (std::size_t m = 0; m < by_new.models.size(); ++m) {
            auto const& model = by_new.models[m];
            double total = 0;
            for (auto const& kernel : model.kernels) total += kernel.measured_ms;
            for (std::size_t k = 0; k < model.kernels.size(); ++k) {
                auto const place =
                    model.model + "/" + batch_text(model.batch) + "/" + std::to_string(k);
                if (!seen.insert(place).second) continue;
                auto const key = key_of(evidence, model, k);
                auto const measured = [&key](auto const& times) -> std::optional<double> {
                    auto const found = times.find(key);
                    if (found == times.end()) return std::nullopt;
                    return found->second.mean;
                };
                auto const index = static_cast<std::size_t>(model.kernels[k].case_index);
                kernels.push_back({
                    .type = evidence.cases[index].subgraph.type,
                    .model = model.model,
                    .family = model.family,
                    .predicted_new_ms = model.kernels[k].predicted_ms,
                    .predicted_old_ms = by_old.models[m].kernels[k].predicted_ms,
                    .measured_new_ms = measured(times_new),
                    .measured_old_ms = measured(times_old),
                    .share = model.kernels[k].measured_ms / total,
                });
            }
        }
    };
    pair(current_evidence, new_by_new, new_by_old);
    pair(replaced_evidence, old_by_new, old_by_old);
    return kernels;
}

}  // namespace derate
