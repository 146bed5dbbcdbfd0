#include "campaign/trust_grade.hpp"

#include <gtest/gtest.h>

namespace derate {
namespace {

Environment bare_metal() {
    Environment environment;
    environment.hypervisor = "none";
    environment.governor = "performance";
    environment.turbo = false;
    environment.blas = "mkl";
    environment.logical_cpus = 8;
    environment.load_average = 0.1;
    environment.build_type = "Release";
    return environment;
}

MeasuredQuality good() { return {.launches = 5, .precise_share = 0.9}; }

TEST(TrustGrade, QuietBareMetalWithFiveLaunchesIsA) {
    auto const trust = judge_trust(bare_metal(), good());
    EXPECT_EQ(trust.grade, TrustGrade::a);
    EXPECT_TRUE(trust.reasons.empty());
}

TEST(TrustGrade, OneThingMissingIsB) {
    auto environment = bare_metal();
    environment.turbo = true;
    EXPECT_EQ(judge_trust(environment, good()).grade, TrustGrade::b);
    auto few = good();
    few.launches = 4;
    EXPECT_EQ(judge_trust(bare_metal(), few).grade, TrustGrade::b);
}

TEST(TrustGrade, WhatIsUnknownIsNotTakenForGood) {
    for (auto const& forget : std::vector<void (*)(Environment&)>{
             [](Environment& e) { e.turbo.reset(); }, [](Environment& e) { e.hypervisor.reset(); },
             [](Environment& e) { e.load_average.reset(); },
             [](Environment& e) { e.governor.reset(); }}) {
        auto environment = bare_metal();
        forget(environment);
        EXPECT_EQ(judge_trust(environment, good()).grade, TrustGrade::b);
    }
}

TEST(TrustGrade, GpuThatWasSlowedDownIsB) {
    auto environment = bare_metal();
    environment.gpu_throttle_reasons = "idle,application_clocks";
    EXPECT_EQ(judge_trust(environment, good()).grade, TrustGrade::a);
    environment.gpu_throttle_reasons = "power_cap";
    EXPECT_EQ(judge_trust(environment, good()).grade, TrustGrade::b);
}

TEST(TrustGrade, GuestWithUnknownClocksOrQuickModeIsC) {
    auto environment = bare_metal();
    environment.hypervisor = "KVM";
    environment.governor.reset();
    EXPECT_EQ(judge_trust(environment, good()).grade, TrustGrade::c);
    auto quick = good();
    quick.quick = true;
    EXPECT_EQ(judge_trust(bare_metal(), quick).grade, TrustGrade::c);
}

TEST(TrustGrade, DriftReferenceBlasAndForeignLoadAreD) {
    auto drifted = good();
    drifted.drift = {{.probe = "compute", .samples = 10, .drifted = true}};
    EXPECT_EQ(judge_trust(bare_metal(), drifted).grade, TrustGrade::d);
    auto environment = bare_metal();
    environment.blas = "reference";
    EXPECT_EQ(judge_trust(environment, good()).grade, TrustGrade::d);
    environment = bare_metal();
    environment.load_average = 3;
    EXPECT_EQ(judge_trust(environment, good()).grade, TrustGrade::d);
}

TEST(TrustGrade, QuotaBelowTheThreadsIsD) {
    auto environment = bare_metal();
    environment.cgroup_cpus = 0.5;
    EXPECT_EQ(judge_trust(environment, good()).grade, TrustGrade::d) << "one thread where unknown";
    environment.cgroup_cpus = 1;
    EXPECT_EQ(judge_trust(environment, good()).grade, TrustGrade::a);
    environment.threads = 2;
    EXPECT_EQ(judge_trust(environment, good()).grade, TrustGrade::d);
    environment.cgroup_cpus = 2;
    EXPECT_EQ(judge_trust(environment, good()).grade, TrustGrade::a);
    EXPECT_EQ(short_quota(1.5, 2)->what,
              "a control group grants 1.5 CPUs to 2 threads, stopped in every period");
}

TEST(TrustGrade, WorstReasonStandsFirst) {
    auto environment = bare_metal();
    environment.turbo = true;
    environment.blas = "reference";
    auto const trust = judge_trust(environment, good());
    ASSERT_EQ(trust.reasons.size(), 2U);
    EXPECT_EQ(trust.reasons[0].at_best, TrustGrade::d);
    EXPECT_FALSE(trust.reasons[0].remedy.empty());
}

}  // namespace
}  // namespace derate
