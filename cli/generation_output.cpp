#include "cli/generation_output.hpp"

#include <cstddef>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/json_output.hpp"
#include "core/format_quantity.hpp"
#include "reports/report_text.hpp"
#include "storage/fields.hpp"

namespace derate::cli {
namespace {

std::string limits_text(GenerationTime const& time) {
    if (!time.limits_ms) return "not known";
    return format_ms(time.limits_ms->first) + " to " + format_ms(time.limits_ms->second);
}

/// Tokens of all sequences a second where one of each takes `time`: the upper limit of the one is
/// the lower of the other.
GenerationTime rate_of(Generation const& all) {
    auto const rate = [&](double ms) { return 1e3 * static_cast<double>(all.sequences) / ms; };
    GenerationTime result{.ms = rate(all.token.ms)};
    if (auto const& limits = all.token.limits_ms) {
        result.limits_ms = {rate(limits->second), rate(limits->first)};
    }
    return result;
}

std::string joined(std::vector<std::string> const& notes) {
    std::string text;
    for (auto const& note : notes) text += (text.empty() ? "" : "; ") + note;
    return text;
}

/// What a line of the table holds before its notes.
TableRow cells_of(GenerationCall const& call) {
    return {std::to_string(call.keys), format_ms(call.time.ms), limits_text(call.time),
            percent_of(call.attention_share), call.bound};
}

TableRow const& table_head() {
    static TableRow const head{"keys", "a token", "95 %", "attention", "bound by"};
    return head;
}

std::string cache_text(Generation const& all) {
    switch (all.cache) {
        case CacheUse::as_filled:
            return "The cache is as long as what it holds; --cache-length prices one that is "
                   "longer and masked.\n";
        case CacheUse::allocated:
            return "Every step reads the whole cache of " + std::to_string(all.steps.front().keys) +
                   " entries: a mask saves no time.\n";
        case CacheUse::fixed:
            return "The decode export has a cache of one length: every step reads all of it" +
                   (all.steps.front().keys > 0
                        ? ", " + std::to_string(all.steps.front().keys) + " entries.\n"
                        : std::string{".\n"});
    }
    return {};
}

/// A few lines of many, the first and the last among them.
std::vector<GenerationCall const*> shown_steps(Generation const& all) {
    constexpr std::size_t most = 9;
    auto const count = all.steps.size();
    std::vector<GenerationCall const*> shown;
    for (std::size_t i = 0; i < std::min(count, most); ++i) {
        shown.push_back(&all.steps[count <= most ? i : i * (count - 1) / (most - 1)]);
    }
    return shown;
}

/// "mean of 127 steps, each priced".
std::string steps_text(Generation const& all) {
    auto const steps = static_cast<std::size_t>(all.new_tokens - 1);
    auto text = "the mean of " + count_of(steps, "step", "steps");
    if (all.cache != CacheUse::as_filled) return text + ", all alike.";
    if (all.steps.size() == steps) return text + ", each priced.";
    return text + ", " + std::to_string(all.steps.size()) +
           " of them priced, those between on a line.";
}

std::optional<double> lower(GenerationTime const& time) {
    return time.limits_ms ? std::optional{time.limits_ms->first} : std::nullopt;
}
std::optional<double> upper(GenerationTime const& time) {
    return time.limits_ms ? std::optional{time.limits_ms->second} : std::nullopt;
}

nlohmann::json time_json(GenerationTime const& time) {
    return {{"latency_ms", time.ms},
            {"ci_95_lower_ms", json_or_null(lower(time))},
            {"ci_95_upper_ms", json_or_null(upper(time))}};
}

nlohmann::json call_json(GenerationCall const& call) {
    auto json = time_json(call.time);
    json["attention_share"] = call.attention_share;
    json["bound"] = call.bound;
    json["keys"] = call.keys;
    json["notes"] = call.notes;
    return json;
}

}  // namespace

std::string generation_title(Generation const& all, Target const& target) {
    return all.model + ", " + std::string{to_string(all.precision)} + ", on " + target.hardware_id;
}

std::string generation_text(Generation const& all) {
    auto const rate = rate_of(all);
    std::string text = count_of(static_cast<std::size_t>(all.sequences), "sequence", "sequences") +
                       ", a prompt of " + std::to_string(all.prompt) + " tokens, " +
                       std::to_string(all.new_tokens) + " new ones\n\n";
    auto const rate_text = [](double value) { return format_significant(value, 3); };
    text += text_table({{"", "expected", "95 % interval"},
                        {"time to first token", format_ms(all.first_token.time.ms),
                         limits_text(all.first_token.time)},
                        {"time a token", format_ms(all.token.ms), limits_text(all.token)},
                        {"tokens a second", rate_text(rate.ms),
                         rate.limits_ms ? rate_text(rate.limits_ms->first) + " to " +
                                              rate_text(rate.limits_ms->second)
                                        : "not known"},
                        {"all " + std::to_string(all.new_tokens) + " tokens",
                         format_ms(all.total.ms), limits_text(all.total)}},
                       1);
    text += "\nA token: " + steps_text(all) + "\n" + cache_text(all) + "\n";

    auto const shown = shown_steps(all);
    std::vector<TableRow> rows{table_head()};
    for (auto const* step : shown) rows.push_back(cells_of(*step));
    std::istringstream numbers{text_table(rows, 0)};
    std::string line;
    for (std::size_t i = 0; std::getline(numbers, line); ++i) {
        auto const notes = i == 0 ? std::string{} : joined(shown.at(i - 1)->notes);
        text += line + (notes.empty() ? "" : "  " + notes) + "\n";
    }
    if (!all.first_token.notes.empty()) {
        text += "prefill: " + joined(all.first_token.notes) + "\n";
    }
    return text;
}

std::vector<std::string> generation_sentences(Generation const& all) {
    auto const said = [](GenerationTime const& time) {
        return format_ms(time.ms) + " (95 % interval " + limits_text(time) + ")";
    };
    return {"The first token of " +
                count_of(static_cast<std::size_t>(all.sequences), "sequence", "sequences") +
                " with a prompt of " + std::to_string(all.prompt) + " tokens takes " +
                said(all.first_token.time) + ", all " + std::to_string(all.new_tokens) + " " +
                said(all.total) + ".",
            "A further token takes " + said(all.token) + ", " + steps_text(all), cache_text(all)};
}

Plot generation_plot(Generation const& all, Target const& target) {
    Plot plot{.id = "generation",
              .title = "Time a token of " + generation_title(all, target),
              .caption =
                  "Expected time of one decode step over the keys in its cache, with the "
                  "band that holds 95 % of such models. The first token, of " +
                  std::to_string(all.prompt) + " of the prompt, takes " +
                  format_ms(all.first_token.time.ms) + ".",
              .x = {.title = "keys"},
              .y = {.title = "time a token", .unit = AxisUnit::milliseconds},
              .series = {},
              .table = {.header = table_head(), .rows = {}}};
    PlotSeries band{.label = "95 % interval", .mark = Mark::band};
    PlotSeries expected{.label = "expected", .mark = Mark::line};
    for (auto const& step : all.steps) {
        auto const keys = static_cast<double>(step.keys);
        expected.x.push_back(keys);
        expected.y.push_back(step.time.ms);
        plot.table.rows.push_back(cells_of(step));
        if (!step.time.limits_ms) continue;
        band.x.push_back(keys);
        band.low.push_back(step.time.limits_ms->first);
        band.high.push_back(step.time.limits_ms->second);
    }
    if (!band.x.empty()) plot.series.push_back(std::move(band));
    plot.series.push_back(std::move(expected));
    return plot;
}

nlohmann::json generation_json(Generation const& all, Target const& target) {
    auto const rate = rate_of(all);
    auto steps = nlohmann::json::array();
    for (auto const& step : all.steps) {
        steps.push_back(call_json(step));
        steps.back()["steps"] = step.steps;
    }
    nlohmann::json json{{"model", all.model},
                        {"hardware_id", target.hardware_id},
                        {"prompt_tokens", all.prompt},
                        {"new_tokens", all.new_tokens},
                        {"sequences", all.sequences},
                        {"cache", name_of(all.cache)},
                        {"first_token", call_json(all.first_token)},
                        {"token", time_json(all.token)},
                        {"total", time_json(all.total)},
                        {"tokens_per_second", rate.ms},
                        {"tokens_per_second_ci_95_lower", json_or_null(lower(rate))},
                        {"tokens_per_second_ci_95_upper", json_or_null(upper(rate))},
                        {"steps", std::move(steps)}};
    set_condition(json, &target.calibrations.front(), nullptr);
    json["precision"] = to_string(all.precision);
    set_judgement(json, all.calibrations);
    set_warnings(json, all.warnings);
    return json;
}

std::string generation_csv(Generation const& all, std::string const& hardware_id, bool has_head) {
    std::string text;
    if (has_head) {
        text +=
            "hardware,call,keys,steps,latency_ms,ci_95_lower_ms,ci_95_upper_ms,attention_share,"
            "bound,notes\n";
    }
    auto const number = [](std::optional<double> value) {
        return value ? nlohmann::json(*value).dump() : std::string{};
    };
    auto const add = [&](char const* name, GenerationCall const& call) {
        text += hardware_id + "," + name + "," + std::to_string(call.keys) + "," +
                number(call.steps) + "," + number(call.time.ms) + "," + number(lower(call.time)) +
                "," + number(upper(call.time)) + "," + number(call.attention_share) + "," +
                call.bound + ",\"" + joined(call.notes) + "\"\n";
    };
    add("prefill", all.first_token);
    for (auto const& step : all.steps) add("decode", step);
    return text;
}

}  // namespace derate::cli
