#include "campaign/run_campaign.hpp"

#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <variant>

#include "campaign/measurement_of_samples.hpp"
#include "campaign/samples_file.hpp"
#include "core/input_error.hpp"
#include "ctest/temporary_folder.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;

/// A folder of its own for each test, and an environment variable for its length.
class RunCampaign : public testing::Test {
  protected:
    ~RunCampaign() override {
        for (auto const* name :
             {"SYNTHETIC_PAUSE_US", "SYNTHETIC_CRASH_AT", "SYNTHETIC_CRASH_IN",
              "SYNTHETIC_CRASH_CASES", "SYNTHETIC_FAIL_CASE", "SYNTHETIC_TEAR_AT"}) {
            ::unsetenv(name);
        }
    }

    [[nodiscard]] CampaignFiles files() const {
        return {.samples = folder_ / "x.samples.jsonl", .bench_program = SYNTHETIC_BENCH};
    }

    /// Runs a campaign in a process of its own, kills that when the samples have grown to `bytes`,
    /// and waits until its child has let go of the lock.
    void kill_when_grown_to(std::uintmax_t bytes, CampaignSettings const& settings,
                            char const* pause_us) const {
        ::setenv("SYNTHETIC_PAUSE_US", pause_us, 1);
        auto const pid = ::fork();
        if (pid == 0) {
            (void)run_campaign(settings, files(), {});
            ::_exit(0);
        }
        while (!fs::exists(files().samples) || fs::file_size(files().samples) < bytes) {
            ::usleep(500);
        }
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
        ::usleep(20000);
        ::unsetenv("SYNTHETIC_PAUSE_US");
    }

    TemporaryFolder temporary_{"derate_campaign_"};
    fs::path const folder_ = temporary_.path();
};

Subgraph subgraph(int id, std::string const& descriptor) {
    return {.id = id,
            .fusion_pattern = "Conv2d",
            .type = OperationType::conv2d,
            .nodes = {{.name = "n", .op = "conv2d"}},
            .work = Flops{1e6},
            .traffic = {Bytes{1e4}, Bytes{1e4}, Bytes{1e4}},
            .descriptor = descriptor};
}

CampaignSettings small_settings() {
    CampaignSettings settings;
    settings.rules = exact_rules(6, 3);
    settings.models = {{.name = "first",
                        .family = "f",
                        .file = "/models/first.pt2",
                        .subgraphs = {subgraph(0, "a"), subgraph(1, "b"), subgraph(2, "a")}},
                       {.name = "second",
                        .family = "s",
                        .file = "/models/second.pt2",
                        .subgraphs = {subgraph(0, "b"), subgraph(1, "c")}}};
    return settings;
}

std::string key_of(std::string const& descriptor) {
    return case_key(descriptor, CacheState::cold_all, {.threads = 1}, Precision::fp32);
}

/// Every repetition by its place, without its times of day.
std::map<std::pair<int, std::int64_t>, SampleContent> repetitions_of(fs::path const& samples) {
    std::map<std::pair<int, std::int64_t>, SampleContent> all;
    read_samples(samples, [&](SampleRecord const& record) {
        if (!record.sequence) return;
        EXPECT_TRUE(all.emplace(std::pair{record.launch, *record.sequence}, record.content).second)
            << "launch " << record.launch << " step " << *record.sequence << " recorded twice";
    });
    return all;
}

TEST_F(RunCampaign, TimesEachDistinctSubgraphOnceForAllModels) {
    auto const settings = small_settings();
    auto const result = run_campaign(settings, files(), {});
    EXPECT_EQ(result.cases.size(), 3);
    ASSERT_EQ(result.samples.isolated.size(), 3);
    for (auto const& [key, repetitions] : result.samples.isolated) {
        EXPECT_EQ(repetitions.size(), 3) << key;  // launches
        for (auto const& [launch, times] : repetitions) EXPECT_EQ(times.times_ms.size(), 2);
        EXPECT_EQ(result.stop_reasons.at(key), StopReason::exact);
    }
    auto const second = measurement_of(result, settings, settings.models[1], CacheState::cold_all,
                                       {}, "x.samples.jsonl", "0");
    ASSERT_EQ(second.subgraphs.size(), 2);
    EXPECT_TRUE(second.whole_model.has_value());
    EXPECT_TRUE(second.subgraphs[0].isolated.has_value()) << "shared with the first model";
}

