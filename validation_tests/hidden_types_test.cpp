// What happens to a model with a type of kernel that no calibration model has?
//
// Each type of each import is hidden in turn: its kernels are taken out of every model that is
// fitted on, and the models that have it are priced. Where it holds little of a model's time, the
// model must not be far off; where it holds much, the interval must hold the truth and be of use,
// or the answer must be that it is not known.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <map>
#include <set>
#include <string>

#include "calibration/fit_calibration.hpp"
#include "estimator/fallback_chain.hpp"
#include "storage/calibration_files.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;

struct Unit {
    char const* name;
    char const* file;  ///< below the registry
    char const* campaign;
};

constexpr Unit units[]{
    {"i7-12700K, FP32, B", "cpu/i7-12700K/efficiency_curves.json", "B"},
    {"Orin, FP16, A", "gpu/jetson-orin-agx-maxn/efficiency_curves_fp16.json", "A"},
    {"Orin, FP32, A", "gpu/jetson-orin-agx-maxn/efficiency_curves.json", "A"},
    {"Orin, FP32, B", "gpu/jetson-orin-agx-maxn/efficiency_curves.json", "B"},
};

constexpr double small_share = 0.2;       ///< of a model's measured time
constexpr double most_small_error = 0.6;  ///< of |predicted / measured - 1|
constexpr double most_spread = 3;         ///< either way
constexpr double least_coverage = 0.9;

/// A model priced by a calibration that knows nothing of one of its types.
struct Outcome {
    double share = 0;  ///< of the hidden type
    double error = 0;  ///< predicted / measured - 1
    double spread = 0;
    bool known = false;
    bool inside = false;
};

Evidence evidence_of(Unit const& unit) {
    auto const path = fs::path{DERATE_SOURCE_DIR} / "hardware_registry" / unit.file;
    auto const evidence = read_evidence_of(read_calibration(path), path);
    return only_campaign(evidence.value(), unit.campaign).value();
}

OperationType type_of(Evidence const& evidence, int index) {
    return evidence.cases[static_cast<std::size_t>(index)].subgraph.type;
}

std::set<OperationType> types_of(Evidence const& evidence) {
    std::set<OperationType> types;
    for (auto const& model : evidence.models) {
        for (int const index : model.cases) types.insert(type_of(evidence, index));
    }
    return types;
}

std::vector<Outcome> outcomes_without(Evidence const& evidence, OperationType hidden) {
    auto rest = evidence;
    for (auto& model : rest.models) {
        std::erase_if(model.cases, [&](int index) { return type_of(rest, index) == hidden; });
    }
    std::erase_if(rest.models, [](EvidenceModel const& model) { return model.cases.empty(); });
    FallbackChain const chain{std::vector{fit_calibration(rest, {.other_shapes = false})},
                              evidence.hardware, evidence.condition.precision};
    std::vector<Outcome> outcomes;
    for (auto const& model : evidence.models) {
        double measured_ms = 0;
        double hidden_ms = 0;
        std::vector<Subgraph> subgraphs;
        for (int const index : model.cases) {
            auto const& kernel = evidence.cases[static_cast<std::size_t>(index)];
            measured_ms += kernel.timing->center_ms;
            if (kernel.subgraph.type == hidden) hidden_ms += kernel.timing->center_ms;
            subgraphs.push_back(kernel.subgraph);
        }
        if (!(hidden_ms > 0)) continue;
        auto const estimate = chain.estimate(subgraphs, evidence.condition.partition);
        auto const& total = estimate.total;
        outcomes.push_back(
            {.share = hidden_ms / measured_ms,
             .error = total.latency_ms / measured_ms - 1,
             .spread = total.ci_95_upper_ms / total.latency_ms,
             .known = estimate.spread_known,
             .inside = total.ci_95_lower_ms <= measured_ms && measured_ms <= total.ci_95_upper_ms});
    }
    return outcomes;
}

TEST(HiddenTypes, AreNotFarOffOrNotKnown) {
    std::string table =
        "| import | types | models with less than a fifth in the hidden type | farthest off | "
        "models "
        "with more | not known | inside, of the others | widest of these |\n"
        "|---|---|---|---|---|---|---|---|\n";
    for (auto const& unit : units) {
        SCOPED_TRACE(unit.name);
        auto const evidence = evidence_of(unit);
        std::map<OperationType, std::future<std::vector<Outcome>>> running;
        auto const types = types_of(evidence);
        int small = 0, large = 0, not_known = 0, inside = 0;
        double farthest = 0;
        double widest = 1;
        constexpr std::size_t at_once = 2;
        auto next = types.begin();
        auto const start = [&] {
            if (next == types.end()) return;
            running.emplace(*next, std::async(std::launch::async, outcomes_without,
                                              std::cref(evidence), *next));
            ++next;
        };
        for (std::size_t i = 0; i < at_once; ++i) start();
        for (auto const type : types) {
            auto const outcomes = running.at(type).get();
            start();
            for (auto const& outcome : outcomes) {
                if (outcome.share < small_share) {
                    ++small;
                    farthest = std::max(farthest, std::abs(outcome.error));
                    EXPECT_LE(std::abs(outcome.error), most_small_error) << to_string(type);
                    continue;
                }
                ++large;
                if (!outcome.known) {
                    ++not_known;
                    continue;
                }
                inside += outcome.inside ? 1 : 0;
                widest = std::max(widest, outcome.spread);
                EXPECT_LE(outcome.spread, most_spread) << to_string(type);
            }
        }
        EXPECT_GE(inside, least_coverage * (large - not_known));
        EXPECT_LT(not_known, large) << "knowing nothing covers everything";
        table += fmt::format("| {} | {} | {} | {:.0f} % | {} | {} | {} of {} | x {:.1f} |\n",
                             unit.name, types.size(), small, 100 * farthest, large, not_known,
                             inside, large - not_known, widest);
    }
    constexpr std::string_view begin = "<!-- hidden types, from the evidence -->\n";
    constexpr std::string_view end = "<!-- end of hidden types -->";
    auto const path = fs::path{DERATE_SOURCE_DIR} / "docs" / "accuracy.md";
    auto page = read_text(path);
    auto const from = page.find(begin);
    auto const to = page.find(end);
    ASSERT_TRUE(from != std::string::npos && to != std::string::npos);
    auto const first = from + begin.size();
    if (std::getenv("DERATE_UPDATE_DOCS") != nullptr) {
        write_atomically(path, page.replace(first, to - first, table));
    } else {
        EXPECT_EQ(page.substr(first, to - first), table)
            << "docs/accuracy.md: run hidden_types_test with DERATE_UPDATE_DOCS=1";
    }
}

}  // namespace
}  // namespace derate
