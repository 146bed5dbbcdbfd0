// Prints how often the gate says what: false alarms on clean calibrations, power against planted
// defects. Deterministic; docs/statistics.md holds its output.
//
//     gate_power [RUNS] [--models N] [--corpus CURVES.json]... [--replacement CURVES.json]...
//
// RUNS calibrations a row (1000). --models: only the rows of so many models. --corpus: calibrations
// drawn from this one's evidence instead of simulated ones; --replacement: the same for the paired
// comparison, of evidence with two campaigns.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "core/input_error.hpp"
#include "gate/gate.hpp"
#include "validation_tests/resampled_corpus.hpp"
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
    void add(Tally const& other) {
        pass += other.pass;
        fail += other.fail;
        inconclusive += other.inconclusive;
    }
};

/// All rules together, then accuracy, bias, variance and coverage.
using Tallies = std::array<Tally, 5>;

Tallies judge_statistics(std::vector<ModelOutcome> const& outcomes) {
    GateLimits limits;
    limits.bootstrap.replicates = 1000;
    std::array const results{judge_accuracy(outcomes, limits), judge_bias(outcomes, limits),
                             judge_variance(outcomes, limits), judge_coverage(outcomes, limits)};
    Tallies tallies{};
    auto verdict = Verdict::pass;
    for (std::size_t i = 0; i < results.size(); ++i) {
        tallies[i + 1].add(results[i].verdict);
        verdict = worse(verdict, results[i].verdict);
    }
    tallies[0].add(verdict);
    return tallies;
}

/// Sums what the runs find, on all processors; the sum does not depend on their number.
Tallies sum_over(int runs, std::function<Tallies(int run)> const& one_run) {
    int const workers = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    std::vector<std::future<Tallies>> parts;
    for (int worker = 0; worker < workers; ++worker) {
        parts.push_back(std::async(std::launch::async, [&, worker] {
            Tallies sum{};
            for (int run = worker; run < runs; run += workers) {
                auto const found = one_run(run);
                for (std::size_t i = 0; i < sum.size(); ++i) sum[i].add(found[i]);
            }
            return sum;
        }));
    }
    Tallies sum{};
    for (auto& part : parts) {
        auto const found = part.get();
        for (std::size_t i = 0; i < sum.size(); ++i) sum[i].add(found[i]);
    }
    return sum;
}

struct Settings {
    int runs = 1000;
    int only_models = 0;  ///< 0: all numbers of models

    [[nodiscard]] std::vector<int> numbers_of_models(std::vector<int> all) const {
        if (only_models > 0) all = {only_models};
        return all;
    }
};

using DrawOutcomes = std::function<std::vector<ModelOutcome>(SimulatedCalibration const&)>;
using DrawReplacement = std::function<std::vector<PairedKernel>(SimulatedReplacement const&)>;

struct Defect {
    char const* name;
    SimulatedCalibration what;
};

void print_statistics_table(std::string const& source, std::vector<Defect> const& defects,
                            DrawOutcomes const& draw, Settings const& settings) {
    std::printf(
        "| %-26s | models | FAIL %% | INC. %% | PASS %% | accuracy |   bias | variance | "
        "coverage |\n|---|---|---|---|---|---|---|---|---|\n",
        source.c_str());
    for (auto const& defect : defects) {
        for (int const models : settings.numbers_of_models({5, 10, 15, 33, 50, 60})) {
            auto const found = sum_over(settings.runs, [&](int run) {
                auto what = defect.what;
                what.models = models;
                what.seed = 1'000'003ULL * static_cast<std::uint64_t>(models) +
                            static_cast<std::uint64_t>(run);
                return judge_statistics(draw(what));
            });
            auto const percent = [&](int count) { return 100.0 * count / settings.runs; };
            std::printf("| %-26s | %6d | %6.1f | %6.1f | %6.1f | %8.1f | %6.1f | %8.1f | %8.1f |\n",
                        defect.name, models, percent(found[0].fail), percent(found[0].inconclusive),
                        percent(found[0].pass), percent(found[1].fail), percent(found[2].fail),
                        percent(found[3].fail), percent(found[4].fail));
            std::fflush(stdout);
        }
    }
    std::printf("\n");
}

