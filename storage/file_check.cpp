#include "storage/file_check.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "core/evidence.hpp"
#include "core/input_error.hpp"
#include "storage/calibration_files.hpp"
#include "storage/calibration_json.hpp"
#include "storage/calibration_rules.hpp"
#include "storage/evidence_json.hpp"
#include "storage/file.hpp"
#include "storage/hardware_json.hpp"
#include "storage/measurement_json.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

enum class Format { calibration, hardware, measurement, evidence };

std::optional<Format> named_format(json const& document) {
    constexpr std::array<std::pair<std::string_view, Format>, 4> starts{{
        {"efficiency_calibration_v", Format::calibration},
        {"hardware_v", Format::hardware},
        {"derate_measurement", Format::measurement},
        {"derate_evidence", Format::evidence},
    }};
    for (char const* key : {"$schema", "format"}) {
        auto const name = document.find(key);
        if (name == document.end() || !name->is_string()) continue;
        for (auto const& [start, format] : starts) {
            if (name->get_ref<std::string const&>().starts_with(start)) return format;
        }
    }
    return std::nullopt;
}

/// Of a file whose format field is damaged: by the fields only it has.
std::optional<Format> format_of(json const& document) {
    if (!document.is_object()) return std::nullopt;
    if (auto const format = named_format(document)) return format;
    if (document.contains("efficiency_curves")) return Format::calibration;
    if (document.contains("compute_peaks")) return Format::hardware;
    if (document.contains("subgraphs")) return Format::measurement;
    if (document.contains("cases")) return Format::evidence;
    return std::nullopt;
}

/// Runs `read`; what it throws about the file becomes a violation.
///
/// \param where  as `read` names the whole file: "" where it was given no name
template <class Read>
auto try_read(std::vector<Violation>& violations, std::string const& where, Read&& read)
    -> std::optional<decltype(read())> {
    try {
        return read();
    } catch (InputError const& error) {
        std::string_view pointer{error.where()};
        pointer.remove_prefix(pointer.starts_with(where) ? where.size() : pointer.size());
        if (pointer.starts_with('#')) pointer.remove_prefix(1);
        violations.push_back({std::string{pointer}, error.problem(), error.required()});
        return std::nullopt;
    }
}

/// A file at `<root>/<cpu|gpu>/<id>/<name>` stands in a registry, whatever the root is called.
struct RegistryPlace {
    std::string kind;  ///< "cpu", "gpu", or "defaults"
    std::string id;
};

std::optional<RegistryPlace> place_of(fs::path const& path) {
    std::error_code error;
    auto const folder = fs::weakly_canonical(path, error).parent_path();
    auto const kind = folder.parent_path().filename().string();
    if (!parse_device_kind(kind) && kind != "defaults") return std::nullopt;
    return RegistryPlace{.kind = kind, .id = folder.filename().string()};
}

void check_identity(std::vector<Violation>& violations, RegistryPlace const& place,
                    std::string const& id, DeviceKind kind) {
    if (id != place.id) {
        violations.push_back(
            {"/hardware_id",
             std::string{"is not the folder's name \""}.append(place.id).append("\""),
             "hardware_id equals the registry folder"});
    }
    if (place.kind != "defaults" && to_string(kind) != place.kind) {
        violations.push_back(
            {"/device_kind", std::string{"stands in the folder \""}.append(place.kind).append("\""),
             "device_kind equals the registry folder"});
    }
}

void check_evidence_files(std::vector<Violation>& violations, Calibration const& calibration,
                          fs::path const& path) {
    bool const needs_evidence =
        calibration.source == CurveSource::measured || calibration.source == CurveSource::imported;
    auto const& files = calibration.provenance.evidence;
    if (needs_evidence && files.empty()) {
        violations.push_back({"/calibration_metadata/evidence", "names no file",
                              "the evidence that the curves can be recomputed from"});
    }
    for (std::size_t i = 0; i < files.size(); ++i) {
        auto const place = std::string{"/calibration_metadata/evidence/"}.append(std::to_string(i));
        auto const file = path.parent_path() / "evidence" / files[i].file;
        auto const bytes = try_read(violations, file.string(), [&] { return read_text(file); });
        if (!bytes) {
            violations.back().pointer = std::string{place}.append("/file");
            violations.back().required = "a file in evidence/ beside the calibration";
            continue;
        }
        if (auto const actual = sha256_hex(*bytes); actual != files[i].sha256) {
            violations.push_back({std::string{place}.append("/sha256"),
                                  std::string{"is not that of the file, "}.append(actual),
                                  "evidence that was not changed after the fit"});
        }
    }
}

