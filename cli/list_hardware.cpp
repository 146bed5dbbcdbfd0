#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

#include "cli/commands.hpp"
#include "cli/curve_file_choice.hpp"
#include "cli/json_output.hpp"
#include "core/value_rule.hpp"
#include "reports/report_text.hpp"
#include "storage/fields.hpp"
#include "storage/registry.hpp"

namespace derate::cli {
namespace {

nlohmann::json precisions_of(Calibration const& calibration) {
    if (!calibration.legacy_rules) return to_string(calibration.condition.precision);
    std::string text;  // rules hold one curve and a rate for each precision
    for (auto const precision :
         {Precision::fp32, Precision::fp16, Precision::bf16, Precision::int8}) {
        bool const held = std::ranges::any_of(
            calibration.legacy_rules->rates,
            [&](LegacyRate const& rate) { return rate.precision == precision; });
        if (held) text.append(text.empty() ? "" : ",").append(to_string(precision));
    }
    return text;
}

nlohmann::json row_of(HardwareEntry const& entry, RegisteredCalibration const& registered) {
    auto const& calibration = registered.calibration;
    auto const* claim = headline_claim(calibration);
    nlohmann::json row{
        {"hardware_id", entry.id},
        {"kind", to_string(entry.kind)},
        {"precision", precisions_of(calibration)},
        {"threads", json_or_null(calibration.condition.execution.threads)},
        {"source", to_string(calibration.source)},
        {"allocator", calibration.condition.execution.allocator
                          ? nlohmann::json(to_string(*calibration.condition.execution.allocator))
                          : nullptr},
        {"prices_default_allocator",
         under_allocator(calibration, Allocator::untouched).has_value()},
        {"date", calibration.provenance.date},
        {"value_rule", json_or_null(calibration.provenance.value_rule)},
        {"models", calibration.provenance.models_used.size()},
        {"mape_percent", nullptr},
        {"coverage_95", nullptr},
        {"noise_floor_percent", nullptr},
        {"noise_floor_basis", nullptr},
        {"verdict", nullptr},
        {"provisional", calibration.provisional},
        {"file", registered.path.string()}};
    if (claim != nullptr) {
        row["mape_percent"] = claim->mape_percent;
        row["coverage_95"] = json_or_null(claim->coverage_95);
        row["noise_floor_percent"] = json_or_null(claim->noise_floor_percent);
        row["noise_floor_basis"] = json_or_null(claim->noise_floor_basis);
        row["verdict"] = claim->verdict;
    }
    return row;
}

nlohmann::json bare_row(HardwareEntry const& entry) {
    return {{"hardware_id", entry.id},
            {"kind", to_string(entry.kind)},
            {"precision", nullptr},
            {"threads", nullptr},
            {"source", "default"},
            {"allocator", nullptr},
            {"prices_default_allocator", false},
            {"date", nullptr},
            {"value_rule", nullptr},
            {"models", 0},
            {"mape_percent", nullptr},
            {"coverage_95", nullptr},
            {"noise_floor_percent", nullptr},
            {"noise_floor_basis", nullptr},
            {"verdict", nullptr},
            {"provisional", false},
            {"file", nullptr}};
}

/// "12 d" since an ISO 8601 date; empty where it cannot be read.
std::string age(nlohmann::json const& date) {
    int year = 0;
    unsigned month = 0;
    unsigned day = 0;
    if (!date.is_string() ||
        std::sscanf(date.get<std::string>().c_str(), "%d-%u-%u", &year, &month, &day) != 3) {
        return "-";
    }
    using namespace std::chrono;
    year_month_day const then{std::chrono::year{year}, std::chrono::month{month},
                              std::chrono::day{day}};
    if (!then.ok()) return "-";
    auto const days = floor<std::chrono::days>(system_clock::now()) - sys_days{then};
    return std::to_string(days.count()).append(" d");
}

std::string cell(nlohmann::json const& value) {
    if (value.is_null()) return "-";
    if (value.is_string()) return value.get<std::string>();
    return value.dump();
}

std::string percent(nlohmann::json const& value, double factor) {
    return value.is_null() ? "-" : fmt::format("{:.1f} %", value.get<double>() * factor);
}

void print_table(nlohmann::json const& rows) {
    std::vector<TableRow> table{{"hardware", "kind", "precision", "source", "verdict", "threads",
                                 "age", "models", "MAPE", "noise floor", "coverage of 95 %"}};
    for (auto const& row : rows) {
        auto verdict = cell(row.at("verdict"));
        if (row.at("provisional") == true) verdict.append(", provisional");
        auto precision = cell(row.at("precision"));
        if (row.at("allocator") == "default") precision.append(", default malloc");
        table.push_back(
            {cell(row.at("hardware_id")), cell(row.at("kind")), precision, cell(row.at("source")),
             verdict, cell(row.at("threads")), age(row.at("date")), cell(row.at("models")),
             percent(row.at("mape_percent"), 1), percent(row.at("noise_floor_percent"), 1),
             percent(row.at("coverage_95"), 100)});
    }
    constexpr std::size_t first_number = 5;
    std::printf("%s", text_table(table, first_number).c_str());
}

}  // namespace

ExitCode print_hardware(CommonFlags const& common) {
    nlohmann::json rows = nlohmann::json::array();
    PassedOver passed_over;
    for (auto const& entry : list_hardware(registry_roots(common.registries))) {
        auto const calibrations = read_calibrations(entry, &passed_over);
        for (auto const& registered : calibrations) rows.push_back(row_of(entry, registered));
        if (calibrations.empty()) rows.push_back(bare_row(entry));
    }
    warn_of(passed_over, common);
    if (common.json) {
        print_json("output_list_hardware_v1.json", std::move(rows));
    } else {
        print_table(rows);
        auto const of_first_rule = std::ranges::count_if(rows, [](nlohmann::json const& row) {
            return row.at("value_rule") == first_value_rule;
        });
        if (of_first_rule > 0 && !common.quiet) {
            std::fprintf(
                stderr,
                "derate: %d of them were timed by value rule derate_1: embeddings, gathers, "
                "masks and pools may take longer\n",
                static_cast<int>(of_first_rule));
        }
    }
    return exit_pass;
}

}  // namespace derate::cli
