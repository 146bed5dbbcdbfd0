#include "storage/google_benchmark_export.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

namespace derate {
namespace {

Timing timing(std::vector<double> const& medians) {
    std::vector<LaunchTimes> launches;
    for (double const ms : medians) {
        launches.push_back({.times_ms = {.count = 10, .mean = ms, .sum_squared_deviations = 0},
                            .lower_quartile_ms = ms,
                            .median_ms = ms,
                            .upper_quartile_ms = ms,
                            .min_ms = ms,
                            .max_ms = ms});
    }
    return timing_of(std::move(launches));
}

Measurement measurement() {
    Measurement m;
    m.model = "resnet18";
    m.condition.execution.threads = 2;
    m.condition.cache_state = CacheState::cold_all;
    m.whole_model = timing({10, 11, 12});
    for (auto const* descriptor : {"a", "a", "b"}) {
        MeasuredSubgraph part;
        part.subgraph.type = OperationType::linear;
        part.subgraph.descriptor = descriptor;
        part.isolated = timing({1});
        m.subgraphs.push_back(part);
    }
    m.subgraphs.push_back({.subgraph = {}, .failure = "out of memory"});
    return m;
}

TEST(GoogleBenchmarkExport, HasOneIterationRowACase) {
    auto const json =
        nlohmann::json::parse(google_benchmark_export({measurement()}, {}, {}, "derate"));
    ASSERT_EQ(json.at("benchmarks").size(), 3U);  // whole, a once, b; no row for what failed
    std::set<std::string> names;
    for (auto const& row : json.at("benchmarks")) {
        EXPECT_EQ(row.at("run_type"), "iteration");
        auto const name = row.at("name").get<std::string>();
        EXPECT_TRUE(name.ends_with("/real_time")) << name;
        EXPECT_TRUE(names.insert(name).second) << name;
    }
}

TEST(GoogleBenchmarkExport, CarriesTheFieldsThatGoogleBenchmarkWrites) {
    // JSONReporter of Google Benchmark 1.7.1 writes these for every iteration row.
    auto const json =
        nlohmann::json::parse(google_benchmark_export({measurement()}, {}, {}, "derate"));
    for (auto const* field : {"date", "executable", "num_cpus", "mhz_per_cpu",
                              "cpu_scaling_enabled", "caches", "load_avg", "library_build_type"}) {
        EXPECT_TRUE(json.at("context").contains(field)) << field;
    }
    for (auto const& row : json.at("benchmarks")) {
        for (auto const* field : {"name", "family_index", "per_family_instance_index", "run_name",
                                  "run_type", "repetitions", "repetition_index", "threads",
                                  "iterations", "real_time", "cpu_time", "time_unit"}) {
            EXPECT_TRUE(row.contains(field)) << field;
        }
        EXPECT_EQ(row.at("time_unit"), "ms");
    }
}

TEST(GoogleBenchmarkExport, IntervalIsTheOneOverLaunches) {
    auto const json =
        nlohmann::json::parse(google_benchmark_export({measurement()}, {}, {}, "derate"));
    auto const& whole = json.at("benchmarks").at(0);
    EXPECT_DOUBLE_EQ(whole.at("real_time").get<double>(), 11);
    // 11 -+ t(0.975, 2) / sqrt(3) = 11 -+ 4.302653 / 1.732051
    EXPECT_NEAR(whole.at("ci_95_lower_ms").get<double>(), 8.515862, 1e-6);
    EXPECT_NEAR(whole.at("ci_95_upper_ms").get<double>(), 13.484138, 1e-6);
    EXPECT_EQ(whole.at("served_ms"), 10.5) << "of the faster two, as in measurement files";
    EXPECT_EQ(whole.at("launches"), 3);
    EXPECT_FALSE(json.at("benchmarks").at(1).contains("ci_95_lower_ms")) << "one launch has none";
}

TEST(GoogleBenchmarkExport, WritesAWholeModelOnceForAllCacheStates) {
    auto hot = measurement();
    hot.condition.cache_state = CacheState::hot;
    auto const json =
        nlohmann::json::parse(google_benchmark_export({measurement(), hot}, {}, {}, "derate"));
    EXPECT_EQ(json.at("benchmarks").size(), 5U);  // whole once; a and b in two states
}

}  // namespace
}  // namespace derate
