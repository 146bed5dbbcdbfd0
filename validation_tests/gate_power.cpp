// Prints how often the gate says what: false alarms on clean calibrations, power against planted
// defects. Deterministic; docs/statistics.md holds its output. Usage: gate_power [RUNS]
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "calibration/gate.hpp"
#include "validation_tests/simulated_models.hpp"

namespace derate {
namespace {

struct Tally {
    int pass = 0;
    int fail = 0;
    int inconclusive = 0;

    void add(Verdict verdict) {
        ++(verdict == Verdict::pass ? pass : verdict == Verdict::fail ? fail : inconclusive);
    }
};

/// The rules that judge predictions by statistics.
Verdict judge_statistics(std::vector<ModelOutcome> const& outcomes, GateLimits const& limits,
                         std::array<Tally, 4>& by_rule) {
    std::array const results{judge_accuracy(outcomes, limits), judge_bias(outcomes, limits),
                             judge_variance(outcomes, limits), judge_coverage(outcomes, limits)};
    auto verdict = Verdict::pass;
    for (std::size_t i = 0; i < results.size(); ++i) {
        by_rule[i].add(results[i].verdict);
        verdict = worse(verdict, results[i].verdict);
    }
    return verdict;
}

void print_row(std::string const& name, int models, Tally const& all,
               std::array<Tally, 4> const& by_rule, int runs) {
    auto const percent = [runs](int count) { return 100.0 * count / runs; };
    std::printf("| %-26s | %6d | %6.1f | %6.1f | %6.1f | %8.1f | %6.1f | %8.1f | %8.1f |\n",
                name.c_str(), models, percent(all.fail), percent(all.inconclusive),
                percent(all.pass), percent(by_rule[0].fail), percent(by_rule[1].fail),
                percent(by_rule[2].fail), percent(by_rule[3].fail));
}

void print_statistics_table(int runs) {
    struct Defect {
        char const* name;
        SimulatedCalibration what;
    };
    std::array const defects{
        Defect{"none", {}},
        Defect{"bias 3 %", {.bias_percent = 3}},
        Defect{"bias 10 %", {.bias_percent = 10}},
        Defect{"bias 25 %", {.bias_percent = 25}},
        Defect{"variance understated 2x", {.variance_understatement = 2}},
        Defect{"none, errors a third", {.error_scale = 1.0 / 3}},
    };
    std::printf(
        "| %-26s | models | FAIL %% | INC. %% | PASS %% | accuracy |   bias | variance | "
        "coverage |\n|---|---|---|---|---|---|---|---|---|\n",
        "defect");
    GateLimits limits;
    limits.bootstrap.replicates = 1000;
    for (auto const& defect : defects) {
        for (int const models : {5, 10, 15, 33, 50, 60}) {
            Tally all;
            std::array<Tally, 4> by_rule{};
            for (int run = 0; run < runs; ++run) {
                auto what = defect.what;
                what.models = models;
                what.seed = 1'000'003ULL * static_cast<std::uint64_t>(models) +
                            static_cast<std::uint64_t>(run);
                all.add(judge_statistics(simulate_outcomes(what), limits, by_rule));
            }
            print_row(defect.name, models, all, by_rule, runs);
        }
    }
}

void print_replacement_table(int runs) {
    struct Defect {
        char const* name;
        SimulatedReplacement what;
    };
    std::array const defects{
        Defect{"honest re-measurement", {}},
        Defect{"10 % bias in conv2d", {.type_bias_percent = 10}},
        Defect{"10 % bias in linear",
               {.type_bias_percent = 10, .biased_type = OperationType::linear}},
        Defect{"half of the models +25 %", {.slowed_percent = 25}},
        Defect{"all models +25 %", {.common_percent = 25}},
    };
    std::printf("\n| %-26s | models | FAIL %% | INC. %% | PASS %% |\n|---|---|---|---|---|\n",
                "against the replaced one");
    for (auto const& defect : defects) {
        for (int const models : {5, 10, 15, 33, 60}) {
            Tally all;
            for (int run = 0; run < runs; ++run) {
                auto what = defect.what;
                what.models = models;
                what.seed = 7'000'003ULL * static_cast<std::uint64_t>(models) +
                            static_cast<std::uint64_t>(run);
                all.add(judge_not_worse(simulate_replacement(what), {}).verdict);
            }
            auto const percent = [runs](int count) { return 100.0 * count / runs; };
            std::printf("| %-26s | %6d | %6.1f | %6.1f | %6.1f |\n", defect.name, models,
                        percent(all.fail), percent(all.inconclusive), percent(all.pass));
        }
    }
}

}  // namespace
}  // namespace derate

int main(int argc, char** argv) {
    int const runs = argc > 1 ? std::max(1, std::atoi(argv[1])) : 1000;
    std::printf("%d simulated calibrations a row\n\n", runs);
    derate::print_statistics_table(runs);
    derate::print_replacement_table(runs);
}
