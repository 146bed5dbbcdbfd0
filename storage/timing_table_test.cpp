#include "storage/timing_table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/input_error.hpp"
#include "ctest/temporary_folder.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class GoogleBenchmarkFile : public testing::Test {
  protected:
    /// \param rows  JSON objects, comma-separated
    TimingTable read(std::string const& rows) const {
        auto const file = folder_.path() / "b.json";
        write_atomically(file, R"({"context": {"num_cpus": 2}, "benchmarks": [)" + rows + "]}");
        return read_timing_table(file);
    }
    std::string fault(std::string const& rows) const {
        try {
            (void)read(rows);
        } catch (InputError const& error) {
            return error.what();
        }
        return "no fault";
    }

  private:
    TemporaryFolder folder_{"derate_timing_table_"};
};

std::map<std::string, CaseTimes> by_name(TimingTable const& table) {
    std::map<std::string, CaseTimes> cases;
    for (auto const& one : table.cases) cases[one.name] = one;
    return cases;
}

/// Written by Google Benchmark 1.7.1 (Debian 12): two registrations named "plain", one in ns, one
/// in ms, counters NaN and -Infinity, a benchmark that fails, one with fitted complexity, one with
/// manual time, a name with a slash and quotes.
TimingTable written_by_1_7_1(char const* name) {
    return read_timing_table(std::filesystem::path{DERATE_SOURCE_DIR} /
                             "storage/testdata/google_benchmark" / name);
}

TEST(GoogleBenchmark171, RepetitionsAreRead) {
    auto const table = written_by_1_7_1("repetitions_1.7.1.json");
    auto const cases = by_name(table);
    EXPECT_EQ(table.time, "real_time");
    EXPECT_THAT(cases, SizeIs(9));
    EXPECT_THAT(cases.at("plain").times_ms, ElementsAre(DoubleNear(1.1961678735597095e-3, 1e-15),
                                                        DoubleNear(1.5115643541044797e-3, 1e-15)));
    EXPECT_THAT(cases.at("plain (2)").times_ms, SizeIs(2));  // its rows are in ms
    EXPECT_LT(cases.at("plain (2)").times_ms[0], 0.1);
    EXPECT_EQ(cases.at("failing").failure, "no \"such\" device");
    EXPECT_THAT(cases.at("scaling/1024").times_ms, SizeIs(2));
    EXPECT_FALSE(cases.contains("scaling"));  // complexity is no time
    EXPECT_THAT(cases.at("manual/iterations:10/manual_time").times_ms,
                ElementsAre(DoubleNear(1, 1e-9), DoubleNear(1, 1e-9)));
    EXPECT_TRUE(cases.contains("with/slash \"and quote\"/iterations:50/real_time"));
}

TEST(GoogleBenchmark171, AggregatesStandForRepetitionsThatAreNotThere) {
    auto const cases = by_name(written_by_1_7_1("aggregates_only_1.7.1.json"));
    EXPECT_THAT(cases, SizeIs(9));
    auto const& plain = cases.at("plain");
    EXPECT_THAT(plain.times_ms, SizeIs(1));
    EXPECT_GT(plain.std_ms.value(), 0);
    EXPECT_EQ(plain.repetitions, 3);
}

TEST_F(GoogleBenchmarkFile, MeanAndDeviationByHand) {
    auto const table = read(R"(
        {"name": "a_mean", "run_name": "a", "run_type": "aggregate", "aggregate_name": "mean",
         "repetitions": 4, "real_time": 2000, "time_unit": "ns"},
        {"name": "a_stddev", "run_name": "a", "run_type": "aggregate", "aggregate_name": "stddev",
         "repetitions": 4, "real_time": 100, "time_unit": "ns"},
        {"name": "b_median", "run_name": "b", "run_type": "aggregate", "aggregate_name": "median",
         "repetitions": 4, "real_time": 100, "time_unit": "ns"})");
    ASSERT_THAT(table.cases, SizeIs(1));
    EXPECT_DOUBLE_EQ(table.cases[0].times_ms.at(0), 2e-3);
    EXPECT_DOUBLE_EQ(table.cases[0].std_ms.value(), 1e-4);
    EXPECT_EQ(table.cases[0].repetitions, 4);
    EXPECT_THAT(table.left_out, ElementsAre(CaseLeftOut{"b", "no repetition and no mean above 0"}));
}

TEST_F(GoogleBenchmarkFile, WhatHasNoTimeIsNamedAndLeftOut) {
    auto const table = read(R"(
        {"name": "good", "run_type": "iteration", "real_time": 5, "time_unit": "us"},
        {"name": "gpu", "run_type": "iteration", "real_time": 0.0, "skipped": true,
         "skip_message": "no device"},
        {"name": "empty", "run_type": "iteration", "real_time": 0, "time_unit": "ns"},
        {"name": "broken", "run_type": "iteration", "real_time": NaN},
        {"name": "old", "run_type": "iteration", "error_occurred": true, "error_message": "lost"})");
    EXPECT_THAT(table.left_out,
                ElementsAre(CaseLeftOut{"broken", "no real_time"},
                            CaseLeftOut{"empty", "a time of 0.0, which is not above 0"},
                            CaseLeftOut{"gpu", "skipped: no device"}));
    ASSERT_THAT(table.cases, SizeIs(2));
    EXPECT_DOUBLE_EQ(by_name(table).at("good").times_ms.at(0), 5e-3);
    EXPECT_EQ(by_name(table).at("old").failure, "lost");
}