void check_calibration_place(std::vector<Violation>& violations, Calibration const& calibration,
                             fs::path const& path) {
    check_evidence_files(violations, calibration, path);
    auto const place = place_of(path);
    if (!place) return;
    check_identity(violations, *place, calibration.hardware_id,
                   calibration.condition.execution.device);
    auto const name = path.filename().string();
    auto const right_name = calibration_file_name(calibration.condition);
    if (!holds_rules(calibration) && name != right_name) {
        violations.push_back({"/precision", std::string{"does not go with the name "}.append(name),
                              std::string{"the name "}.append(right_name)});
    }
    if (place->kind != "defaults" && !fs::exists(path.parent_path() / "hardware.json")) {
        violations.push_back({"/hardware_id", "has no hardware.json beside this file",
                              "a hardware.json in the same folder"});
    }
}

/// Of a document that may break the schema elsewhere: what is not there or of another type is
/// passed.
void check_measurement_rules(std::vector<Violation>& violations, json const& document) {
    static json const absent;
    auto const member = [](json const& object, char const* name) -> json const& {
        return object.is_object() && object.contains(name) ? object.at(name) : absent;
    };
    auto const check_timing = [&](json const& timing, std::string const& pointer) {
        if (!member(timing, "mean").is_number()) return;
        double const mean = timing.at("mean");
        auto const limit = [&](char const* name, bool is_lower) {
            auto const value = timing.find(name);
            if (value == timing.end() || !value->is_number()) return;
            // The extremes of imported files are rounded: allow the last digits.
            constexpr double rounding = 1 + 1e-9;
            bool const holds = is_lower ? value->get<double>() <= mean * rounding
                                        : value->get<double>() * rounding >= mean;
            if (holds) return;
            violations.push_back({std::string{pointer}.append("/").append(name),
                                  is_lower ? "is above the mean" : "is below the mean",
                                  "min <= mean <= max"});
        };
        limit("min", true);
        limit("max", false);
    };
    check_timing(member(document, "whole_model_latency_ms"), "/whole_model_latency_ms");
    auto const& subgraphs = member(document, "subgraphs");
    for (std::size_t i = 0; subgraphs.is_array() && i < subgraphs.size(); ++i) {
        auto const place = std::string{"/subgraphs/"}.append(std::to_string(i));
        check_timing(member(subgraphs[i], "measured_latency_ms"),
                     std::string{place}.append("/measured_latency_ms"));
        auto const& id = member(subgraphs[i], "subgraph_id");
        auto const& last_id = i > 0 ? member(subgraphs[i - 1], "subgraph_id") : absent;
        if (id.is_number() && last_id.is_number() && !(last_id < id)) {
            violations.push_back({std::string{place}.append("/subgraph_id"), "does not increase",
                                  "subgraphs in the model's order"});
        }
    }
}

void check_hardware_rules(std::vector<Violation>& violations, Hardware const& hardware) {
    for (std::size_t i = 0; i < hardware.compute_peaks.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            auto const& a = hardware.compute_peaks[i];
            auto const& b = hardware.compute_peaks[j];
            if (a.precision == b.precision && a.threads == b.threads) {
                violations.push_back({std::string{"/compute_peaks/"}.append(std::to_string(i)),
                                      "stands twice", "one peak a precision and thread count"});
            }
        }
    }
    for (std::size_t i = 0; i < hardware.bandwidth_peaks.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            if (hardware.bandwidth_peaks[i].threads == hardware.bandwidth_peaks[j].threads) {
                violations.push_back({std::string{"/bandwidth_peaks/"}.append(std::to_string(i)),
                                      "stands twice", "one peak a thread count"});
            }
        }
    }
}

