#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/estimate_inputs.hpp"
#include "core/quantity.hpp"
#include "estimator/fallback_chain.hpp"

namespace derate::cli {

/// What its maker found of a calibration that priced something here.
struct UsedCalibration {
    std::filesystem::path file;
    CurveSource source = CurveSource::measured;
    std::optional<std::string> trust_grade;
    std::optional<std::string> verdict;
    bool provisional = false;
    /// That says why. Empty for rules, which have neither curves nor evidence to judge.
    std::optional<std::string> validate_command;
};

/// Best first.
[[nodiscard]] std::vector<UsedCalibration> used_calibrations(Target const& target,
                                                             ChainEstimate const& estimate);

/// Subgraphs of one pattern with their part of the interval's width; without any, what all share.
struct WidthSource {
    std::optional<std::string> fusion_pattern;
    std::vector<int> subgraph_ids;
    double variance_share = 0;
};

/// Where more than half of a wide interval's variance comes from, largest first; empty where the
/// interval is narrow, or no kernel's own variance is known.
[[nodiscard]] std::vector<WidthSource> width_sources(ModelToPrice const& model,
                                                     ChainEstimate const& estimate);

/// What a model does in subgraphs of one operation type.
struct TypeTotal {
    int subgraphs = 0;
    Flops work{};
    Bytes traffic{};
    double latency_ms = 0;
};

/// Slowest first.
[[nodiscard]] std::vector<std::pair<std::string_view, TypeTotal>> totals_of_types(
    ModelToPrice const& model, ChainEstimate const& estimate);

/// What takes most of the time: a bound's name, or "unknown".
[[nodiscard]] std::string bound_of(ChainEstimate const& estimate);

/// How one subgraph was priced. Points into what it was made of.
struct Explanation {
    Subgraph const* subgraph = nullptr;
    SubgraphEstimate const* estimate = nullptr;
    double share_of_model = 0;
    std::optional<double> inside_model_factor;   ///< context, smearing; empty for legacy rules
    std::vector<EfficiencyCurve const*> curves;  ///< of its type, with points
    std::vector<EvidenceFile> evidence;          ///< they rest on
};

/// \throws InputError  the model has no subgraph `id`
[[nodiscard]] Explanation explanation_of(ModelToPrice const& model, Target const& target,
                                         ChainEstimate const& estimate, int id);

}  // namespace derate::cli