TEST_F(GoogleBenchmarkFile, OfBeforeRunTypesIsToldByItsNames) {
    auto const table = read(R"(
        {"name": "f", "real_time": 100, "cpu_time": 99, "time_unit": "ns"},
        {"name": "f", "real_time": 120, "cpu_time": 99, "time_unit": "ns"},
        {"name": "f_mean", "real_time": 110, "time_unit": "ns"},
        {"name": "f_stddev", "real_time": 14, "time_unit": "ns"},
        {"name": "f_BigO", "cpu_coefficient": 1.5, "real_coefficient": 1.5, "time_unit": "ns"},
        {"name": "f_RMS", "cpu_coefficient": 0.02, "real_coefficient": 0.02},
        {"name": "row_mean", "real_time": 7, "time_unit": "ns"})");
    auto const cases = by_name(table);
    EXPECT_THAT(cases, SizeIs(2));
    EXPECT_THAT(cases.at("f").times_ms,
                ElementsAre(DoubleNear(1e-4, 1e-16), DoubleNear(1.2e-4, 1e-16)));
    EXPECT_TRUE(cases.contains("row_mean"));  // there is no "row" whose mean it could be
}

// ... with the repetitions left out as well, and counters in the words of those releases.
TEST_F(GoogleBenchmarkFile, AggregatesAloneOfBeforeRunTypes) {
    auto const table = read(R"(
        {"name": "f_mean", "real_time": 110, "repetitions": 3, "time_unit": "ns", "x": nan},
        {"name": "f_median", "real_time": 111, "repetitions": 3, "time_unit": "ns", "x": inf},
        {"name": "f_stddev", "real_time": 14, "repetitions": 3, "time_unit": "ns", "x": -inf})");
    ASSERT_THAT(table.cases, SizeIs(1));
    EXPECT_EQ(table.cases[0].name, "f");
    EXPECT_DOUBLE_EQ(table.cases[0].times_ms.at(0), 1.1e-4);
    EXPECT_DOUBLE_EQ(table.cases[0].std_ms.value(), 1.4e-5);
    auto const mean = [](int time) {
        return R"({"name": "f_mean", "real_time": )" + std::to_string(time) +
               R"(}, {"name": "f_stddev", "real_time": 1})";
    };
    EXPECT_THAT(fault(mean(10) + "," + mean(20)), HasSubstr("the mean of 'f' for the second time"));
}

TEST_F(GoogleBenchmarkFile, AnotherFormatIsNoFileOfTimings) {
    TemporaryFolder const folder{"derate_timing_table_"};
    write_atomically(folder.path() / "f.json", R"({"format": 3})");
    EXPECT_THROW((void)read_timing_table(folder.path() / "f.json"), InputError);
}

TEST_F(GoogleBenchmarkFile, TwoBenchmarksOfOneNameStayApartOrAreRefused) {
    auto const row = [](int family, int repetition, int time) {
        return R"({"name": "f", "run_type": "iteration", "family_index": )" +
               std::to_string(family) + R"(, "repetition_index": )" + std::to_string(repetition) +
               R"(, "real_time": )" + std::to_string(time) + "}";
    };
    auto const cases = by_name(read(row(0, 0, 10) + "," + row(0, 1, 11) + "," + row(1, 0, 20)));
    EXPECT_THAT(cases.at("f").times_ms, SizeIs(2));
    EXPECT_THAT(cases.at("f (2)").times_ms, SizeIs(1));
    EXPECT_THAT(
        fault(row(0, 0, 10) + "," + row(0, 0, 20)),
        HasSubstr("repetition 0 of 'f' for the second time (benchmarks of different names)"));
}

TEST_F(GoogleBenchmarkFile, NotFiniteWordsInsideTextsStayTexts) {
    auto const table = read(
        R"({"name": "NaN \" Infinity -Infinity", "real_time": 1, "hits": -Infinity, "x": [NaN, 1]})");
    EXPECT_EQ(table.cases.at(0).name, "NaN \" Infinity -Infinity");
}

TEST_F(GoogleBenchmarkFile, OtherTypesThanItsOwnAreFaults) {
    for (auto const* row :
         {"3", R"({"real_time": 1})", R"({"name": 3, "real_time": 1})",
          R"({"name": "a", "run_name": 3, "real_time": 1})",
          R"({"name": "a", "run_type": 1, "real_time": 1})", R"({"name": "a", "real_time": "1"})",
          R"({"name": "a", "real_time": 1, "time_unit": 2})",
          R"({"name": "a", "real_time": 1, "time_unit": "h"})",
          R"({"name": "a", "real_time": 1, "error_occurred": "yes"})",
          R"({"name": "a", "real_time": 1, "repetition_index": "0"})"}) {
        EXPECT_THAT(fault(row), HasSubstr("#/benchmarks/0")) << row;
    }
    // Counts that no int holds are not counts.
    EXPECT_THAT(read(R"({"name": "a", "real_time": 1, "repetition_index": 1e300})").cases,
                SizeIs(1));
}

}  // namespace
}  // namespace derate
