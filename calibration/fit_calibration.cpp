#include "calibration/fit_calibration.hpp"

#include <algorithm>
#include <set>

#include "calibration/bins.hpp"
#include "calibration/curve_fit.hpp"
#include "calibration/curve_fits.hpp"
#include "core/input_error.hpp"

namespace derate {
namespace {

/// What all campaigns say alike; empty where they differ or one does not know.
std::optional<std::string> common(std::vector<Campaign> const& campaigns,
                                  std::optional<std::string> Campaign::*field) {
    auto const& first = campaigns.front().*field;
    bool const alike = std::ranges::all_of(
        campaigns, [&](Campaign const& campaign) { return campaign.*field == first; });
    return alike ? first : std::nullopt;
}

/// The worst grade. A campaign without one may be worse than all that have one, unless those are as
/// bad as can be.
std::optional<std::string> worst_grade(std::vector<Campaign> const& campaigns) {
    std::optional<std::string> worst;
    bool all_known = true;
    for (auto const& campaign : campaigns) {
        all_known = all_known && campaign.trust_grade;
        worst = std::max(worst, campaign.trust_grade);  // empty sorts first
    }
    return all_known || worst == "D" ? worst : std::nullopt;
}

/// Of several campaigns the chain is as strong as the weakest.
void set_campaigns(Provenance& provenance, std::vector<Campaign> const& campaigns) {
    std::vector<std::string> dates;
    std::vector<std::string> origins;
    for (auto const& campaign : campaigns) {
        if (!campaign.date.empty()) dates.push_back(campaign.date);
        if (std::ranges::find(origins, campaign.origin) == origins.end()) {
            origins.push_back(campaign.origin);
        }
    }
    if (!dates.empty()) {
        auto const [oldest, newest] = std::ranges::minmax(dates);
        provenance.date = newest;
        if (oldest != newest) provenance.oldest_date = oldest;
    }
    for (auto const& origin : origins) {
        provenance.origin.append(provenance.origin.empty() ? "" : "; ").append(origin);
    }
    provenance.trust_grade = worst_grade(campaigns);
    provenance.environment_hash = common(campaigns, &Campaign::environment_hash);
    provenance.samples_sha256 = common(campaigns, &Campaign::samples_sha256);
    for (auto const& campaign : campaigns) {
        auto& oldest = provenance.value_rule;
        if (campaign.value_rule && (!oldest || *campaign.value_rule < *oldest)) {
            oldest = campaign.value_rule;
        }
    }
}

/// Those whose timings the curves rest on, in the evidence's order.
std::vector<Campaign> campaigns_of(Evidence const& evidence, std::vector<int> const& cases) {
    std::vector<char> used(evidence.campaigns.size(), 0);
    for (int const index : cases) {
        used[static_cast<std::size_t>(evidence.cases[static_cast<std::size_t>(index)].campaign)] = 1;
    }
    std::vector<Campaign> campaigns;
    for (std::size_t i = 0; i < used.size(); ++i) {
        if (used[i]) campaigns.push_back(evidence.campaigns[i]);
    }
    return campaigns;
}

}  // namespace

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

    calibration.peak_flops = evidence.hardware.compute_peak(evidence.condition.precision,
                                                            evidence.condition.execution.threads);
    calibration.peak_bandwidth =
        evidence.hardware.bandwidth_peak(evidence.condition.execution.threads);
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
    std::set<int> batches;
    bool const all_say = std::ranges::all_of(
        evidence.models, [](EvidenceModel const& model) { return model.batch.has_value(); });
    for (auto const& model : evidence.models) {
        bool const is_timed = std::ranges::any_of(model.cases, [&](int index) {
            return evidence.cases[static_cast<std::size_t>(index)].timing.has_value();
        });
        if (is_timed) batches.insert(model.batch.value_or(1));
    }
    if (all_say) provenance.batches.assign(batches.begin(), batches.end());
    for (int const index : input.cases_of(all)) {
        provenance.num_samples += evidence.cases[static_cast<std::size_t>(index)].timing->samples;
    }
    set_campaigns(provenance, campaigns_of(evidence, input.cases_of(all)));
    return calibration;
}

}  // namespace derate
