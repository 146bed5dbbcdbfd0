#include "campaign/further_batches.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "campaign/plan_making.hpp"
#include "core/kernel_features.hpp"

namespace derate {
namespace {

/// What tells kernels of different implementations apart.
using KernelKind = std::pair<OperationType, std::string>;
using Features = std::array<double, feature_count>;

constexpr double opening_ms = 20;       // of a model: file read, sizes bound, inputs made
constexpr double weights_per_ms = 2e6;  // bytes, as they are made
constexpr double first_run_factor = 2;  // memory is new, primitives are made
constexpr double farthest = 5;           // what lies beyond is as unknown as it can be

/// A kernel that may be chosen.
struct Candidate {
    std::size_t model = 0;
    std::size_t subgraph = 0;  ///< its place in the model
    int batch = 1;
    KernelKind kind;
    Features features{};
    double cost_ms = 0;          ///< of one repetition
    double captured_ms = 0;      ///< from the start of its model to its end, in the capturing run
    double distance = farthest;  ///< to what is timed of its kind
};

KernelKind kind_of(Subgraph const& subgraph) { return {subgraph.type, regime_of(subgraph)}; }

double distance_between(Features const& a, Features const& b) {
    double sum = 0;
    for (std::size_t f = 0; f < feature_count; ++f) sum += (a[f] - b[f]) * (a[f] - b[f]);
    return std::sqrt(sum);
}

double repetition_ms(CampaignSettings const& settings, double once_ms) {
    return preparation_ms + expected_repetition_ms(settings.repetition, once_ms);
}

/// Up to each subgraph's end.
std::vector<double> capture_ms(CampaignModel const& model) {
    std::vector<double> times;
    double sum = opening_ms;
    for (auto const& subgraph : model.subgraphs) {
        sum += first_run_factor * guessed_ms(subgraph, 1) +
               subgraph.traffic.weights.value() / weights_per_ms;
        times.push_back(sum);
    }
    return times;
}

double run_ms(CampaignModel const& model) {
    double sum = 0;
    for (auto const& subgraph : model.subgraphs) sum += guessed_ms(subgraph, 1);
    return sum;
}

std::map<KernelKind, double> shares_of_time(std::span<CampaignModel const> models) {
    std::map<KernelKind, double> shares;
    for (auto const& model : models) {
        double const whole_ms = run_ms(model);
        for (auto const& subgraph : model.subgraphs) {
            shares[kind_of(subgraph)] += guessed_ms(subgraph, 1) / whole_ms;
        }
    }
    return shares;
}

/// Distinct kernels that can be timed: views take no time.
template <class Visit>
void for_each_distinct(std::span<CampaignModel const> models, Visit const& visit) {
    std::set<std::string> seen;
    for (std::size_t m = 0; m < models.size(); ++m) {
        for (std::size_t s = 0; s < models[m].subgraphs.size(); ++s) {
            auto const& subgraph = models[m].subgraphs[s];
            bool const runs = subgraph.work.value() > 0 || subgraph.traffic.total().value() > 0;
            if (runs && seen.insert(subgraph.descriptor).second) visit(m, s, subgraph);
        }
    }
}

std::set<int> batches_of(std::span<CampaignModel const> models) {
    std::set<int> batches;
    for (auto const& model : models) batches.insert(model.batch.value_or(1));
    return batches;
}

}  // namespace

std::vector<CampaignModel> kernels_at_further_batches(std::span<CampaignModel const> timed,
                                                      std::vector<CampaignModel> further,
                                                      CampaignSettings const& settings,
                                                      double share) {
    auto const weight = shares_of_time(timed);
    std::vector<std::vector<double>> capture;
    for (auto const& model : further) capture.push_back(capture_ms(model));
    std::vector<Candidate> candidates;
    for_each_distinct(further, [&](std::size_t m, std::size_t s, Subgraph const& subgraph) {
        candidates.push_back({.model = m,
                              .subgraph = s,
                              .batch = further[m].batch.value_or(1),
                              .kind = kind_of(subgraph),
                              .features = shape_features(subgraph),
                              .cost_ms = repetition_ms(settings, guessed_ms(subgraph, 1)),
                              .captured_ms = capture[m][s]});
    });
    auto const note = [&](KernelKind const& kind, Features const& features) {
        for (auto& candidate : candidates) {
            if (candidate.kind != kind) continue;
            candidate.distance =
                std::min(candidate.distance, distance_between(candidate.features, features));
        }
    };
    double timed_ms = 0;
    for_each_distinct(timed, [&](std::size_t, std::size_t, Subgraph const& subgraph) {
        timed_ms += settings.rules.rounds * settings.rules.repetitions_per_visit *
                    repetition_ms(settings, guessed_ms(subgraph, 1));
        note(kind_of(subgraph), shape_features(subgraph));
    });

    std::vector<std::set<std::size_t>> chosen(further.size());
    std::vector<double> captured_ms(further.size(), 0.0);
    auto const cost_of = [&](Candidate const& candidate) {
        return candidate.cost_ms +
               std::max(0.0, candidate.captured_ms - captured_ms[candidate.model]);
    };
    auto const batches = batches_of(further);
    for (int const batch : batches) {
        double left_ms = share * timed_ms / static_cast<double>(batches.size());
        while (true) {
            Candidate* best = nullptr;
            double best_promise = 0;
            for (auto& candidate : candidates) {
                if (candidate.batch != batch || candidate.distance <= 0) continue;
                double const cost_ms = cost_of(candidate);
                if (cost_ms > left_ms) continue;
                auto const known = weight.find(candidate.kind);
                if (known == weight.end()) continue;
                double const promise = known->second * candidate.distance / cost_ms;
                if (promise <= best_promise) continue;
                best = &candidate;
                best_promise = promise;
            }
            if (best == nullptr) break;
            left_ms -= cost_of(*best);
            captured_ms[best->model] = std::max(captured_ms[best->model], best->captured_ms);
            chosen[best->model].insert(best->subgraph);
            note(best->kind, best->features);
        }
    }
    std::vector<CampaignModel> result;
    for (std::size_t m = 0; m < further.size(); ++m) {
        if (chosen[m].empty()) continue;
        auto model = std::move(further[m]);
        std::vector<Subgraph> kernels;
        for (auto const s : chosen[m]) kernels.push_back(std::move(model.subgraphs[s]));
        model.subgraphs = std::move(kernels);
        model.in_context = false;
        model.whole = false;
        model.sparse = true;
        model.partial = true;
        result.push_back(std::move(model));
    }
    return result;
}

std::vector<CampaignModel> wholes_at_further_batches(std::span<CampaignModel const> timed,
                                                     std::vector<CampaignModel> further,
                                                     CampaignSettings const& settings,
                                                     double share) {
    double timed_ms = 0;
    for (auto const& model : timed) {
        timed_ms += settings.rules.whole_repetitions * repetition_ms(settings, run_ms(model));
    }
    std::ranges::stable_sort(further, {}, [](CampaignModel const& model) {
        return std::pair{model.batch.value_or(1), run_ms(model)};
    });
    auto const batches = batches_of(further);
    std::map<int, double> left_ms;
    for (int const batch : batches)
        left_ms[batch] = share * timed_ms / static_cast<double>(batches.size());
    std::set<std::pair<int, std::string>> families;
    std::vector<CampaignModel> result;
    for (auto& model : further) {
        int const batch = model.batch.value_or(1);
        double const cost_ms = repetition_ms(settings, run_ms(model));
        if (families.contains({batch, model.family}) || cost_ms > left_ms[batch]) continue;
        left_ms[batch] -= cost_ms;
        families.insert({batch, model.family});
        model.isolated = false;
        model.in_context = false;
        model.sparse = true;
        result.push_back(std::move(model));
    }
    return result;
}

}  // namespace derate
