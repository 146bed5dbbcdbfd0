#include "benchmarks/nvml.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>

namespace derate::benchmarks {
namespace {

// CTest puts testdata/fake_nvml.cpp into the place of the driver's library.
TEST(Nvml, StateIsInBaseUnits) {
    auto const state = gpu_state("0000:65:00.0");
    EXPECT_EQ(state.driver, "580.12");
    EXPECT_EQ(state.clock_hz, 1.41e9);
    EXPECT_EQ(state.clock_max_hz, 1.98e9);
    EXPECT_EQ(state.memory_clock_hz, 1.593e9);
    EXPECT_EQ(state.power_limit_w, 350.5);
    EXPECT_EQ(state.throttle_reasons, "power_cap,hardware_thermal");
    EXPECT_EQ(state.ecc, true) << "the present mode, not the one after the next restart";
}

TEST(Nvml, FunctionThatTheDriverLacksIsUnknown) {
    EXPECT_EQ(gpu_state("0000:65:00.0").mig, std::nullopt);
}

TEST(Nvml, GpuThatItDoesNotKnowIsUnknown) {
    auto const state = gpu_state("0000:01:00.0");
    EXPECT_EQ(state.driver, "580.12");
    EXPECT_EQ(state.clock_hz, std::nullopt);
    EXPECT_EQ(state.ecc, std::nullopt);
}

TEST(NvmlAbsent, EverythingIsUnknown) {
    if (::dlopen("libnvidia-ml.so.1", RTLD_NOW) != nullptr) GTEST_SKIP() << "a driver is here";
    auto const state = gpu_state("0000:65:00.0");
    EXPECT_EQ(state.driver, std::nullopt);
    EXPECT_EQ(state.clock_hz, std::nullopt);
    EXPECT_EQ(state.throttle_reasons, std::nullopt);
}

}  // namespace
}  // namespace derate::benchmarks
