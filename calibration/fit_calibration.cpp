#include "calibration/fit_calibration.hpp"

#include <algorithm>

#include "calibration/bins.hpp"
#include "calibration/curve_fit.hpp"
#include "calibration/curve_fits.hpp"
#include "core/input_error.hpp"

namespace derate {

Calibration fit_calibration(Evidence const& given, FitOptions const& options) {
    if (auto const broken = violations(given); !broken.empty()) {
        throw InputError{"evidence", broken.front(), "consistent evidence"};
    }
    auto evidence = canonical(given);
    std::erase_if(evidence.models,
                  [](EvidenceModel const& model) { return model.role == ModelRole::held_out; });
    if (evidence.models.empty()) {
        throw InputError{"evidence", "no calibration model", "one model or more"};
    }
    FitInput const input{evidence};
    std::vector<char> const all(evidence.models.size(), 1);
    auto calibration = fit_curves(input, all, options);
    if (options.nested_intervals) fit_intervals(calibration, input, all, options);

    calibration.peak_flops = evidence.hardware.compute_peak(evidence.precision, evidence.threads);
    calibration.peak_bandwidth = evidence.hardware.bandwidth_peak(evidence.threads);
    // Data points show what the fit rests on; cases of held-out models alone are not among it.
    for (auto& curve : calibration.curves) {
        auto const& peak =
            curve.axis == WorkAxis::flops ? calibration.peak_flops : calibration.peak_bandwidth;
        if (!peak) continue;
        auto const kernels = kernel_efficiencies_of(evidence, curve.type, curve.zero_flop, *peak);
        curve.data_points = data_points_of(kernels);
        if (!options.other_shapes) continue;
        for (auto const form : all_curve_forms) {
            if (auto const fit = fit_curve(kernels, form)) {
                curve.diagnostics.push_back(to_fitted_curve(*fit));
            }
        }
    }
    auto& provenance = calibration.provenance;
    for (auto const& model : evidence.models) {
        if (provenance.models_used.empty() || provenance.models_used.back() != model.name) {
            provenance.models_used.push_back(model.name);
        }
    }
    for (int const index : input.cases_of(all)) {
        provenance.num_samples += evidence.cases[static_cast<std::size_t>(index)].timing->samples;
    }
    for (auto const& campaign : evidence.campaigns) {
        provenance.date = std::max(provenance.date, campaign.date);
        provenance.origin = campaign.origin;
        provenance.trust_grade = campaign.trust_grade;
        provenance.environment_hash = campaign.environment_hash;
        provenance.samples_sha256 = campaign.samples_sha256;
    }
    return calibration;
}

}  // namespace derate