TEST_F(RunCampaign, RecordsTheCpusOfTheProcessThatTimes) {
    auto settings = small_settings();
    settings.execution.cpus = {0};
    auto const result = run_campaign(settings, files(), {.affinity = "0-63"});
    EXPECT_EQ(result.samples.environment.affinity, "0");
}

TEST_F(RunCampaign, ShortBudgetTakesFewerRepetitionsOfEveryCaseNotFewerCases) {
    auto settings = small_settings();
    settings.rules = {.min_launches = 3, .max_launches = 3, .budget_s = 0.001};
    settings.models.resize(1);
    settings.models[0].subgraphs.clear();
    // 60 cases of 5 ms and a preparation each: 3 x 2 repetitions do not fit into a second.
    for (int i = 0; i < 60; ++i) {
        settings.models[0].subgraphs.push_back(subgraph(i, std::to_string(i)));
    }
    auto const result = run_campaign(settings, files(), {});
    ASSERT_EQ(result.samples.isolated.size(), 60U);
    for (auto const& [key, launches] : result.samples.isolated) {
        EXPECT_EQ(launches.at(0).times_ms.size(), 1U);
    }
}

TEST_F(RunCampaign, TimesWholeModelsBesideUnderTheDefaultAllocator) {
    auto settings = small_settings();
    settings.peaks = true;
    settings.rules.default_allocator_launches = 2;
    settings.models[1].in_budget = false;
    auto const result = run_campaign(settings, files(), {});
    auto const& beside = result.samples.whole_default_allocator;
    ASSERT_EQ(beside.size(), 1U) << "held-out models are not timed beside";
    ASSERT_EQ(beside.at("first/b1").size(), 2U) << "a process each";
    for (auto const& [number, launch] : beside.at("first/b1")) {
        EXPECT_TRUE(result.samples.launches.at(number).beside);
        EXPECT_FALSE(result.samples.whole.at("first/b1").contains(number));
    }
    // What is timed under the pinned one is what it would be without.
    EXPECT_EQ(result.samples.launches_begun(), 3);
    EXPECT_EQ(result.samples.whole.at("first/b1").size(), 3U);
    for (auto const& [key, launches] : result.samples.isolated) EXPECT_EQ(launches.size(), 3U);
    EXPECT_EQ(result.samples.peak_flops.at("fma_synthetic").size(), 3U);
    // Slower by half, as the stand-in draws it.
    EXPECT_NEAR(timing_of(beside.at("first/b1"))->center_ms /
                    timing_of(result.samples.whole.at("first/b1"))->center_ms,
                1.5, 0.15);
}

TEST_F(RunCampaign, AllocatorIsPartOfKeysAndOfWhatMustAgree) {
    auto settings = small_settings();
    settings.execution.allocator = Allocator::untouched;
    auto const result = run_campaign(settings, files(), {});
    EXPECT_TRUE(result.samples.isolated.contains(key_of("a") + "/default_malloc"));
    EXPECT_EQ(result.samples.whole.size(), 2U) << "the campaign's own state, nothing beside";
    EXPECT_TRUE(result.samples.whole_default_allocator.empty());
    auto const measurement = measurement_of(result, settings, settings.models[0],
                                            CacheState::cold_all, {}, "x.samples.jsonl", "0");
    EXPECT_EQ(measurement.condition.execution.allocator, Allocator::untouched);
    settings.execution.allocator = Allocator::pinned;
    EXPECT_THROW((void)run_campaign(settings, files(), {}), InputError);
}

TEST_F(RunCampaign, FinishedOutputIsReturnedAsItIs) {
    auto const first = run_campaign(small_settings(), files(), {});
    auto const size = fs::file_size(files().samples);
    auto const again = run_campaign(small_settings(), files(), {});
    EXPECT_FALSE(first.complete);
    EXPECT_TRUE(again.complete);
    EXPECT_EQ(fs::file_size(files().samples), size);
    EXPECT_EQ(again.samples.repetitions, first.samples.repetitions);
    EXPECT_FALSE(fs::exists(folder_ / "x.samples.jsonl.plan"));
}

