#include "calibration/ingest.hpp"

#include <algorithm>
#include <compare>
#include <map>
#include <optional>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "core/input_error.hpp"

namespace derate {
namespace {

constexpr std::string_view probe_family = "probe";

// ---------------------------------------------------------------------------------------------
// Timings

/// What was timed in it, without its number.
auto content_of(LaunchTimes const& launch) {
    return std::tie(launch.times_ms.count, launch.times_ms.mean,
                    launch.times_ms.sum_squared_deviations, launch.lower_quartile_ms,
                    launch.median_ms, launch.upper_quartile_ms, launch.min_ms, launch.max_ms,
                    launch.least_ms, launch.steady);
}

struct ContentOrder {
    bool operator()(LaunchTimes const& a, LaunchTimes const& b) const {
        return content_of(a) < content_of(b);
    }
};

/// How often each content occurs.
using LaunchCounts = std::map<LaunchTimes, std::size_t, ContentOrder>;

// Timings of one thing from several parts of one campaign. A launch is known by its number, so that
// what two parts have in common counts once; where a file has no numbers, by its content: then a
// content counts as often as the part that holds most of it says, numbered or not. Which part came
// first has no effect.
class TimingUnion {
  public:
    void add(std::optional<Timing> const& timing, std::string_view where, std::string const& what) {
        if (!timing) return;
        if (timing->launches.empty()) {
            if (without_launches_ && !(*without_launches_ == *timing)) {
                throw InputError{where, what + " was timed twice in one campaign, differently",
                                 "one of the two files, or campaigns named apart"};
            }
            without_launches_ = *timing;
            return;
        }
        LaunchCounts counts;
        for (auto const& launch : timing->launches) {
            ++counts[launch];
            if (!launch.launch) continue;
            auto const [known, is_new] = numbered_.try_emplace(*launch.launch, launch);
            if (!is_new && !(known->second == launch)) {
                throw InputError{where,
                                 "launch " + std::to_string(*launch.launch) + " of " + what +
                                     " was timed twice in one campaign, differently",
                                 "one of the two files, or campaigns named apart"};
            }
        }
        for (auto const& [launch, count] : counts) {
            auto& most = counts_[launch];
            most = std::max(most, count);
        }
    }

    /// Numbered launches in their order, then those known by content alone in that of their
    /// content.
    [[nodiscard]] std::optional<Timing> timing() const {
        std::vector<LaunchTimes> launches;
        LaunchCounts numbered;
        for (auto const& [number, launch] : numbered_) {
            launches.push_back(launch);
            ++numbered[launch];
        }
        for (auto const& [launch, count] : counts_) {
            for (auto known = numbered[launch]; known < count; ++known) {
                launches.push_back(launch);
                launches.back().launch = std::nullopt;
            }
        }
        if (launches.empty()) return without_launches_;
        return timing_of(std::move(launches));
    }

