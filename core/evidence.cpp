#include "core/evidence.hpp"

#include <algorithm>
#include <numeric>
#include <set>
#include <tuple>
#include <utility>

namespace derate {
namespace {

template <class T>
std::vector<int> order_of(std::vector<T> const& values, auto const& less) {
    std::vector<int> order(values.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
        return less(values[static_cast<std::size_t>(a)], values[static_cast<std::size_t>(b)]);
    });
    return order;
}

/// Moves `values` into `order` and returns where each went.
template <class T>
std::vector<int> reorder(std::vector<T>& values, std::vector<int> const& order) {
    std::vector<T> sorted;
    sorted.reserve(values.size());
    std::vector<int> new_index(values.size());
    for (int const old : order) {
        new_index[static_cast<std::size_t>(old)] = static_cast<int>(sorted.size());
        sorted.push_back(std::move(values[static_cast<std::size_t>(old)]));
    }
    values = std::move(sorted);
    return new_index;
}

auto campaign_key(Campaign const& campaign) {
    return std::tie(campaign.date, campaign.id, campaign.origin, campaign.samples_sha256);
}

bool node_less(SubgraphNode const& a, SubgraphNode const& b) {
    return std::tie(a.op, a.input_shape, a.output_shape, a.attributes, a.name) <
           std::tie(b.op, b.input_shape, b.output_shape, b.attributes, b.name);
}

bool subgraph_less(Subgraph const& a, Subgraph const& b) {
    auto const key = [](Subgraph const& s) {
        return std::make_tuple(s.type, s.work.value(), s.traffic.total().value(),
                               s.traffic.weights.value());
    };
    if (key(a) != key(b)) return key(a) < key(b);
    if (a.descriptor != b.descriptor) return a.descriptor < b.descriptor;
    if (a.fusion_pattern != b.fusion_pattern) return a.fusion_pattern < b.fusion_pattern;
    return std::lexicographical_compare(a.nodes.begin(), a.nodes.end(), b.nodes.begin(),
                                        b.nodes.end(), node_less);
}

bool case_less(EvidenceCase const& a, EvidenceCase const& b) {
    if (subgraph_less(a.subgraph, b.subgraph)) return true;
    if (subgraph_less(b.subgraph, a.subgraph)) return false;
    auto const key = [](EvidenceCase const& c) {
        return std::make_tuple(c.campaign, c.timing ? c.timing->center_ms : -1.0,
                               c.timing ? c.timing->mean_ms : -1.0, c.probe);
    };
    return key(a) < key(b);
}

auto model_key(EvidenceModel const& model) {
    return std::tie(model.name, model.batch, model.campaign);
}

}  // namespace

std::string_view to_string(ModelRole role) {
    return role == ModelRole::held_out ? "held_out" : "calibration";
}

std::optional<ModelRole> parse_model_role(std::string_view name) {
    for (auto const role : {ModelRole::calibration, ModelRole::held_out}) {
        if (to_string(role) == name) return role;
    }
    return std::nullopt;
}

namespace {

bool numbers_a_launch_twice(std::optional<Timing> const& timing) {
    if (!timing) return false;
    std::set<int> numbers;
    return std::ranges::any_of(timing->launches, [&](LaunchTimes const& launch) {
        return launch.launch && !numbers.insert(*launch.launch).second;
    });
}

}  // namespace

std::string place_in(EvidenceModel const& model, std::size_t position) {
    return model.name + "/" + batch_text(model.batch) + "/" +
           std::to_string(model.subgraph_id(position));
}