TEST_F(RunCampaign, OtherSettingsOnTheSameOutputAreRefused) {
    (void)run_campaign(small_settings(), files(), {});
    auto other = small_settings();
    other.execution.threads = 2;
    EXPECT_THROW((void)run_campaign(other, files(), {}), InputError);
    other = small_settings();
    other.rules.max_launches = 4;
    EXPECT_THROW((void)run_campaign(other, files(), {}), InputError);
    other = small_settings();
    other.seed = 2;  // another order of the cases
    EXPECT_THROW((void)run_campaign(other, files(), {}), InputError);
}

TEST_F(RunCampaign, SamplesOfAnotherValueRuleAreRefused) {
    (void)run_campaign(small_settings(), files(), {});
    auto text = read_text(files().samples);
    std::string const now = R"("value_rule":"derate_2")";
    auto const place = text.find(now);
    ASSERT_NE(place, std::string::npos) << "the campaign line says by which rule it is timed";
    text.replace(place, now.size(), R"("value_rule":"derate_1")");
    std::ofstream{files().samples} << text;
    try {
        (void)run_campaign(small_settings(), files(), {});
        FAIL() << "resumed";
    } catch (InputError const& error) {
        EXPECT_NE(std::string{error.what()}.find("values derate_1"), std::string::npos);
    }
}

TEST_F(RunCampaign, OutputInUseIsRefused) {
    std::ofstream{files().samples};
    int const descriptor = ::open(files().samples.c_str(), O_RDONLY);
    ASSERT_EQ(::flock(descriptor, LOCK_EX), 0);
    EXPECT_THROW((void)run_campaign(small_settings(), files(), {}), EnvironmentRefused);
    ::close(descriptor);
    EXPECT_TRUE(run_campaign(small_settings(), files(), {}).samples.finished);
}

TEST_F(RunCampaign, TornLineOfAKilledWriterIsCutOff) {
    (void)run_campaign(small_settings(), files(), {});
    auto const undisturbed = repetitions_of(files().samples);
    auto const size = fs::file_size(files().samples);
    ASSERT_GT(undisturbed.size(), 20U);
    fs::remove(files().samples);

    kill_when_grown_to(size / 3, small_settings(), "2000");
    std::ofstream{files().samples, std::ios::app} << R"({"kind":"isol)";

    auto const result = run_campaign(small_settings(), files(), {});
    EXPECT_TRUE(result.resumed);
    EXPECT_EQ(repetitions_of(files().samples), undisturbed);
}

TEST_F(RunCampaign, LaunchThatWasBrokenOffGoesOnThoughItsCasesHaveEnough) {
    // Killed in the last launch that is allowed, when every case has a repetition of it: looked at
    // now, each would have stopped.
    auto settings = small_settings();
    settings.rules = {.min_launches = 2,
                      .max_launches = 3,
                      .rounds = 4,
                      .repetitions_per_visit = 1,
                      .whole_repetitions = 4,
                      .target_half_width = 1e-9};
    (void)run_campaign(settings, files(), {});
    auto const undisturbed = repetitions_of(files().samples);
    auto const size = fs::file_size(files().samples);
    fs::remove(files().samples);

    kill_when_grown_to(size * 9 / 10, settings, "5000");

    EXPECT_TRUE(run_campaign(settings, files(), {}).resumed);
    EXPECT_EQ(repetitions_of(files().samples), undisturbed);
}

TEST_F(RunCampaign, BenchThatDiesInTheMiddleOfALineLeavesNone) {
    ::setenv("SYNTHETIC_TEAR_AT", "5", 1);
    auto const result = run_campaign(small_settings(), files(), {});
    EXPECT_EQ(result.samples.failures.size(), 1);
    EXPECT_GE(static_cast<std::int64_t>(repetitions_of(files().samples).size()),
              result.samples.repetitions);
    EXPECT_GT(result.samples.repetitions, 0);
}

TEST_F(RunCampaign, KilledAnywhereItEndsLikeAnUndisturbedRun) {
    (void)run_campaign(small_settings(), files(), {});
    auto const undisturbed = repetitions_of(files().samples);
    fs::remove(files().samples);

    for (int kill = 0; kill < 10; ++kill) {
        auto const pid = ::fork();
        if (pid == 0) {
            ::setenv("SYNTHETIC_PAUSE_US", "500", 1);
            try {
                (void)run_campaign(small_settings(), files(), {});
            } catch (...) {
            }
            ::_exit(0);
        }
        ::usleep(static_cast<useconds_t>(2000 + 2500 * kill));
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
        if (fs::exists(files().samples)) {
            EXPECT_NO_THROW((void)repetitions_of(files().samples)) << "after kill " << kill;
        }
    }
    // The killed campaign's child goes with it; its lock may outlive it by a moment.
    for (int attempt = 0; attempt < 100; ++attempt) {
        try {
            (void)run_campaign(small_settings(), files(), {});
            break;
        } catch (EnvironmentRefused const&) {
            ::usleep(10000);
        }
    }
    EXPECT_EQ(repetitions_of(files().samples), undisturbed);
}