  private:
    std::map<int, LaunchTimes> numbered_;
    LaunchCounts counts_;
    std::optional<Timing> without_launches_;
};

// ---------------------------------------------------------------------------------------------
// What must agree

void require_equal(std::string_view what, std::string const& first, std::string const& other,
                   std::string const& first_where, std::string const& other_where) {
    if (first == other) return;
    throw InputError{
        other_where,
        std::string{what} + " is \"" + other + "\", in " + first_where + " \"" + first + "\"",
        "measurements of one hardware, precision, thread count and cache state; "
        "aggregate the others apart"};
}

void require_same_kind(EvidencePart const& first, EvidencePart const& other) {
    auto const& a = first.evidence;
    auto const& b = other.evidence;
    auto const check = [&](std::string_view what, std::string const& x, std::string const& y) {
        require_equal(what, x, y, first.where, other.where);
    };
    check("hardware id", a.hardware.id, b.hardware.id);
    check("hardware name", a.hardware.name, b.hardware.name);
    check("device kind", std::string{to_string(a.hardware.kind)},
          std::string{to_string(b.hardware.kind)});
    check("power mode", a.hardware.power_mode.value_or("unknown"),
          b.hardware.power_mode.value_or("unknown"));
    auto const parts = parts_of(a.condition);
    auto const others = parts_of(b.condition);
    for (std::size_t i = 0; i < parts.size(); ++i) {
        check(parts[i].name, parts[i].value, others[i].value);
    }
}

// ---------------------------------------------------------------------------------------------
// Keys: what makes two campaigns, cases or models the same

using CampaignKey = std::tuple<std::string, std::string, bool, std::optional<std::string>>;

CampaignKey key_of(Campaign const& campaign) {
    return {campaign.id, campaign.origin, campaign.imported, campaign.environment_hash};
}

struct ModelKey {
    CampaignKey campaign;
    std::string name;
    std::optional<int> batch;
    auto operator<=>(ModelKey const&) const = default;
};

/// With a descriptor the kernel itself; without one its place in a model.
struct CaseKey {
    CampaignKey campaign;
    std::string descriptor;
    std::optional<ModelKey> model;
    std::size_t position = 0;
    auto operator<=>(CaseKey const&) const = default;
};

struct CaseUnion {
    Subgraph subgraph;
    TimingUnion timing;
    std::optional<std::string> failure;
    bool probe = true;  ///< in every part
};

struct ModelUnion {
    std::string family;
    ModelRole role = ModelRole::calibration;
    std::vector<CaseKey> cases;
    std::vector<int> subgraphs;
    TimingUnion whole_model;
    TimingUnion whole_model_default_allocator;
};

template <class Value>
void keep_least(std::optional<Value>& kept, std::optional<Value> const& other) {
    if (other && (!kept || *other < *kept)) kept = other;
}

template <class Value>
void keep_greatest(std::optional<Value>& kept, std::optional<Value> const& other) {
    if (other && (!kept || *kept < *other)) kept = other;
}

void unite(Campaign& kept, Campaign const& other, std::string_view where) {
    if (!other.date.empty() && (kept.date.empty() || other.date < kept.date)) {
        kept.date = other.date;
    }
    if (kept.samples_sha256 && other.samples_sha256 &&
        kept.samples_sha256 != other.samples_sha256) {
        throw InputError{where, "campaign \"" + other.id + "\" has two different samples files",
                         "campaigns named apart"};
    }
    keep_least(kept.samples_sha256, other.samples_sha256);
    keep_least(kept.value_rule, other.value_rule);       // the older
    keep_greatest(kept.trust_grade, other.trust_grade);  // the worse of the two: "D" after "A"
    auto const percent_of = [](Campaign const& campaign) {
        return campaign.noise_floor ? campaign.noise_floor->percent : 0;
    };
    if (percent_of(kept) < percent_of(other)) kept.noise_floor = other.noise_floor;
}

class EvidenceUnion {
  public:
    void add(EvidencePart const& part) {
        auto const& evidence = part.evidence;
        for (auto const& campaign : evidence.campaigns) {
            auto const [place, is_new] = campaigns_.try_emplace(key_of(campaign), campaign);
            if (!is_new) unite(place->second, campaign, part.where);
        }

        std::vector<CaseKey> keys(evidence.cases.size());
        for (std::size_t i = 0; i < keys.size(); ++i) {
            auto const& kernel = evidence.cases[i];
            keys[i].campaign = campaign_key(evidence, kernel.campaign);
            keys[i].descriptor = kernel.subgraph.descriptor;
        }
        for (auto const& model : evidence.models) {
            ModelKey const name{campaign_key(evidence, model.campaign), model.name, model.batch};
            for (std::size_t i = 0; i < model.cases.size(); ++i) {
                auto& key = keys.at(static_cast<std::size_t>(model.cases[i]));
                if (!key.descriptor.empty() || key.model) continue;
                key.model = name;
                key.position = i;
            }
        }
        for (std::size_t i = 0; i < keys.size(); ++i)
            add_case(keys[i], evidence.cases[i], part.where);
        for (auto const& model : evidence.models) add_model(evidence, model, keys, part.where);
        keep_peaks(part);
    }