std::vector<std::string> violations(Evidence const& evidence) {
    std::vector<std::string> broken;
    auto const campaigns = static_cast<int>(evidence.campaigns.size());
    auto const cases = static_cast<int>(evidence.cases.size());
    auto const campaign_exists = [&](int index) { return index >= 0 && index < campaigns; };
    for (std::size_t i = 0; i < evidence.cases.size(); ++i) {
        auto const& kernel = evidence.cases[i];
        auto const name = "case " + std::to_string(i);
        if (!campaign_exists(kernel.campaign)) broken.push_back(name + " names no campaign");
        if (!kernel.timing && !kernel.failure) {
            broken.push_back(name + " has neither a timing nor a failure");
        }
        if (kernel.timing && !(kernel.timing->center_ms > 0)) {
            broken.push_back(name + " has a time that is not positive");
        }
        if (numbers_a_launch_twice(kernel.timing)) {
            broken.push_back(name + " has two launches of one number");
        }
    }
    std::set<std::tuple<std::string, std::optional<int>, int>> seen;
    for (auto const& model : evidence.models) {
        auto const name = "model " + model.name + " (batch " + batch_text(model.batch) + ")";
        if (!campaign_exists(model.campaign)) broken.push_back(name + " names no campaign");
        if (model.cases.empty()) broken.push_back(name + " has no cases");
        if (model.is_partial() && model.subgraphs.size() != model.cases.size()) {
            broken.push_back(name + " names other than one subgraph a case");
        }
        if (model.is_partial() && model.whole_model) {
            broken.push_back(name + " has a time, though its cases are some of its kernels only");
        }
        if (std::any_of(model.cases.begin(), model.cases.end(),
                        [&](int index) { return index < 0 || index >= cases; })) {
            broken.push_back(name + " names a case that does not exist");
        }
        if (model.whole_model && !(model.whole_model->center_ms > 0)) {
            broken.push_back(name + " has a time that is not positive");
        }
        if (numbers_a_launch_twice(model.whole_model) ||
            numbers_a_launch_twice(model.whole_model_default_allocator)) {
            broken.push_back(name + " has two launches of one number");
        }
        if (!seen.emplace(model.name, model.batch, model.campaign).second) {
            broken.push_back(name + " occurs twice in one campaign");
        }
    }
    return broken;
}

Evidence canonical(Evidence evidence) {
    auto const by_campaign = order_of(evidence.campaigns, [](Campaign const& a, Campaign const& b) {
        return campaign_key(a) < campaign_key(b);
    });
    auto const new_campaign = reorder(evidence.campaigns, by_campaign);
    for (auto& kernel : evidence.cases) {
        kernel.campaign = new_campaign[static_cast<std::size_t>(kernel.campaign)];
    }
    for (auto& model : evidence.models) {
        model.campaign = new_campaign[static_cast<std::size_t>(model.campaign)];
    }
    auto const new_case = reorder(evidence.cases, order_of(evidence.cases, case_less));
    for (auto& model : evidence.models) {
        for (int& index : model.cases) index = new_case[static_cast<std::size_t>(index)];
    }
    reorder(evidence.models, order_of(evidence.models, [](auto const& a, auto const& b) {
                return model_key(a) < model_key(b);
            }));
    return evidence;
}

std::optional<Evidence> only_campaign(Evidence const& evidence, std::string_view id) {
    auto const found = std::find_if(evidence.campaigns.begin(), evidence.campaigns.end(),
                                    [&](Campaign const& campaign) { return campaign.id == id; });
    if (found == evidence.campaigns.end()) return std::nullopt;
    auto const wanted = static_cast<int>(found - evidence.campaigns.begin());
    Evidence result = evidence;
    std::erase_if(result.models,
                  [&](EvidenceModel const& model) { return model.campaign != wanted; });
    std::vector<char> used(evidence.cases.size(), 0);
    for (auto const& model : result.models) {
        for (int const index : model.cases) used[static_cast<std::size_t>(index)] = 1;
    }
    result.cases.clear();
    std::vector<int> new_index(evidence.cases.size(), -1);
    for (std::size_t i = 0; i < evidence.cases.size(); ++i) {
        auto const& kernel = evidence.cases[i];
        if (!used[i] && !(kernel.probe && kernel.campaign == wanted)) continue;
        new_index[i] = static_cast<int>(result.cases.size());
        result.cases.push_back(kernel);
    }
    for (auto& model : result.models) {
        for (int& index : model.cases) index = new_index[static_cast<std::size_t>(index)];
    }
    return result;
}

std::optional<double> sum_of_parts_ms(Evidence const& evidence, EvidenceModel const& model) {
    if (model.is_partial()) return std::nullopt;
    double sum = 0;
    for (int const index : model.cases) {
        auto const& timing = evidence.cases[static_cast<std::size_t>(index)].timing;
        if (!timing) return std::nullopt;
        sum += timing->center_ms;
    }
    return sum;
}

}  // namespace derate