TEST_F(RunCampaign, CrashOfTheBenchIsTheFailureOfOneCase) {
    ::setenv("SYNTHETIC_CRASH_AT", "6", 1);
    auto const result = run_campaign(small_settings(), files(), {});
    ASSERT_EQ(result.samples.failures.size(), 1);
    EXPECT_NE(result.samples.failures.begin()->second.find("signal 11"), std::string::npos);
    EXPECT_TRUE(result.samples.finished);
}

TEST_F(RunCampaign, ModelThatCrashesAgainAndAgainFailsAsAWhole) {
    ::setenv("SYNTHETIC_CRASH_IN", "first", 1);
    auto const settings = small_settings();
    auto const result = run_campaign(settings, files(), {});
    EXPECT_TRUE(result.samples.finished);
    EXPECT_TRUE(result.samples.failures.contains("first/b1"));
    EXPECT_EQ(result.samples.whole.at("second/b1").size(), 3);
    // "b" is timed in the first model, which is gone; the second model says so.
    auto const second =
        measurement_of(result, settings, settings.models[1], CacheState::cold_all, {}, "", "");
    EXPECT_TRUE(second.subgraphs[0].failure->find("first/b1, which failed") != std::string::npos ||
                result.samples.failures.contains(key_of("b")))
        << second.subgraphs[0].failure.value_or("");
    EXPECT_EQ(result.stop_reasons.at(key_of("b")), StopReason::failed);
    EXPECT_EQ(result.stop_reasons.at(key_of("c")), StopReason::exact);
}

TEST_F(RunCampaign, CrashesOfTwoKernelsFarApartAreTwoFailures) {
    // Both are in the first model, of which something else is timed before the second crashes.
    ::setenv("SYNTHETIC_CRASH_CASES", (key_of("a") + "," + key_of("b")).c_str(), 1);
    auto settings = small_settings();
    settings.seed = 1;
    auto const result = run_campaign(settings, files(), {});
    EXPECT_TRUE(result.samples.finished);
    EXPECT_EQ(result.samples.failures.size(), 2);
    EXPECT_TRUE(result.samples.failures.contains(key_of("a")));
    EXPECT_TRUE(result.samples.failures.contains(key_of("b")));
    EXPECT_EQ(result.samples.isolated.at(key_of("c")).size(), 3);
    (void)repetitions_of(files().samples);  // none is there twice
}

TEST_F(RunCampaign, GoesOnWhereTheMachinesLineIsMissing) {
    auto const settings = small_settings();
    auto const undisturbed = run_campaign(settings, files(), {.cpu_name = "one"});
    auto const text = [&] {
        std::ifstream file{files().samples};
        std::string first;
        std::getline(file, first);
        return first + "\n";
    }();
    std::ofstream{files().samples, std::ios::trunc} << text;
    auto const result = run_campaign(settings, files(), {.cpu_name = "one"});
    EXPECT_TRUE(result.samples.finished);
    EXPECT_EQ(result.samples.environment.cpu_name, "one");
    EXPECT_EQ(result.samples.repetitions, undisturbed.samples.repetitions);
}

TEST_F(RunCampaign, ReasonsForStoppingAreInTheSamples) {
    auto const result = run_campaign(small_settings(), files(), {});
    std::map<std::string, std::string> written;
    read_samples(files().samples, [&](SampleRecord const& record) {
        auto const* line = std::get_if<StoppedLine>(&record.content);
        if (line == nullptr) return;
        auto const name = line->case_key ? *line->case_key : line->model.value() + "/b1";
        EXPECT_TRUE(written.emplace(name, line->reason).second) << name << " twice";
    });
    ASSERT_EQ(written.size(), result.stop_reasons.size());
    for (auto const& [name, reason] : result.stop_reasons) {
        EXPECT_EQ(written.at(name), to_string(reason));
    }
}