    [[nodiscard]] Evidence evidence(Evidence const& frame) const {
        Evidence result;
        result.hardware = hardware_;
        result.condition = frame.condition;

        std::map<CampaignKey, int> campaign_index;
        for (auto const& [key, campaign] : campaigns_) {
            campaign_index[key] = static_cast<int>(result.campaigns.size());
            result.campaigns.push_back(campaign);
        }
        std::map<CaseKey, int> case_index;
        for (auto const& [key, kernel] : cases_) {
            case_index[key] = static_cast<int>(result.cases.size());
            auto timing = kernel.timing.timing();
            auto failure = timing ? std::nullopt : kernel.failure;
            result.cases.push_back({.subgraph = kernel.subgraph,
                                    .timing = std::move(timing),
                                    .failure = std::move(failure),
                                    .campaign = campaign_index.at(key.campaign),
                                    .probe = kernel.probe});
        }
        for (auto const& [key, model] : models_) {
            EvidenceModel entry{
                .name = key.name,
                .family = model.family,
                .batch = key.batch,
                .campaign = campaign_index.at(key.campaign),
                .role = model.role,
                .cases = {},
                .subgraphs = model.subgraphs,
                .whole_model = model.whole_model.timing(),
                .whole_model_default_allocator = model.whole_model_default_allocator.timing()};
            for (auto const& kernel : model.cases) entry.cases.push_back(case_index.at(kernel));
            result.models.push_back(std::move(entry));
        }
        return canonical(std::move(result));
    }

  private:
    static CampaignKey campaign_key(Evidence const& evidence, int index) {
        return key_of(evidence.campaigns.at(static_cast<std::size_t>(index)));
    }

    static std::string describe(CaseKey const& key, Subgraph const& subgraph) {
        auto const place = key.model
                               ? key.model->name + " batch " + batch_text(key.model->batch) +
                                     " subgraph " + std::to_string(key.position)
                               : "kernel " + key.descriptor;
        return place + " (" + subgraph.fusion_pattern + ")";
    }

    void add_case(CaseKey const& key, EvidenceCase const& kernel, std::string const& where) {
        auto subgraph = kernel.subgraph;
        subgraph.id = 0;
        auto const [place, is_new] = cases_.try_emplace(key);
        auto& merged = place->second;
        if (is_new) {
            merged.subgraph = std::move(subgraph);
        } else if (merged.subgraph.type != subgraph.type ||
                   !(merged.subgraph.work == subgraph.work) ||
                   !(merged.subgraph.traffic == subgraph.traffic)) {
            throw InputError{where,
                             describe(key, subgraph) + " has another type, work or traffic here",
                             "one partition and FLOP rule for all inputs"};
        } else if (content_order(subgraph, merged.subgraph)) {
            merged.subgraph = std::move(subgraph);
        }
        merged.timing.add(kernel.timing, where, describe(key, merged.subgraph));
        keep_least(merged.failure, kernel.failure);
        merged.probe = merged.probe && kernel.probe;
    }

    // Names of nodes are those of the model that a kernel was first seen in; the least stands.
    static bool content_order(Subgraph const& a, Subgraph const& b) {
        auto const names = [](Subgraph const& subgraph) {
            std::vector<std::string> all{subgraph.fusion_pattern};
            for (auto const& node : subgraph.nodes) all.push_back(node.name);
            return all;
        };
        return names(a) < names(b);
    }

    void add_model(Evidence const& evidence, EvidenceModel const& model,
                   std::vector<CaseKey> const& keys, std::string const& where) {
        ModelKey const name{campaign_key(evidence, model.campaign), model.name, model.batch};
        std::vector<CaseKey> cases;
        for (int const index : model.cases) cases.push_back(keys[static_cast<std::size_t>(index)]);

        auto const label = model.name + " batch " + batch_text(model.batch);
        auto const [place, is_new] = models_.try_emplace(name);
        auto& merged = place->second;
        if (is_new) {
            merged.family = model.family;
            merged.cases = std::move(cases);
            merged.subgraphs = model.subgraphs;
        } else if (merged.cases != cases || merged.family != model.family ||
                   merged.subgraphs != model.subgraphs) {
            throw InputError{where,
                             label + " of campaign \"" + std::get<0>(name.campaign) +
                                 "\" has other subgraphs or another family here",
                             "one partition of a model in one campaign"};
        }
        if (model.role == ModelRole::held_out) merged.role = ModelRole::held_out;
        merged.whole_model.add(model.whole_model, where, label);
        merged.whole_model_default_allocator.add(model.whole_model_default_allocator, where, label);
    }