/// The document without what breaks the schema, as far as the file can do without it: unknown keys,
/// optional fields, curves. Arrays stay as they are, so that every place keeps its pointer.
///
/// \return empty where the rest is no calibration
std::optional<json> sound_rest(json document, std::vector<Violation> violations) {
    while (!violations.empty()) {
        bool changed = false;
        for (auto const& violation : violations) {
            json::json_pointer place{violation.pointer};
            if (!place.empty() && !document.contains(place)) place = place.parent_pointer();
            while (!place.empty() && document.contains(place) &&
                   !document.at(place.parent_pointer()).is_object()) {
                place = place.parent_pointer();
            }
            if (place.empty()) return std::nullopt;
            if (!document.contains(place)) continue;  // gone with another fault's place
            document[place.parent_pointer()].erase(place.back());
            changed = true;
        }
        if (!changed) return std::nullopt;
        violations = check_schema(document, SchemaName::efficiency_calibration);
    }
    return document;
}

/// Faults of schema and rules together: one does not hide the other.
std::vector<Violation> check_calibration(json const& document, fs::path const& path) {
    auto violations = check_schema(document, SchemaName::efficiency_calibration);
    bool const is_whole = violations.empty();
    auto const rest = is_whole ? std::optional{document} : sound_rest(document, violations);
    if (!rest) return violations;
    // What is wrong with the rules is told whole, not by the reader's first complaint.
    std::vector<Violation> of_rest;
    auto const calibration =
        try_read(of_rest, "", [&] { return calibration_without_rules(*rest, ""); });
    if (calibration) {
        of_rest = broken_rules(*calibration);
        check_calibration_place(of_rest, *calibration, path);
    }
    for (auto& violation : of_rest) {
        json::json_pointer const place{violation.pointer};
        auto const value_in = [&](json const& whole) {
            return whole.contains(place) ? whole.at(place) : json{};
        };
        // A rule that only the rest breaks is no fault of the file.
        if (is_whole || value_in(document) == value_in(*rest)) {
            violations.push_back(std::move(violation));
        }
    }
    return violations;
}

void check_document(std::vector<Violation>& violations, json const& document, Format format,
                    fs::path const& path) {
    switch (format) {
        case Format::calibration:
            violations = check_calibration(document, path);
            return;
        case Format::hardware: {
            violations = check_schema(document, SchemaName::hardware);
            if (!violations.empty()) return;
            auto const hardware =
                try_read(violations, "", [&] { return hardware_from_json(document, ""); });
            if (!hardware) return;
            check_hardware_rules(violations, *hardware);
            if (auto const place = place_of(path)) {
                check_identity(violations, *place, hardware->id, hardware->kind);
            }
            return;
        }
        case Format::measurement: {
            violations = check_schema(document, SchemaName::measurement);
            check_measurement_rules(violations, document);
            if (violations.empty()) {
                (void)try_read(violations, "", [&] { return measurement_from_json(document, ""); });
            }
            return;
        }
        case Format::evidence: {
            auto const evidence =
                try_read(violations, "", [&] { return evidence_from_json(document, ""); });
            if (!evidence) return;
            for (auto const& line : derate::violations(*evidence)) {
                violations.push_back({"", line, "consistent evidence"});
            }
            return;
        }
    }
}

}  // namespace

std::vector<Violation> check_file(fs::path const& path) {
    std::vector<Violation> violations;
    auto const document = try_read(violations, path.string(), [&] { return read_json(path); });
    if (!document) return violations;
    auto const format = format_of(*document);
    if (!format) {
        return {{"", "is none of derate's formats",
                 "\"$schema\": efficiency_calibration_v1.json or hardware_v1.json, or \"format\": "
                 "derate_measurement or derate_evidence"}};
    }
    check_document(violations, *document, *format, path);
    std::error_code error;
    if (*format == Format::calibration && fs::file_size(path, error) > curve_file_size_limit) {
        violations.push_back({"", "is longer than 1 MB", "a curve file of at most 1 MB"});
    }
    return violations;
}

std::vector<fs::path> checkable_files(fs::path const& folder) {
    std::vector<fs::path> files;
    std::error_code error;
    for (fs::recursive_directory_iterator entry{folder, error}, end; entry != end && !error;
         entry.increment(error)) {
        auto const name = entry->path().filename().string();
        if (entry->is_directory() && name == "schema") {
            entry.disable_recursion_pending();
        } else if (entry->is_regular_file() &&
                   (name.ends_with(".json") || name.ends_with(".json.gz"))) {
            files.push_back(entry->path());
        }
    }
    if (error) throw InputError{folder.string(), error.message(), "a readable folder"};
    std::ranges::sort(files);
    return files;
}

}  // namespace derate
