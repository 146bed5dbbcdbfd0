#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "calibration/comparison.hpp"
#include "calibration/validation.hpp"
#include "cli/commands.hpp"
#include "cli/step_summary.hpp"
#include "cli/text_table.hpp"
#include "core/format_quantity.hpp"
#include "core/input_error.hpp"
#include "core/json/file.hpp"
#include "core/json/stored_calibration.hpp"

namespace derate::cli {
namespace {

namespace fs = std::filesystem;

struct CompareFlags {
    fs::path before;
    fs::path after;
    double threshold_percent = 5;
    double alpha = 0.05;
    bool absolute = false;
    bool all = false;
};

std::string percent_text(double ratio) {
    char text[32];
    std::snprintf(text, sizeof text, "%+.1f %%", 100 * (ratio - 1));
    return text;
}

std::string p_text(std::optional<double> const& p) {
    return p ? format_significant(*p, 2) : std::string{"-"};
}

/// The two files as calibrations of one machine, where they are: their predictions are compared
/// too.
std::optional<RuleResult> compare_predictions(CompareFlags const& flags) {
    auto const is_calibration = [](fs::path const& file) {
        auto const json = read_json(file);
        return json.is_object() && json.contains("efficiency_curves");
    };
    if (!is_calibration(flags.before) || !is_calibration(flags.after)) return std::nullopt;
    auto const before = read_stored_calibration(flags.before);
    auto const after = read_stored_calibration(flags.after);
    if (!before.calibration || !after.calibration || !before.evidence || !after.evidence) {
        return std::nullopt;
    }
    return judge_not_worse(
        pair_kernels(*after.calibration, *after.evidence, *before.calibration, *before.evidence),
        {});
}

nlohmann::json to_json(Comparison const& comparison, std::optional<RuleResult> const& predictions,
                       Verdict verdict) {
    auto const optional = [](std::optional<double> const& value) {
        return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
    };
    nlohmann::json json{{"verdict", to_string(verdict)},
                        {"reason", comparison.reason},
                        {"common_ratio", comparison.common_ratio},
                        {"multiplicity", "Holm over cases"},
                        {"cases", nlohmann::json::array()},
                        {"only_before", comparison.only_before},
                        {"only_after", comparison.only_after},
                        {"failed", comparison.failed},
                        {"environment_differences", nlohmann::json::array()},
                        {"predictions", nullptr}};
    for (auto const& one : comparison.cases) {
        json["cases"].push_back(
            {{"case", one.name},
             {"old_ms", one.old_ms},
             {"new_ms", one.new_ms},
             {"ratio", one.ratio},
             {"ratio_lower", one.interval ? nlohmann::json(one.interval->lower) : nullptr},
             {"ratio_upper", one.interval ? nlohmann::json(one.interval->upper) : nullptr},
             {"slower_p_value", optional(one.p_value)},
             {"faster_p_value", optional(one.faster_p_value)},
             {"mann_whitney_p_value", optional(one.mann_whitney_p_value)},
             {"slower", one.slower},
             {"faster", one.faster}});
    }
    for (auto const& [key, was, is] : comparison.environment) {
        json["environment_differences"].push_back({{"key", key}, {"old", was}, {"new", is}});
    }
    if (predictions) {
        json["predictions"] = {{"verdict", to_string(predictions->verdict)},
                               {"reason", predictions->reason}};
    }
    return json;
}

std::string to_text(Comparison const& comparison, std::optional<RuleResult> const& predictions,
                    Verdict verdict, bool all) {
    constexpr std::size_t shown_unless_all = 10;
    auto text = std::string{to_string(verdict)} + ": " + comparison.reason + "\n";
    if (predictions) {
        text += "predictions " + std::string{to_string(predictions->verdict)} + ": " +
                predictions->reason + "\n";
    }
    if (comparison.common_ratio != 1) {
        text += "all cases together " + percent_text(comparison.common_ratio) +
                ", taken out of each below\n";
    }
    for (auto const& [key, was, is] : comparison.environment) {
        text += "environment differs: " + key + " was " + was + ", is " + is + "\n";
    }
    for (auto const& name : comparison.failed) text += "failed in the new file: " + name + "\n";
    for (auto const& name : comparison.only_before) text += "only in the old file: " + name + "\n";
    for (auto const& name : comparison.only_after) text += "only in the new file: " + name + "\n";

    std::vector<TableRow> rows{{"case", "old ms", "new ms", "change", "95 % interval", "p", ""}};
    for (auto const& one : comparison.cases) {
        bool const notable = one.slower || one.faster;
        if (!all && !notable && rows.size() > shown_unless_all) continue;
        rows.push_back({one.name, format_significant(one.old_ms, 4),
                        format_significant(one.new_ms, 4), percent_text(one.ratio),
                        one.interval ? percent_text(one.interval->lower) + " to " +
                                           percent_text(one.interval->upper)
                                     : std::string{"-"},
                        p_text(one.ratio > 1 ? one.p_value : one.faster_p_value),
                        one.slower   ? "SLOWER"
                        : one.faster ? "faster"
                                     : ""});
    }
    text += "\n" + text_table(rows, 1);
    if (rows.size() - 1 < comparison.cases.size()) {
        text += std::to_string(comparison.cases.size() - rows.size() + 1) +
                " more without a change that matters (--all shows them)\n";
    }
    return text;
}

ExitCode run_compare(CommonFlags const& common, CompareFlags const& flags) {
    if (!(flags.threshold_percent > 0)) {
        throw InputError{"--threshold", "not positive", "percent, above 0"};
    }
    if (!(flags.alpha > 0 && flags.alpha < 0.5)) {
        throw InputError{"--alpha", "out of range", "between 0 and 0.5"};
    }
    auto const comparison = compare(read_timing_table(flags.before), read_timing_table(flags.after),
                                    {.threshold_percent = flags.threshold_percent,
                                     .alpha = flags.alpha,
                                     .absolute = flags.absolute});
    auto const predictions = compare_predictions(flags);
    auto const verdict =
        predictions ? worse(comparison.verdict, predictions->verdict) : comparison.verdict;
    if (common.json) {
        std::puts(pretty_json(to_json(comparison, predictions, verdict)).c_str());
    } else {
        std::fputs(to_text(comparison, predictions, verdict, flags.all).c_str(), stdout);
    }
    append_step_summary("## derate compare\n\n```\n" +
                        to_text(comparison, predictions, verdict, flags.all) + "```\n");
    switch (verdict) {
        case Verdict::pass:
            return exit_pass;
        case Verdict::fail:
            return exit_gate_failed;
        case Verdict::inconclusive:
            break;
    }
    return exit_inconclusive;
}

}  // namespace

Run add_compare(CLI::App& command) {
    auto flags = std::make_shared<CompareFlags>();
    command.add_option("old", flags->before, "Google Benchmark JSON, measurement or curve file")
        ->required();
    command.add_option("new", flags->after, "The same of the new state")->required();
    command
        .add_option("--threshold", flags->threshold_percent,
                    "Percent; slower by less does not matter")
        ->capture_default_str();
    command.add_option("--alpha", flags->alpha, "Chance of a false alarm over all cases together")
        ->capture_default_str();
    command.add_flag("--absolute", flags->absolute,
                     "Take no common shift out (clocks are known to be steady)");
    command.add_flag("--all", flags->all, "Show every case");
    return [flags](CommonFlags const& common) { return run_compare(common, *flags); };
}

}  // namespace derate::cli
