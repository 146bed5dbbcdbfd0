#include "cli/campaign_evidence.hpp"

#include <algorithm>
#include <vector>

#include "calibration/ingest.hpp"
#include "campaign/measurement_of_samples.hpp"
#include "storage/file.hpp"

namespace derate::cli {

Evidence evidence_of_campaign(CampaignResult const& result, CampaignSettings const& settings,
                              Hardware const& hardware, std::filesystem::path const& samples,
                              Trust const& trust) {
    std::vector<EvidencePart> parts;
    for (auto const& model : settings.models) {
        auto const measurement =
            measurement_of(result, settings, model, settings.states.front(), hardware,
                           samples.filename().string(), DERATE_VERSION);
        parts.push_back({.where = model_label(model.name, model.batch),
                         .evidence = evidence_of(measurement, model.name)});
    }
    auto evidence = merge(parts);
    auto const compared = result.samples.least_of();
    for (auto& model : evidence.models) {
        auto const planned = std::ranges::find_if(settings.models, [&](CampaignModel const& one) {
            return one.name == model.name && one.batch == model.batch;
        });
        if (planned != settings.models.end()) {
            if (!planned->in_budget) model.role = ModelRole::held_out;
            if (planned->partial) {
                for (auto const& subgraph : planned->subgraphs) {
                    model.subgraphs.push_back(subgraph.id);
                }
            }
        }
        auto const& beside = result.samples.whole_default_allocator;
        if (auto const found = beside.find(model_label(model.name, model.batch));
            found != beside.end()) {
            model.whole_model_default_allocator = timing_of(found->second, compared);
        }
    }
    for (auto& campaign : evidence.campaigns) {
        campaign.samples_sha256 = sha256_hex(read_text(samples));
        campaign.trust_grade = std::string{to_string(trust.grade)};
    }
    return evidence;
}

}  // namespace derate::cli