TEST_F(RunCampaign, RefusesTwoModelsOfOneName) {
    auto settings = small_settings();
    settings.models[1].name = "first";
    EXPECT_THROW((void)run_campaign(settings, files(), {}), InputError);
    EXPECT_FALSE(fs::exists(files().samples) && fs::file_size(files().samples) > 0);
}

TEST_F(RunCampaign, RefusesToGoOnOnAnotherMachine) {
    kill_when_grown_to(3000, small_settings(), "3000");
    Environment other;
    other.cpu_name = "another";
    try {
        (void)run_campaign(small_settings(), files(), other);
        FAIL() << "went on";
    } catch (InputError const& error) {
        EXPECT_NE(std::string{error.what()}.find("cpu_name differ"), std::string::npos)
            << error.what();
    }
    EXPECT_TRUE(run_campaign(small_settings(), files(), {.load_average = 3}).samples.finished);
}

TEST_F(RunCampaign, FailedCaseIsAResultAndTheRestGoesOn) {
    ::setenv("SYNTHETIC_FAIL_CASE", key_of("b").c_str(), 1);
    auto const settings = small_settings();
    auto const result = run_campaign(settings, files(), {});
    EXPECT_EQ(result.samples.failures.at(key_of("b")), "synthetic failure");
    EXPECT_EQ(result.stop_reasons.at(key_of("b")), StopReason::failed);
    EXPECT_TRUE(result.samples.isolated.contains(key_of("a")));
    auto const first =
        measurement_of(result, settings, settings.models[0], CacheState::cold_all, {}, "", "");
    EXPECT_EQ(first.subgraphs[1].failure, "synthetic failure");
}

TEST_F(RunCampaign, StopsWhenIntervalsAreNarrow) {
    auto settings = small_settings();
    settings.rules = {.min_launches = 4,
                      .max_launches = 30,
                      .rounds = 1,
                      .repetitions_per_visit = 3,
                      .whole_repetitions = 3,
                      .target_half_width = 0.03};
    auto const result = run_campaign(settings, files(), {});
    for (auto const& item : result.cases) {
        EXPECT_NE(result.stop_reasons.at(item.key), StopReason::budget);
        if (result.stop_reasons.at(item.key) != StopReason::precise) continue;
        EXPECT_LE(relative_half_width(result.samples.isolated.at(item.key)).value(), 0.03);
    }
    EXPECT_LT(result.samples.launches.size(), 30);
    EXPECT_GE(result.samples.launches.size(), 4);
}

TEST_F(RunCampaign, HeldOutModelsTakeTurnsOnceTheyHaveTheLeastLaunches) {
    auto settings = small_settings();
    settings.models[1].in_budget = settings.models[1].isolated = false;
    settings.models[1].in_context = false;
    settings.rules = {.min_launches = 3,
                      .max_launches = 9,
                      .rounds = 1,
                      .repetitions_per_visit = 1,
                      .whole_repetitions = 1,
                      .target_half_width = 1e-9};
    auto const result = run_campaign(settings, files(), {});
    EXPECT_EQ(result.samples.isolated.at(key_of("a")).size(), 9);
    EXPECT_EQ(result.samples.whole.at("first/b1").size(), 9);
    // Of the six launches after the third, every other one.
    EXPECT_EQ(result.samples.whole.at("second/b1").size(), 6);
    EXPECT_EQ(result.samples.in_context.at("first/b1").size(), 5);
}

TEST_F(RunCampaign, SpentBudgetIsNoPass) {
    auto settings = small_settings();
    settings.rules = {.min_launches = 2,
                      .max_launches = 1000,
                      .rounds = 1,
                      .repetitions_per_visit = 1,
                      .whole_repetitions = 1,
                      .target_half_width = 1e-9,
                      .budget_s = 0.05};
    ::setenv("SYNTHETIC_PAUSE_US", "2000", 1);
    auto const result = run_campaign(settings, files(), {});
    EXPECT_LE(result.samples.launches.size(), 6);
    EXPECT_EQ(result.stop_reasons.at(key_of("a")), StopReason::budget);
}

TEST_F(RunCampaign, ProgramThatIsNotThereIsAnEnvironmentFault) {
    auto where = files();
    where.bench_program = folder_ / "nothing";
    EXPECT_THROW((void)run_campaign(small_settings(), where, {}), EnvironmentRefused);
}

}  // namespace
}  // namespace derate