void print_replacement_table(std::string const& source, DrawReplacement const& draw,
                             Settings const& settings) {
    struct ReplacementDefect {
        char const* name;
        SimulatedReplacement what;
    };
    std::array const defects{
        ReplacementDefect{"honest re-measurement", {}},
        ReplacementDefect{"10 % bias in conv2d", {.type_bias_percent = 10}},
        ReplacementDefect{"10 % bias in linear",
                          {.type_bias_percent = 10, .biased_type = OperationType::linear}},
        ReplacementDefect{"half of the models +25 %", {.slowed_percent = 25}},
        ReplacementDefect{"all models +25 %", {.common_percent = 25}},
    };
    std::printf("| %-26s | models | FAIL %% | INC. %% | PASS %% |\n|---|---|---|---|---|\n",
                source.c_str());
    for (auto const& defect : defects) {
        for (int const models : settings.numbers_of_models({5, 10, 15, 33, 60})) {
            auto const found = sum_over(settings.runs, [&](int run) {
                auto what = defect.what;
                what.models = models;
                what.seed = 7'000'003ULL * static_cast<std::uint64_t>(models) +
                            static_cast<std::uint64_t>(run);
                Tallies tallies{};
                tallies[0].add(judge_not_worse(draw(what), {}).verdict);
                return tallies;
            });
            auto const percent = [&](int count) { return 100.0 * count / settings.runs; };
            std::printf("| %-26s | %6d | %6.1f | %6.1f | %6.1f |\n", defect.name, models,
                        percent(found[0].fail), percent(found[0].inconclusive),
                        percent(found[0].pass));
            std::fflush(stdout);
        }
    }
    std::printf("\n");
}

std::string name_of(std::filesystem::path const& curves) {
    return std::filesystem::absolute(curves).parent_path().filename().string() + " " +
           curves.stem().string();
}

void run(int argc, char** argv) {
    Settings settings;
    std::vector<std::filesystem::path> corpora;
    std::vector<std::filesystem::path> replacements;
    for (int i = 1; i < argc; ++i) {
        std::string const argument = argv[i];
        bool const has_value = i + 1 < argc;
        if (argument == "--corpus" && has_value) {
            corpora.emplace_back(argv[++i]);
        } else if (argument == "--replacement" && has_value) {
            replacements.emplace_back(argv[++i]);
        } else if (argument == "--models" && has_value) {
            settings.only_models = std::atoi(argv[++i]);
        } else if (std::atoi(argument.c_str()) > 0) {
            settings.runs = std::atoi(argument.c_str());
        } else {
            throw InputError{argument, "not known", "RUNS, --models, --corpus or --replacement"};
        }
    }
    std::vector<Defect> const shared{
        {"none", {}},
        {"bias 3 %", {.bias_percent = 3}},
        {"bias 10 %", {.bias_percent = 10}},
        {"bias 25 %", {.bias_percent = 25}},
        {"variance understated 2x", {.variance_understatement = 2}},
    };
    if (corpora.empty() && replacements.empty()) {
        auto defects = shared;
        defects.push_back({"none, errors a third", {.error_scale = 1.0 / 3}});
        print_statistics_table("simulated", defects, simulate_outcomes, settings);
        print_replacement_table("simulated replacement", simulate_replacement, settings);
    }
    for (auto const& curves : corpora) {
        auto const corpus = read_corpus(curves);
        print_statistics_table(
            name_of(curves), shared,
            [&](SimulatedCalibration const& what) { return corpus.draw(what); }, settings);
    }
    for (auto const& curves : replacements) {
        auto const corpus = read_replacement(curves);
        print_replacement_table(
            name_of(curves), [&](SimulatedReplacement const& what) { return corpus.draw(what); },
            settings);
    }
}

}  // namespace
}  // namespace derate

int main(int argc, char** argv) {
    try {
        derate::run(argc, argv);
    } catch (derate::InputError const& error) {
        std::fprintf(stderr, "gate_power: %s\n", error.what());
        return 2;
    }
}
