#include "reports/validation_report.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "core/format_quantity.hpp"
#include "core/subgraph.hpp"
#include "estimator/latency_estimate.hpp"
#include "reports/report_text.hpp"
#include "storage/fields.hpp"

namespace derate {
namespace {

using Row = std::vector<std::string>;

std::string number(double value, int decimals) { return fmt::format("{:.{}f}", value, decimals); }

std::string percent(double value) { return number(value, 1) + " %"; }

std::string half_width_text(double percent_of_it) {
    return percent_of_it <= 100 * (most_spread - 1)
               ? percent(percent_of_it)
               : "more than a factor of " + number(most_spread, 0);
}

std::string signed_percent(double value) {
    auto const digits = percent(value);
    return value >= 0 ? "+" + digits : digits;
}

std::string joined(std::vector<std::string> const& parts, char const* separator) {
    std::string line;
    for (auto const& part : parts) line += (line.empty() ? "" : separator) + part;
    return line;
}

/// A table as text (columns aligned) or Markdown.
enum class Dress { text, markdown };

std::string table(std::vector<Row> rows, Dress dress) {
    for (auto& row : rows) {
        for (auto& cell : row) {
            if (dress == Dress::markdown) cell = markdown_cell(cell);
        }
    }
    std::vector<std::size_t> widths(rows.front().size(), 0);
    for (auto const& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    std::string all;
    for (std::size_t r = 0; r < rows.size(); ++r) {
        std::string line = dress == Dress::markdown ? "|" : " ";
        for (std::size_t i = 0; i < rows[r].size(); ++i) {
            std::string const gap(widths[i] - rows[r][i].size(), ' ');
            line += ' ';
            line += i == 0 ? rows[r][i] + gap : gap + rows[r][i];
            line += dress == Dress::markdown ? " |" : " ";
        }
        if (dress == Dress::text) line.erase(line.find_last_not_of(' ') + 1);
        all += line + "\n";
        if (r == 0 && dress == Dress::markdown) {
            all += "|";
            for (std::size_t i = 0; i < widths.size(); ++i) all += i == 0 ? "---|" : "---:|";
            all += "\n";
        }
    }
    return all;
}

std::string heading(char const* title, Dress dress) {
    return dress == Dress::markdown ? "\n## " + std::string{title} + "\n\n"
                                    : "\n" + std::string{title} + "\n";
}

std::string report(Validation const& v, Dress dress) {
    auto const verdict = std::string{to_string(v.gate.verdict())};
    std::string all = dress == Dress::markdown
                          ? "# Validation of " + v.hardware_id + ": " + verdict + "\n\n"
                          : v.hardware_id + ": " + verdict + "\n";
    all += "Judged by " + v.judged_by + ".";
    if (!v.outcomes.empty()) {
        auto const kernel_error = kernel_median_error_percent(v.outcomes);
        all += " " + std::to_string(v.outcomes.size()) + " models: MAPE " +
               percent(mape_percent(v.outcomes)) + ", bias " +
               signed_percent(bias_percent(v.outcomes)) + ", kernels' median error " +
               (kernel_error ? percent(*kernel_error) : "not known") + ", " +
               number(100 * coverage(v.outcomes), 0) +
               " % inside their 95 % interval, median half-width " +
               half_width_text(median_half_width_percent(v.outcomes)) + ".";
        if (v.floor) {
            all += " Measurements repeat within " + percent(v.floor->percent) + " (" +
                   basis_of(*v.floor) + ").";
        }
        if (v.normality) {
            all += " Standardised errors: Shapiro-Wilk W " + number(v.normality->w, 3) + ", p " +
                   number(v.normality->p_value, 3) + " (information, no rule).";
        }
    }
    all += "\n";

    all += heading("Rules", dress);
    std::vector<Row> rules;
    if (dress == Dress::markdown) {
        rules.push_back({"rule", "verdict", "why"});
        for (auto const& result : v.gate.results) {
            rules.push_back({std::string{to_string(result.rule)},
                             std::string{to_string(result.verdict)}, result.reason});
        }
        all += table(rules, dress);
    } else {
        for (auto const& result : v.gate.results) {
            all += fmt::format("  {:13}{:21}{}\n", to_string(result.verdict),
                               to_string(result.rule), result.reason);
        }
    }
    if (v.outcomes.empty()) return all;

    all += heading("Models", dress);
    std::vector<Row> models{{"model", "family", "measured ms", "predicted ms", "95 % interval",
                             "error", "inside", "most of it from"}};
    for (std::size_t i = 0; i < v.outcomes.size(); ++i) {
        auto const& o = v.outcomes[i];
        std::string from = "-";
        if (i < v.decompositions.size() && !v.decompositions[i].parts.empty()) {
            auto const& part = v.decompositions[i].parts.front();
            from = std::string{to_string(part.type)} + " " + signed_percent(part.percent);
        }
        models.push_back({model_in_words(o.model, o.batch), o.family, format_significant(o.measured_ms, 4),
                          format_significant(o.predicted_ms, 4),
                          is_known(o.interval) ? format_significant(o.interval.lower, 3) + " to " +
                                                     format_significant(o.interval.upper, 3)
                                               : std::string{"not known"},
                          signed_percent(o.error_percent()), o.inside_interval() ? "yes" : "no",
                          from});
    }
    all += table(models, dress);

    if (v.types.empty()) return all;  // no model's parts were timed
    all += heading("Operation types (p-values Holm-adjusted)", dress);
    std::vector<Row> types{{"type", "time", "kernels", "models", "median error", "bias", "p",
                            "coverage", "variance ratio"}};
    for (auto const& t : v.types) {
        types.push_back({std::string{to_string(t.type)}, percent(100 * t.time_share),
                         std::to_string(t.kernels), std::to_string(t.models),
                         percent(t.median_error_percent), signed_percent(t.bias_percent),
                         t.bias_p_value ? number(*t.bias_p_value, 3) : "-",
                         percent(100 * t.coverage_95), number(t.variance_ratio, 2)});
    }
    all += table(types, dress);

    all += heading("Sizes", dress);
    std::vector<Row> sizes{{"work of one kernel", "kernels", "median error", "coverage"}};
    for (auto const& s : v.sizes) {
        sizes.push_back({s.size, std::to_string(s.kernels), percent(s.median_error_percent),
                         percent(100 * s.coverage_95)});
    }
    all += table(sizes, dress);

    if (!v.recommendations.empty()) {
        all += heading("What would narrow the intervals most", dress);
        int rank = 1;
        for (auto const& r : v.recommendations) {
            all += (dress == Dress::markdown ? "" : "  ") + std::to_string(rank++) + ". " +
                   recommendation_text(r) + "\n";
        }
    } else if (v.left_out) {
        all +=
            "\nNo model was held out of the fit, whose kernels would say what narrows intervals: "
            "`derate audit` "
            "says it of the shipped models.\n";
    }
    return all;
}

nlohmann::json rule_json(RuleResult const& result) {
    nlohmann::json figures = nlohmann::json::object();
    for (auto const& [name, value] : result.figures) {
        figures[name] = std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(nullptr);
    }
    return {{"rule", to_string(result.rule)},
            {"question", question_of(result.rule)},
            {"verdict", to_string(result.verdict)},
            {"reason", result.reason},
            {"figures", figures}};
}

std::string xml_escaped(std::string const& text) {
    std::string escaped;
    for (char const c : text) {
        switch (c) {
            case '&':
                escaped += "&amp;";
                break;
            case '<':
                escaped += "&lt;";
                break;
            case '>':
                escaped += "&gt;";
                break;
            case '"':
                escaped += "&quot;";
                break;
            default:
                escaped += c;
        }
    }
    return escaped;
}

}  // namespace

std::string recommendation_text(Recommendation const& r) {
    // Descriptors fill lines; the names are those of derate measure's cases.
    std::vector<std::string> kernels;
    for (auto const& shape : r.shapes) {
        kernels.push_back(std::string{to_string(r.type)} + "/" + descriptor_hash(shape));
    }
    auto text = std::string{to_string(r.type)} + ", " + r.size + ": ";
    if (r.unseen_regime) text += "no calibration case shows this kind of kernel. ";
    text +=
        number(100 * r.variance_share, 0) +
        " % of the uncertainty comes from here; measured, the median half-width would fall from " +
        half_width_text(r.half_width_percent) + " to about " +
        half_width_text(r.narrowed_half_width_percent) + ". Takes about " +
        number(std::max(1.0, r.seconds), 0) + " s. Calibrate on " + joined(r.models, ", ") +
        (r.models.size() == 1 ? ", which has " : ", which have ") + joined(kernels, ", ") + ".";
    return text;
}

std::string validation_text(Validation const& validation) {
    return report(validation, Dress::text);
}

std::string validation_markdown(Validation const& validation) {
    return report(validation, Dress::markdown);
}

nlohmann::json recommendation_json(Recommendation const& r) {
    return {{"operation_type", to_string(r.type)},
            {"size", r.size},
            {"unseen_regime", r.unseen_regime},
            {"variance_share", r.variance_share},
            {"half_width_percent", r.half_width_percent},
            {"narrowed_half_width_percent", r.narrowed_half_width_percent},
            {"shapes", r.shapes},
            {"models", r.models},
            {"seconds", r.seconds},
            {"text", recommendation_text(r)}};
}

nlohmann::json validation_json(Validation const& v) {
    bool const any = !v.outcomes.empty();
    auto const kernel_error = kernel_median_error_percent(v.outcomes);
    auto const figure = [&](GateRule rule, char const* name) -> nlohmann::json {
        auto const* result = v.gate.find(rule);
        return result == nullptr ? nlohmann::json(nullptr) : json_or_null(result->figure(name));
    };
    auto const verdict = [&](GateRule rule) -> nlohmann::json {
        auto const* result = v.gate.find(rule);
        return result == nullptr ? nlohmann::json(nullptr)
                                 : nlohmann::json(to_string(result->verdict));
    };
    nlohmann::json json{
        {"hardware_id", v.hardware_id},
        {"judged_by", v.judged_by},
        {"verdict", to_string(v.gate.verdict())},
        {"mape_percent", any ? nlohmann::json(mape_percent(v.outcomes)) : nullptr},
        {"bias_percent", any ? nlohmann::json(bias_percent(v.outcomes)) : nullptr},
        {"bias_test",
         {{"p_value", figure(GateRule::bias, "tost_p_value")},
          {"t_test_p_value", figure(GateRule::bias, "t_test_p_value")},
          {"margin_percent", figure(GateRule::bias, "margin_percent")},
          {"interval_lower_percent", figure(GateRule::bias, "bias_lower_percent")},
          {"interval_upper_percent", figure(GateRule::bias, "bias_upper_percent")},
          {"verdict", verdict(GateRule::bias)}}},
        {"variance_test",
         {{"statistic", figure(GateRule::variance, "statistic")},
          {"dof", figure(GateRule::variance, "degrees_of_freedom")},
          {"p_value", figure(GateRule::variance, "textbook_p_value")},
          {"ratio", figure(GateRule::variance, "ratio")},
          {"ratio_lower", figure(GateRule::variance, "ratio_lower")},
          {"ratio_upper", figure(GateRule::variance, "ratio_upper")},
          {"verdict", verdict(GateRule::variance)}}},
        {"kernel_median_error_percent", json_or_null(kernel_error)},
        {"coverage_95", any ? nlohmann::json(coverage(v.outcomes)) : nullptr},
        {"median_half_width_percent",
         any ? nlohmann::json(median_half_width_percent(v.outcomes)) : nullptr},
        {"noise_floor_percent", v.floor ? nlohmann::json(v.floor->percent) : nullptr},
        {"noise_floor_95_percent",
         v.floor && v.floor->interval_percent
             ? nlohmann::json{v.floor->interval_percent->lower, v.floor->interval_percent->upper}
             : nlohmann::json(nullptr)},
        {"noise_floor_basis", v.floor ? nlohmann::json(basis_of(*v.floor)) : nullptr},
        {"normality", v.normality ? nlohmann::json{{"shapiro_wilk_w", v.normality->w},
                                                   {"p_value", v.normality->p_value}}
                                  : nlohmann::json(nullptr)},
        {"multiplicity", "Holm over operation types"},
        {"rules", nlohmann::json::array()},
        {"models", nlohmann::json::array()},
        {"operation_types", nlohmann::json::array()},
        {"sizes", nlohmann::json::array()},
        {"recommendations", nlohmann::json::array()}};
    for (auto const& result : v.gate.results) json["rules"].push_back(rule_json(result));
    for (std::size_t i = 0; i < v.outcomes.size(); ++i) {
        auto const& o = v.outcomes[i];
        auto const& context = v.decompositions[i].context_percent;
        nlohmann::json parts = nlohmann::json::object();
        for (auto const& part : v.decompositions[i].parts) {
            parts[std::string{to_string(part.type)}] = part.percent;
        }
        json["models"].push_back(
            {{"model", o.model},
             {"batch", json_or_null(o.batch)},
             {"family", o.family},
             {"measured_ms", o.measured_ms},
             {"predicted_ms", o.predicted_ms},
             {"interval_lower_ms",
              is_known(o.interval) ? nlohmann::json(o.interval.lower) : nlohmann::json(nullptr)},
             {"interval_upper_ms",
              is_known(o.interval) ? nlohmann::json(o.interval.upper) : nlohmann::json(nullptr)},
             {"error_percent", o.error_percent()},
             {"inside_interval", o.inside_interval()},
             {"independent_truth", o.independent_truth},
             {"error_percent_by_type", parts},
             {"error_percent_of_context", json_or_null(context)}});
    }
    for (auto const& t : v.types) {
        json["operation_types"].push_back({{"operation_type", to_string(t.type)},
                                           {"kernels", t.kernels},
                                           {"models", t.models},
                                           {"time_share", t.time_share},
                                           {"median_error_percent", t.median_error_percent},
                                           {"bias_percent", t.bias_percent},
                                           {"bias_p_value_holm", json_or_null(t.bias_p_value)},
                                           {"coverage_95", t.coverage_95},
                                           {"variance_ratio", t.variance_ratio}});
    }
    for (auto const& s : v.sizes) {
        json["sizes"].push_back({{"size", s.size},
                                 {"kernels", s.kernels},
                                 {"median_error_percent", s.median_error_percent},
                                 {"coverage_95", s.coverage_95}});
    }
    for (auto const& r : v.recommendations) {
        json["recommendations"].push_back(recommendation_json(r));
    }
    return json;
}

std::string validation_junit(Validation const& v) {
    auto const count = [&](Verdict verdict) {
        return std::to_string(std::ranges::count(v.gate.results, verdict, &RuleResult::verdict));
    };
    auto const suite = xml_escaped(v.hardware_id);
    std::string xml =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"" + suite +
        "\" tests=\"" + std::to_string(v.gate.results.size()) + "\" failures=\"" +
        count(Verdict::fail) + "\" errors=\"" + count(Verdict::inconclusive) + "\">\n";
    for (auto const& result : v.gate.results) {
        auto const reason = xml_escaped(result.reason);
        xml += "    <testcase classname=\"" + suite + "\" name=\"" +
               std::string{to_string(result.rule)} + "\"";
        if (result.verdict == Verdict::pass) {
            xml += "><system-out>" + reason + "</system-out></testcase>\n";
        } else {
            bool const failed = result.verdict == Verdict::fail;
            xml += std::string{">\n      <"} + (failed ? "failure" : "error") + " type=\"" +
                   std::string{to_string(result.verdict)} + "\" message=\"" + reason +
                   "\"/>\n    </testcase>\n";
        }
    }
    return xml + "  </testsuite>\n</testsuites>\n";
}

}  // namespace derate
