#include "storage/hardware_json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "core/input_error.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

constexpr auto* orin = R"({
  "$schema": "hardware_v1.json", "hardware_id": "orin", "device_kind": "gpu", "name": "Orin",
  "compute_peaks": [{"precision": "FP16", "threads": null,
                     "rate": {"per_second": 2e12, "source": "measured", "method": "fma",
                              "relative_spread": 0.01, "clock_hz": 1.3e9}}],
  "bandwidth_peaks": [{"threads": null,
                       "rate": {"per_second": 2e11, "source": "data_sheet", "method": "",
                                "relative_spread": null, "clock_hz": null}}],
  "last_level_cache_bytes": 4194304, "power_mode": "maxn"})";

TEST(HardwareJson, WritesWhatItRead) {
    auto const json = parse_json(orin, "hardware.json");
    auto const hardware = hardware_from_json(json, "hardware.json");
    EXPECT_EQ(hardware.compute_peak(Precision::fp16)->clock_hz, 1.3e9);
    EXPECT_EQ(hardware.bandwidth_peak()->per_second, 2e11);
    EXPECT_EQ(hardware.compute_peak(Precision::fp32), std::nullopt);
    EXPECT_EQ(to_json(hardware), json);
}

TEST(HardwareJson, NamesThePlaceOfAFault) {
    auto const refusal = [](auto const& change) -> std::string {
        auto json = parse_json(orin, "f");
        change(json);
        try {
            (void)hardware_from_json(json, "f");
        } catch (InputError const& error) {
            return error.what();
        }
        return "";
    };
    using testing::StartsWith;
    EXPECT_THAT(refusal([](auto& json) { json["compute_peaks"][0]["rate"]["per_second"] = -1; }),
                StartsWith("f#/compute_peaks/0/rate/per_second: got -1"));
    EXPECT_THAT(refusal([](auto& json) { json["device_kind"] = "tpu"; }),
                StartsWith("f#/device_kind: got \"tpu\""));
    EXPECT_THAT(refusal([](auto& json) { json["$schema"] = "hardware_v2.json"; }),
                StartsWith("f#/$schema: got \"hardware_v2.json\""));
    EXPECT_THAT(refusal([](auto& json) { json["bandwidth_peaks"][0]["rate"] = nullptr; }),
                StartsWith("f#/bandwidth_peaks/0/rate: is null"));
    EXPECT_THAT(refusal([](auto& json) { json["power"] = 1; }), StartsWith("f#/power"));
}

TEST(WithKnownPeaks, KeepsWhatThisRunDidNotMeasure) {
    auto const rate = [](double per_second) {
        return PeakRate{.per_second = per_second, .source = "measured", .method = ""};
    };
    auto const path = std::filesystem::temp_directory_path() /
                      ("derate_peaks_" + std::to_string(::getpid()) + ".json");
    Hardware const before{
        .id = "h",
        .name = "h",
        .compute_peaks = {{.precision = Precision::fp32, .threads = 1, .rate = rate(1)},
                          {.precision = Precision::fp32, .threads = 2, .rate = rate(2)}},
        .bandwidth_peaks = {{.threads = 1, .rate = rate(3)}}};
    write_atomically(path, pretty_json(to_json(before)));
    Hardware const now{
        .id = "h",
        .name = "h",
        .compute_peaks = {{.precision = Precision::fp32, .threads = 2, .rate = rate(9)}},
        .bandwidth_peaks = {{.threads = 2, .rate = rate(8)}}};

    auto const all = with_known_peaks(now, path);
    std::filesystem::remove(path);

    EXPECT_EQ(all.compute_peak(Precision::fp32, 1)->per_second, 1);
    EXPECT_EQ(all.compute_peak(Precision::fp32, 2)->per_second, 9) << "measured anew";
    EXPECT_EQ(all.bandwidth_peak(1)->per_second, 3);
    EXPECT_EQ(all.bandwidth_peak(2)->per_second, 8);
    EXPECT_EQ(with_known_peaks(now, path).compute_peaks.size(), 1U) << "there is no file";
}

}  // namespace
}  // namespace derate
