#include "cli/sweep_output.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "cli/estimate_output.hpp"
#include "cli/json_output.hpp"
#include "core/format_quantity.hpp"
#include "reports/report_text.hpp"
#include "storage/fields.hpp"

namespace derate::cli {
namespace {

std::string sizes_text(Sweep const& sweep, std::vector<std::int64_t> const& sizes) {
    std::string text;
    for (std::size_t d = 0; d < sizes.size(); ++d) {
        text += (d > 0 ? ", " : "") + sweep.dimensions[d].name + "=" + std::to_string(sizes[d]);
    }
    return text;
}

nlohmann::json sizes_json(Sweep const& sweep, std::vector<std::int64_t> const& sizes) {
    nlohmann::json dimensions = nlohmann::json::object();
    for (std::size_t d = 0; d < sizes.size(); ++d) {
        dimensions[sweep.dimensions[d].name] = sizes[d];
    }
    return dimensions;
}

/// The row of the largest product of sizes among those of at least that verdict.
SweepRow const* largest(Sweep const& sweep, Verdict verdict) {
    SweepRow const* best = nullptr;
    double most = -1;
    for (auto const& row : sweep.rows) {
        if (!row.verdict || *row.verdict > verdict) continue;
        double size = 1;
        for (auto const value : row.sizes) size *= static_cast<double>(value);
        if (size > most) {
            most = size;
            best = &row;
        }
    }
    return best;
}

nlohmann::json refused_json(Sweep const& sweep) {
    auto const& refused = sweep.refused;
    if (refused.count == 0) return {};
    return {{"count", refused.count},
            {"first", sizes_json(sweep, refused.first)},
            {"why", refused.why}};
}

std::string joined_notes(SweepRow const& row) {
    std::string text;
    for (auto const& note : row.notes) text += (text.empty() ? "" : "; ") + note;
    return text;
}

PlotTable table_of(Sweep const& sweep) {
    PlotTable table;
    for (auto const& dimension : sweep.dimensions) table.header.push_back(dimension.name);
    for (char const* const name : {"latency", "95 %", "an item", "items/s", "bound by"}) {
        table.header.emplace_back(name);
    }
    if (sweep.limit_ms) {
        table.header.push_back("below " + format_significant(*sweep.limit_ms, 4) + " ms");
    }
    table.header.emplace_back("notes");
    for (auto const& row : sweep.rows) {
        std::vector<std::string> cells;
        for (auto const size : row.sizes) cells.push_back(std::to_string(size));
        cells.push_back(format_ms(row.total.latency_ms));
        cells.push_back(
            row.spread_known
                ? format_ms(row.total.ci_95_lower_ms) + " to " +
                      (row.is_bounded() ? format_ms(row.total.ci_95_upper_ms) : "not known")
                : "not known");
        auto const item_ms = row.per_item_ms();
        cells.push_back(item_ms ? format_ms(*item_ms) : "-");
        cells.push_back(item_ms ? format_significant(1e3 / *item_ms, 3) : "-");
        cells.push_back(row.bound);
        if (row.verdict) cells.emplace_back(name_of(*row.verdict));
        cells.push_back(joined_notes(row));
        table.rows.push_back(std::move(cells));
    }
    return table;
}

}  // namespace

std::string refused_text(Sweep const& sweep) {
    auto const& refused = sweep.refused;
    if (refused.count == 0) return {};
    auto const all = std::to_string(refused.count + sweep.rows.size());
    return std::to_string(refused.count) + " of " + all + " sizes " +
           (refused.count == 1 ? "is" : "are") + " refused, the first " +
           sizes_text(sweep, refused.first) + ": " + refused.why;
}

std::string limit_text(Sweep const& sweep) {
    auto const limit = format_significant(*sweep.limit_ms, 4) + " ms";
    std::string text;
    if (auto const* const certain = largest(sweep, Verdict::certain)) {
        text = "Largest below " + limit +
               " with its whole 95 % interval: " + sizes_text(sweep, certain->sizes) + " (" +
               format_ms(certain->total.latency_ms) + ", at most " +
               format_ms(certain->total.ci_95_upper_ms) + ").\n";
    } else {
        text = "None is below " + limit + " with its whole 95 % interval.\n";
    }
    if (auto const* const likely = largest(sweep, Verdict::likely)) {
        text += "Largest that more likely than not is: " + sizes_text(sweep, likely->sizes) + " (" +
                format_ms(likely->total.latency_ms) + ").\n";
    } else {
        text += "None is expected to be.\n";
    }
    return text;
}

std::string sweep_text(Sweep const& sweep) {
    auto const table = table_of(sweep);
    std::vector<TableRow> rows{table.header};
    rows.insert(rows.end(), table.rows.begin(), table.rows.end());
    for (auto& row : rows) row.pop_back();
    std::istringstream numbers{text_table(rows, 0)};
    std::string text;
    std::string line;
    for (std::size_t i = 0; std::getline(numbers, line); ++i) {
        auto const notes = i == 0 ? std::string{} : joined_notes(sweep.rows.at(i - 1));
        text += line + (notes.empty() ? "" : "  " + notes) + "\n";
    }
    return text;
}

std::string sweep_title(Sweep const& sweep, Target const& target) {
    return sweep.model + ", " + std::string{to_string(sweep.precision)} + ", on " +
           target.hardware_id;
}

Plot sweep_plot(Sweep const& sweep, Target const& target) {
    auto const longest = static_cast<std::size_t>(
        std::ranges::max_element(sweep.dimensions, {},
                                 [](auto const& dimension) { return dimension.values.size(); }) -
        sweep.dimensions.begin());
    Plot plot{.id = "sweep",
              .title = "Latency of " + sweep_title(sweep, target),
              .caption = "Expected time of one run, with the band that holds 95 % of such models.",
              .x = {.title = sweep.dimensions[longest].name},
              .y = {.title = "latency", .unit = AxisUnit::milliseconds},
              .series = {},
              .table = table_of(sweep)};
    std::map<std::string, std::pair<PlotSeries, PlotSeries>> by_others;
    for (auto const& row : sweep.rows) {
        std::string label;
        for (std::size_t d = 0; d < row.sizes.size(); ++d) {
            if (d == longest) continue;
            label += (label.empty() ? "" : ", ") + sweep.dimensions[d].name + "=" +
                     std::to_string(row.sizes[d]);
        }
        if (label.empty()) label = "expected";
        auto& [band, line] = by_others[label];
        auto const x = static_cast<double>(row.sizes[longest]);
        band.label = sweep.dimensions.size() == 1 ? "95 % interval" : label + ", 95 %";
        band.mark = Mark::band;
        line.label = label;
        line.mark = Mark::line;
        line.x.push_back(x);
        line.y.push_back(row.total.latency_ms);
        line.hover.push_back(sizes_text(sweep, row.sizes));
        if (!row.is_bounded()) continue;
        band.x.push_back(x);
        band.low.push_back(row.total.ci_95_lower_ms);
        band.high.push_back(row.total.ci_95_upper_ms);
    }
    for (auto& [label, pair] : by_others) {
        if (!pair.first.x.empty()) plot.series.push_back(std::move(pair.first));
        plot.series.push_back(std::move(pair.second));
    }
    return plot;
}

nlohmann::json sweep_json(Sweep const& sweep, Target const& target) {
    nlohmann::json rows = nlohmann::json::array();
    for (auto const& row : sweep.rows) {
        auto const item_ms = row.per_item_ms();
        auto const known = [](bool is_known, double limit) {
            return is_known ? nlohmann::json(limit) : nlohmann::json();
        };
        rows.push_back(
            {{"dimensions", sizes_json(sweep, row.sizes)},
             {"batch", json_or_null(row.batch)},
             {"latency_ms", row.total.latency_ms},
             {"ci_95_lower_ms", known(row.spread_known, row.total.ci_95_lower_ms)},
             {"ci_95_upper_ms", known(row.is_bounded(), row.total.ci_95_upper_ms)},
             {"latency_per_item_ms", json_or_null(item_ms)},
             {"items_per_second", item_ms ? nlohmann::json(1e3 / *item_ms) : nlohmann::json()},
             {"bound", row.bound},
             {"notes", row.notes},
             {"unknown_operators", to_json(row.unknown)},
             {"within_target",
              row.verdict ? nlohmann::json(name_of(*row.verdict)) : nlohmann::json()}});
    }
    auto const sizes = [&](Verdict verdict) {
        auto const* const row = sweep.limit_ms ? largest(sweep, verdict) : nullptr;
        return row == nullptr ? nlohmann::json() : sizes_json(sweep, row->sizes);
    };
    nlohmann::json json{{"model", sweep.model},
                        {"hardware_id", target.hardware_id},
                        {"target_ms", json_or_null(sweep.limit_ms)},
                        {"largest_certain", sizes(Verdict::certain)},
                        {"largest_likely", sizes(Verdict::likely)},
                        {"refused", refused_json(sweep)},
                        {"rows", std::move(rows)}};
    set_condition(json, &target.calibrations.front(), nullptr);
    json["precision"] = to_string(sweep.precision);
    set_judgement(json, sweep.calibrations);
    set_warnings(json, sweep.warnings);
    return json;
}

std::string sweep_csv(Sweep const& sweep, std::string const& hardware_id, bool has_head) {
    auto const number = [](std::optional<double> value) {
        return value ? nlohmann::json(*value).dump() : std::string{};
    };
    std::string text;
    if (has_head) {
        text += "hardware,";
        for (auto const& dimension : sweep.dimensions) text += dimension.name + ",";
        text +=
            "latency_ms,ci_95_lower_ms,ci_95_upper_ms,latency_per_item_ms,items_per_second,bound,"
            "within_target,notes\n";
    }
    for (auto const& row : sweep.rows) {
        text += hardware_id + ",";
        for (auto const size : row.sizes) text += std::to_string(size) + ",";
        auto const item_ms = row.per_item_ms();
        auto const known = [](bool is_known, double limit) {
            return is_known ? std::optional{limit} : std::nullopt;
        };
        text += number(row.total.latency_ms) + "," +
                number(known(row.spread_known, row.total.ci_95_lower_ms)) + "," +
                number(known(row.is_bounded(), row.total.ci_95_upper_ms)) + "," + number(item_ms) +
                "," + number(item_ms ? std::optional{1e3 / *item_ms} : std::nullopt) + "," +
                row.bound + "," + (row.verdict ? name_of(*row.verdict) : "") + ",\"" +
                joined_notes(row) + "\"\n";
    }
    return text;
}

}  // namespace derate::cli
