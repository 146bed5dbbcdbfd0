#include "gate/comparison.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "storage/file.hpp"
#include "storage/google_benchmark_export.hpp"

namespace derate {
namespace {

CaseTimes one_case(std::string name, std::vector<double> times_ms) {
    return {.name = std::move(name), .times_ms = std::move(times_ms)};
}

/// An export of 20 cases and 10 launches from a virtual machine: launches differ by 3.4 %, visits
/// by 6.7 %, of which the cases of one export share what is between visits.
TimingTable noisy_export(std::uint64_t seed, double first_case_slowdown = 1) {
    std::mt19937_64 generator{seed};
    std::normal_distribution<> normal;
    double const within = 0.034;
    double const visit = std::sqrt(0.067 * 0.067 - within * within) * normal(generator);
    TimingTable table{.file = "export"};
    for (int c = 0; c < 20; ++c) {
        std::vector<double> times;
        for (int k = 0; k < 10; ++k) {
            double const base = std::pow(1.5, c) * 0.01 * (c == 0 ? first_case_slowdown : 1);
            times.push_back(base * std::exp(visit + within * normal(generator)));
        }
        table.cases.push_back(one_case("case_" + std::to_string(c), times));
    }
    return table;
}

/// The same times as the file that `derate measure --export gbench` writes: a row a case.
std::string as_our_export(TimingTable const& table) {
    Measurement measurement{.model = "model", .condition = {.execution = {.threads = 1}}};
    for (auto const& one : table.cases) {
        std::vector<LaunchTimes> launches;
        for (double const median : one.times_ms) {
            launches.push_back({.times_ms = {.count = 5, .mean = median},
                                .lower_quartile_ms = median,
                                .median_ms = median,
                                .upper_quartile_ms = median,
                                .min_ms = median,
                                .max_ms = median});
        }
        MeasuredSubgraph measured;
        measured.subgraph.type = OperationType::conv2d;
        measured.subgraph.id = static_cast<int>(measurement.subgraphs.size());
        measured.isolated = timing_of(std::move(launches));
        measurement.subgraphs.push_back(std::move(measured));
    }
    return google_benchmark_export({measurement}, {}, {}, "derate measure");
}

/// ... and as Google Benchmark writes it with --benchmark_repetitions: rows of repetitions and of
/// aggregates.
std::string as_plain_export(TimingTable const& table) {
    auto rows = nlohmann::json::array();
    for (auto const& one : table.cases) {
        auto const row = [&](std::string const& suffix, char const* run_type, double ms) {
            return nlohmann::json{{"name", one.name + suffix}, {"run_name", one.name},
                                  {"run_type", run_type},      {"real_time", 1e3 * ms},
                                  {"cpu_time", 1e3 * ms},      {"time_unit", "us"}};
        };
        for (double const ms : one.times_ms) rows.push_back(row("", "iteration", ms));
        rows.push_back(row("_mean", "aggregate", 123));
        rows.push_back(row("_cv", "aggregate", 0.03));
    }
    return nlohmann::json{{"context", {{"num_cpus", 2}}}, {"benchmarks", rows}}.dump();
}

/// What two hundred pairs of files say of a program whose first case became slower.
struct Pairs {
    int regressions = 0;
    int found = 0;   ///< the first case is named on top, and nothing passes
    int others = 0;  ///< cases named that are as they were
};

template <class Write>
Pairs compare_pairs(Write const& write, std::string const& first_case, double slowdown) {
    auto const folder = std::filesystem::temp_directory_path() /
                        ("derate_compare_" + std::to_string(::getpid()) + first_case.substr(0, 4));
    auto const through_file = [&](TimingTable const& table, char const* name) {
        write_atomically(folder / name, write(table));
        return read_timing_table(folder / name);
    };
    Pairs pairs;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        auto const result = compare(through_file(noisy_export(2 * seed + 1), "old.json"),
                                    through_file(noisy_export(2 * seed + 2, slowdown), "new.json"));
        EXPECT_EQ(result.cases.size(), 20U);
        auto const& worst = result.cases.front();
        pairs.regressions += result.verdict == Verdict::fail;
        pairs.found += result.verdict != Verdict::pass &&
                       (worst.slower || worst.slower_than_shift) && worst.name == first_case;
        for (auto const& one : result.cases) pairs.others += one.slower && one.name != first_case;
    }
    std::filesystem::remove_all(folder);
    return pairs;
}

TEST(Compare, TwoHundredPairsOfTheSameStateShowNoRegression) {
    EXPECT_LE(compare_pairs(as_plain_export, "case_0", 1).regressions, 10);
    EXPECT_LE(compare_pairs(as_our_export, "conv2d/model/b1/0/unknown/real_time", 1).regressions,
              10);
}

TEST(Compare, TenPercentSlowdownOfOneCaseIsFoundInTwoHundredPairs) {
    auto const plain = compare_pairs(as_plain_export, "case_0", 1.1);
    EXPECT_GE(plain.found, 190);
    // Where the other 19 got faster meanwhile, host or program, it is slower than they alone.
    EXPECT_GE(plain.regressions, 130);
    EXPECT_LE(plain.others, 10);
    auto const ours = compare_pairs(as_our_export, "conv2d/model/b1/0/unknown/real_time", 1.1);
    EXPECT_GE(ours.found, 190);
    EXPECT_LE(ours.others, 10);
}

TEST(Compare, SameFileTwicePasses) {
    auto const table = noisy_export(1);
    auto const result = compare(table, table);
    EXPECT_EQ(result.verdict, Verdict::pass) << result.reason;
    EXPECT_EQ(result.shift.ratio, 1.0);
}

TEST(Compare, RatioAndIntervalByHand) {
    // log ratio log(1.2); both variances equal, so Welch has 4 degrees of freedom
    TimingTable const before{.cases = {one_case("a", {0.9, 1.0, 1.0 / 0.9})}};
    TimingTable const after{.cases = {one_case("a", {1.08, 1.2, 1.2 / 0.9})}};
    auto const result = compare(before, after, {.absolute = true}).cases.front();
    double const spread = -std::log(0.9);
    double const standard_error = std::sqrt(2 * spread * spread / 3);
    EXPECT_NEAR(result.ratio, 1.2, 1e-12);
    EXPECT_NEAR(std::log(result.interval->upper / 1.2), 2.7764451 * standard_error, 1e-7);
    EXPECT_NEAR(*result.p_value, 0.05070728, 1e-8);  // scipy 1.14.1: t.sf(2.1193650, 4)
}

TEST(Compare, SingleRepetitionsCannotTell) {
    TimingTable const before{.cases = {one_case("a", {1.0})}};
    TimingTable const after{.cases = {one_case("a", {2.0})}};
    EXPECT_EQ(compare(before, after).verdict, Verdict::inconclusive);
    EXPECT_EQ(compare(before, after).cases.front().interval, std::nullopt);
}

TEST(Compare, IntervalsOfAnExportStandForItsRepetitions) {
    auto const exported = [](double ms) {
        CaseTimes one = one_case("a", {ms});
        one.ci_95_lower_ms = ms * 0.99;
        one.ci_95_upper_ms = ms * 1.01;
        one.launches = 6;
        return TimingTable{.cases = {one}};
    };
    ComparisonLimits const absolute{.absolute = true};
    EXPECT_EQ(compare(exported(1.0), exported(1.1), absolute).verdict, Verdict::fail);
    EXPECT_EQ(compare(exported(1.0), exported(1.01), absolute).verdict, Verdict::pass);
    EXPECT_TRUE(compare(exported(1.1), exported(1.0), absolute).cases.front().faster);
}

TEST(Compare, AllCasesTogetherSlowerCannotTellHostFromProgram) {
    auto const before = noisy_export(1);
    auto after = before;
    for (auto& one : after.cases) {
        for (auto& t : one.times_ms) t *= 1.2;
    }
    EXPECT_EQ(compare(before, after).verdict, Verdict::inconclusive);
    EXPECT_EQ(compare(before, after, {.absolute = true}).verdict, Verdict::fail);
}

/// Cases that took `1 + changes[i]` as long, every one repeated five times to 0.2 %.
struct BeforeAndAfter {
    TimingTable before;
    TimingTable after;
};

BeforeAndAfter changed_by(std::vector<double> const& changes, std::uint64_t seed = 1) {
    std::mt19937_64 generator{seed};
    std::normal_distribution<> normal{0, 0.002};
    BeforeAndAfter tables;
    for (std::size_t i = 0; i < changes.size(); ++i) {
        auto const times = [&](double scale) {
            std::vector<double> all;
            for (int k = 0; k < 5; ++k) {
                all.push_back(0.1 * scale * static_cast<double>(i + 1) *
                              std::exp(normal(generator)));
            }
            return all;
        };
        auto const name = "case_" + std::to_string(i);
        tables.before.cases.push_back(one_case(name, times(1)));
        tables.after.cases.push_back(one_case(name, times(1 + changes[i])));
    }
    return tables;
}

std::set<std::string> slower_cases(Comparison const& comparison) {
    std::set<std::string> names;
    for (auto const& one : comparison.cases) {
        if (one.slower) names.insert(one.name);
    }
    return names;
}

// However few they are: one case alone is host or program too.
TEST(Compare, AUniformShiftOfFewCasesCannotTellHostFromProgram) {
    for (std::size_t cases = 1; cases <= 5; ++cases) {
        auto const few = changed_by(std::vector<double>(cases, 0.2));
        auto const result = compare(few.before, few.after);
        EXPECT_EQ(result.verdict, Verdict::inconclusive) << cases << ": " << result.reason;
        EXPECT_EQ(result.doubt, Doubt::common_shift);
        EXPECT_EQ(compare(few.before, few.after, {.absolute = true}).verdict, Verdict::fail);
        auto const same = changed_by(std::vector<double>(cases, 0));
        EXPECT_EQ(compare(same.before, same.after).verdict, Verdict::pass);
    }
    auto const one_of_three = changed_by({0, 1, 0});
    auto const found = compare(one_of_three.before, one_of_three.after);
    EXPECT_EQ(found.verdict, Verdict::fail) << found.reason;
    EXPECT_EQ(slower_cases(found), (std::set<std::string>{"case_1"}));
}

// Nine of ten got faster, by the program or by the host, and one takes what it took: no regression
// for sure, and no pass.
TEST(Compare, ACaseThatDidNotGetFasterIsNoRegressionForSure) {
    std::vector<double> changes(10, -0.17);
    changes[3] = 0;
    auto const tables = changed_by(changes);
    auto const result = compare(tables.before, tables.after);
    EXPECT_EQ(result.verdict, Verdict::inconclusive) << result.reason;
    EXPECT_NE(result.reason.find("1 of 10 cases did not get faster"), std::string::npos)
        << result.reason;
    EXPECT_TRUE(result.cases.front().slower_than_shift);
    EXPECT_EQ(result.cases.front().name, "case_3");
}

// 30 cases slower by 0 to 58 %, evenly: no two thirds of them moved alike.
TEST(Compare, CasesThatMovedEachByItsOwnShareNoShift) {
    std::vector<double> changes;
    for (int i = 0; i < 30; ++i) changes.push_back(0.02 * i);
    auto const tables = changed_by(changes);
    auto const result = compare(tables.before, tables.after);
    EXPECT_NE(result.verdict, Verdict::pass);
    EXPECT_EQ(result.reason.find("All cases moved together"), std::string::npos) << result.reason;
    EXPECT_LT(result.shift.cases, 10);
}

TEST(Compare, AGroupThatStayedTellsTheRestApart) {
    struct Planted {
        std::vector<double> changes;
        std::set<std::string> slower;
    };
    for (auto const& [changes, slower] : std::vector<Planted>{
             {{1, 1, 1, 0, 0, 0}, {"case_0", "case_1", "case_2"}},            // half doubled
             {{1, 1, 1, 1, 0, 0}, {"case_0", "case_1", "case_2", "case_3"}},  // most doubled
             {{.25, .25, .25, .25, .25, .25, .25, 0, 0, 0, 0, 0},             // one kind of case
              {"case_0", "case_1", "case_2", "case_3", "case_4", "case_5", "case_6"}},
             {{.3, .6, .9, .02, 0, -.01}, {"case_0", "case_1", "case_2"}},  // each by its own
             {{1, 1, 1, 1, 1, 0},
              {"case_0", "case_1", "case_2", "case_3", "case_4"}},  // all but one
             {{-.5, -.5, 0, 0, 0, .2}, {"case_5"}},                 // others were faster
         }) {
        auto const [before, after] = changed_by(changes);
        auto const result = compare(before, after);
        EXPECT_EQ(result.verdict, Verdict::fail) << result.reason;
        EXPECT_EQ(result.shift.basis, ShiftBasis::unchanged_cases);
        EXPECT_EQ(slower_cases(result), slower);
        for (auto const& name : slower) EXPECT_NE(result.reason.find(name), std::string::npos);
    }
}

TEST(Compare, HalfOfManyCasesIsFoundThoughVisitsScatter) {
    // From 20 cases on their scatter widens every error; what the program moved is not scatter.
    std::vector<double> changes(24, 0);
    std::set<std::string> slower;
    for (int i = 0; i < 12; ++i) {
        changes[static_cast<std::size_t>(i)] = 1;
        slower.insert("case_" + std::to_string(i));
    }
    auto const [before, after] = changed_by(changes);
    EXPECT_EQ(slower_cases(compare(before, after)), slower);
}

TEST(Compare, WithoutAGroupThatStayedNothingSlowerPasses) {
    auto const six_by_4_9_four_by_10 =
        changed_by({.049, .049, .049, .049, .049, .049, .1, .1, .1, .1});
    auto const result = compare(six_by_4_9_four_by_10.before, six_by_4_9_four_by_10.after);
    EXPECT_EQ(result.verdict, Verdict::inconclusive);
    EXPECT_EQ(result.doubt, Doubt::common_shift);
    EXPECT_EQ(result.shift.basis, ShiftBasis::undecided);
    EXPECT_TRUE(slower_cases(result).empty());
    for (auto const* name : {"case_6", "case_7", "case_8", "case_9"}) {
        EXPECT_NE(result.reason.find(name), std::string::npos) << result.reason;
    }
    for (std::vector<double> const& changes :
         {std::vector<double>(8, .2), std::vector<double>(8, .06), std::vector<double>(8, -.2),
          std::vector<double>{.08, .08, .08, .3, .3, .3}}) {
        auto const [before, after] = changed_by(changes);
        auto const all = compare(before, after);
        EXPECT_EQ(all.verdict, Verdict::inconclusive) << all.reason;
        EXPECT_EQ(all.doubt, Doubt::common_shift);
    }
}

TEST(Compare, DriftProbesTellHostFromProgram) {
    auto const with_probes = [](std::vector<double> const& changes, double host) {
        auto tables = changed_by(changes);
        auto const probes = changed_by({host, host}, 7);
        for (std::size_t i = 0; i < 2; ++i) {
            for (auto table : {&BeforeAndAfter::before, &BeforeAndAfter::after}) {
                auto probe = (probes.*table).cases[i];
                probe.name = i == 0 ? "drift_probe/compute" : "drift_probe/bandwidth";
                (tables.*table).cases.push_back(probe);
            }
        }
        return compare(tables.before, tables.after);
    };
    auto const program = with_probes(std::vector<double>(6, .2), 0);
    EXPECT_EQ(program.verdict, Verdict::fail) << program.reason;
    EXPECT_EQ(slower_cases(program).size(), 6U);
    EXPECT_EQ(program.cases.size(), 6U);  // a probe is no case
    auto const host = with_probes(std::vector<double>(6, .2), .2);
    EXPECT_EQ(host.verdict, Verdict::pass) << host.reason;
    EXPECT_NEAR(host.shift.ratio, 1.2, 0.01);
    EXPECT_NEAR(host.cases.front().ratio, 1.2, 0.01);  // as measured
    EXPECT_NEAR(host.cases.front().adjusted_ratio, 1, 0.01);
    // The probes disagree: compute as it was, memory slower by as much as the cases.
    auto tables = changed_by(std::vector<double>(6, .2));
    auto const probes = changed_by({0, .2}, 7);
    for (auto table : {&BeforeAndAfter::before, &BeforeAndAfter::after}) {
        for (std::size_t i = 0; i < 2; ++i) {
            auto probe = (probes.*table).cases[i];
            probe.name = i == 0 ? "drift_probe/compute" : "drift_probe/bandwidth";
            (tables.*table).cases.push_back(probe);
        }
    }
    EXPECT_EQ(compare(tables.before, tables.after).verdict, Verdict::inconclusive);
    auto const both = with_probes({.2, .2, .2, .2, .2, .5}, .2);
    EXPECT_EQ(both.verdict, Verdict::fail);
    EXPECT_EQ(slower_cases(both), std::set<std::string>{"case_5"});
}

TEST(Compare, ARowShowsWhatTheFilesHold) {
    // All became 5 % faster but one, by 1.6 %: it is not "slower", and its row says -1.6 %.
    auto changes = std::vector<double>(10, -.05);
    changes[3] = -.016;
    auto const [before, after] = changed_by(changes);
    auto const result = compare(before, after);
    auto const row = std::ranges::find(result.cases, "case_3", &CaseComparison::name);
    EXPECT_NEAR(row->ratio, 0.984, 0.003);
    EXPECT_NEAR(row->new_ms / row->old_ms, row->ratio, 1e-12);
    EXPECT_NEAR(row->adjusted_ratio, 0.984 / 0.95, 0.003);
    EXPECT_NE(result.verdict, Verdict::fail) << result.reason;
}

TEST(Compare, MissingAndFailedCasesAreNamed) {
    auto const before = noisy_export(1);
    auto after = before;
    after.cases.erase(after.cases.begin() + 3);
    after.cases[0].failure = "out of memory";
    after.cases.push_back(one_case("new", {1.0, 1.0}));
    auto const result = compare(before, after);
    EXPECT_EQ(result.verdict, Verdict::inconclusive);
    EXPECT_EQ(result.only_before, std::vector<std::string>{"case_3"});
    EXPECT_EQ(result.only_after, std::vector<std::string>{"new"});
    EXPECT_EQ(result.failed, std::vector<std::string>{"case_0"});
    EXPECT_EQ(result.reason, "1 case failed, 1 case missing in the new file.");
}

TEST(Compare, ACaseWithoutATimeInTheNewFileIsNotMissingThere) {
    auto const before = noisy_export(1);
    auto after = before;
    after.cases.erase(after.cases.begin() + 3);
    after.left_out = {{"case_3", "skipped: no device"}};
    auto const result = compare(before, after);
    EXPECT_EQ(result.only_before, std::vector<std::string>{});
    EXPECT_EQ(result.verdict, Verdict::inconclusive);
    EXPECT_EQ(result.reason, "1 case without a time in the new file.");
}

TEST(Compare, OtherThreadsAreAnotherSettingOtherVersionsAreOnlyNamed) {
    auto before = noisy_export(1);
    auto after = before;
    before.environment = {{"tool_version", "1"}, {"threads", "1"}};
    after.environment = {{"tool_version", "2"}, {"threads", "1"}};
    EXPECT_EQ(compare(before, after).verdict, Verdict::pass);
    EXPECT_EQ(compare(before, after).environment.front().key, "tool_version");
    after.environment["threads"] = "2";
    EXPECT_EQ(compare(before, after).verdict, Verdict::inconclusive);
}

}  // namespace
}  // namespace derate