    // The hardware of the part whose latest campaign is the latest; content breaks a tie.
    void keep_peaks(EvidencePart const& part) {
        std::string latest;
        for (auto const& campaign : part.evidence.campaigns) {
            latest = std::max(latest, campaign.date);
        }
        auto const& hardware = part.evidence.hardware;
        auto key = std::pair{latest, peaks_of(hardware)};
        if (hardware_key_ && !(*hardware_key_ < key)) return;
        hardware_key_ = std::move(key);
        hardware_ = hardware;
    }

    static std::vector<double> peaks_of(Hardware const& hardware) {
        std::vector<double> peaks;
        for (auto const& peak : hardware.compute_peaks) peaks.push_back(peak.rate.per_second);
        for (auto const& peak : hardware.bandwidth_peaks) peaks.push_back(peak.rate.per_second);
        peaks.push_back(hardware.last_level_cache_bytes.value_or(0));
        return peaks;
    }

    std::map<CampaignKey, Campaign> campaigns_;
    std::map<CaseKey, CaseUnion> cases_;
    std::map<ModelKey, ModelUnion> models_;
    std::optional<std::pair<std::string, std::vector<double>>> hardware_key_;
    Hardware hardware_;
};

}  // namespace

Evidence evidence_of(Measurement const& measurement, std::string_view where) {
    Evidence evidence;
    evidence.hardware = measurement.hardware;
    evidence.condition = measurement.condition;
    auto const& source = measurement.source;
    evidence.campaigns.push_back({.id = source.campaign,
                                  .date = source.date,
                                  .origin = source.origin,
                                  .imported = source.imported,
                                  .environment_hash = source.environment_hash.empty()
                                                          ? std::nullopt
                                                          : std::optional{source.environment_hash},
                                  .samples_sha256 = std::nullopt,
                                  .trust_grade = source.trust_grade,
                                  .value_rule = source.value_rule});

    bool const probes = measurement.model_family == probe_family;
    EvidenceModel model{.name = measurement.model,
                        .family = measurement.model_family,
                        .batch = measurement.batch,
                        .whole_model = measurement.whole_model};
    std::map<std::string, int> case_of_descriptor;
    for (auto const& measured : measurement.subgraphs) {
        EvidenceCase kernel{.subgraph = measured.subgraph,
                            .timing = measured.isolated,
                            .failure = measured.failure,
                            .campaign = 0,
                            .probe = probes};
        kernel.subgraph.id = 0;
        if (!kernel.timing && !kernel.failure) kernel.failure = "not timed";

        auto index = static_cast<int>(evidence.cases.size());
        auto const& descriptor = kernel.subgraph.descriptor;
        if (!descriptor.empty()) {
            auto const [known, is_new] = case_of_descriptor.try_emplace(descriptor, index);
            if (!is_new) {
                index = known->second;
                auto const& other = evidence.cases[static_cast<std::size_t>(index)];
                if (!(other.timing == kernel.timing)) {
                    throw InputError{where,
                                     "subgraph " + std::to_string(measured.subgraph.id) +
                                         " has the descriptor of an earlier one and another time",
                                     "one timing a distinct kernel"};
                }
                model.cases.push_back(index);
                continue;
            }
        }
        evidence.cases.push_back(std::move(kernel));
        model.cases.push_back(index);
    }
    if (!probes) evidence.models.push_back(std::move(model));
    return evidence;
}

Evidence merge(std::span<EvidencePart const> parts) {
    if (parts.empty()) throw std::invalid_argument{"nothing to merge"};
    EvidenceUnion all;
    for (auto const& part : parts) {
        require_same_kind(parts.front(), part);
        all.add(part);
    }
    return all.evidence(parts.front().evidence);
}

}  // namespace derate
