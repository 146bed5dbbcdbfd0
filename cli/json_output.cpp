#include "cli/json_output.hpp"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "storage/fields.hpp"

namespace derate::cli {

void print_json(std::string_view schema, nlohmann::json result) {
    auto const sign = [&](nlohmann::json& object) {
        object["$schema"] = schema;
        object["derate_version"] = DERATE_VERSION;
    };
    if (result.is_array()) {
        for (auto& row : result) row["derate_version"] = DERATE_VERSION;
    } else {
        sign(result);
        if (auto const others = result.find("others"); others != result.end()) {
            for (auto& other : *others) sign(other);
        }
    }
    // Names of files need not be UTF-8.
    std::puts(result.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

nlohmann::json with_others(std::vector<nlohmann::json> results) {
    auto first = std::move(results.front());
    results.erase(results.begin());
    first["others"] = std::move(results);
    return first;
}

void set_condition(nlohmann::json& result, Calibration const* calibration, Evidence const* evidence) {
    for (auto const* field : {"threads", "precision", "device", "allocator", "cache_state"}) {
        result[field] = nullptr;
    }
    auto state = CacheState::unknown;
    if (calibration != nullptr) {
        auto const& condition = calibration->condition;
        result["threads"] = json_or_null(condition.execution.threads);
        result["precision"] = to_string(condition.precision);
        result["device"] = to_string(condition.execution.device);
        if (condition.execution.allocator)
            result["allocator"] = to_string(*condition.execution.allocator);
        state = condition.cache_state;
    }
    // An older curve file does not say; what it was made from does.
    if (state == CacheState::unknown && evidence != nullptr) state = evidence->condition.cache_state;
    if (state != CacheState::unknown) result["cache_state"] = to_string(state);
}

nlohmann::json dimensions_json(std::span<BoundDimension const> dimensions) {
    auto list = nlohmann::json::array();
    for (auto const& [symbol, value, axes] : dimensions) {
        list.push_back({{"symbol", symbol}, {"value", value}, {"axes", axes}});
    }
    return list;
}

void set_judgement(nlohmann::json& result, std::span<UsedCalibration const> used) {
    result["trust_grade"] = nullptr;
    result["verdict"] = nullptr;
    result["provisional"] = false;
    for (auto const& one : used) {
        if (result["trust_grade"].is_null()) result["trust_grade"] = json_or_null(one.trust_grade);
        if (result["verdict"].is_null()) result["verdict"] = json_or_null(one.verdict);
        if (one.provisional) result["provisional"] = true;
    }
}

void set_warnings(nlohmann::json& result, std::span<Warning const> warnings) {
    result["warnings"] = texts_of(warnings);
    auto coded = nlohmann::json::array();
    for (auto const& [code, text] : warnings) {
        coded.push_back({{"code", to_string(code)}, {"text", text}});
    }
    result["coded_warnings"] = std::move(coded);
}

}  // namespace derate::cli
