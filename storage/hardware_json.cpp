#include "storage/hardware_json.hpp"

#include <optional>
#include <string>
#include <utility>

#include "storage/fields.hpp"
#include "storage/file.hpp"
#include "storage/measurement_json.hpp"

namespace derate {
namespace {

using nlohmann::json;

std::optional<int> threads_of(JsonFields& fields) {
    if (!fields.find("threads")) return std::nullopt;
    return fields.integer<int>("threads", 1);
}

PeakRate peak_rate_of(JsonFields& fields) {
    auto const rate = peak_from_json(fields.at("rate"), fields.where("rate"));
    if (!rate) fields.fail("rate", "is null", "a peak rate");
    return *rate;
}

}  // namespace

Hardware hardware_from_json(json const& value, std::string_view where) {
    JsonFields fields{value, file_root(where)};
    if (auto const schema = fields.text("$schema"); schema != "hardware_v1.json") {
        fields.fail("$schema", "got \"" + schema + "\"", "\"hardware_v1.json\"");
    }
    Hardware hardware{
        .id = fields.word("hardware_id", parse_hardware_id, hardware_id_rule),
        .kind = fields.word("device_kind", parse_device_kind, "\"cpu\" or \"gpu\""),
        .name = fields.text("name"),
        .compute_peaks = {},
        .bandwidth_peaks = {},
        .last_level_cache_bytes = fields.optional_positive("last_level_cache_bytes"),
        .power_mode = fields.optional_text("power_mode"),
    };
    std::size_t index = 0;
    for (auto const& peak : fields.array("compute_peaks")) {
        hardware.compute_peaks.push_back(
            compute_peak_from_json(peak, fields.where("compute_peaks", index++)));
    }
    index = 0;
    for (auto const& peak : fields.array("bandwidth_peaks")) {
        JsonFields peak_fields{peak, fields.where("bandwidth_peaks", index++)};
        auto const threads = threads_of(peak_fields);
        hardware.bandwidth_peaks.push_back({.threads = threads, .rate = peak_rate_of(peak_fields)});
        peak_fields.reject_unknown();
    }
    fields.reject_unknown();
    return hardware;
}

json to_json(Hardware const& hardware) {
    json compute = json::array();
    for (auto const& peak : hardware.compute_peaks) compute.push_back(to_json(peak));
    json bandwidth = json::array();
    for (auto const& peak : hardware.bandwidth_peaks) {
        bandwidth.push_back(
            {{"threads", json_or_null(peak.threads)}, {"rate", to_json(std::optional{peak.rate})}});
    }
    return {{"$schema", "hardware_v1.json"},
            {"hardware_id", hardware.id},
            {"device_kind", to_string(hardware.kind)},
            {"name", hardware.name},
            {"compute_peaks", std::move(compute)},
            {"bandwidth_peaks", std::move(bandwidth)},
            {"last_level_cache_bytes", json_or_null(hardware.last_level_cache_bytes)},
            {"power_mode", json_or_null(hardware.power_mode)}};
}

Hardware with_known_peaks(Hardware hardware, std::filesystem::path const& path) {
    if (!std::filesystem::exists(path)) return hardware;
    auto const known = hardware_from_json(read_json(path), path.string());
    for (auto const& peak : known.compute_peaks) {
        if (!hardware.compute_peak(peak.precision, peak.threads)) {
            hardware.compute_peaks.push_back(peak);
        }
    }
    for (auto const& peak : known.bandwidth_peaks) {
        if (!hardware.bandwidth_peak(peak.threads)) hardware.bandwidth_peaks.push_back(peak);
    }
    return hardware;
}

ComputePeak compute_peak_from_json(json const& value, std::string_view where) {
    JsonFields fields{value, std::string{where}};
    auto const precision = fields.word("precision", parse_precision, "FP32, FP16, BF16 or INT8");
    auto const threads = threads_of(fields);
    ComputePeak peak{.precision = precision, .threads = threads, .rate = peak_rate_of(fields)};
    fields.reject_unknown();
    return peak;
}

json to_json(ComputePeak const& peak) {
    return {{"precision", to_string(peak.precision)},
            {"threads", json_or_null(peak.threads)},
            {"rate", to_json(std::optional{peak.rate})}};
}

}  // namespace derate
