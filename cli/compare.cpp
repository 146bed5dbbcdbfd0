#include <fmt/core.h>

#include <CLI/App.hpp>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/commands.hpp"
#include "cli/json_output.hpp"
#include "cli/step_summary.hpp"
#include "core/format_quantity.hpp"
#include "core/input_error.hpp"
#include "gate/comparison.hpp"
#include "gate/validation.hpp"
#include "reports/report_text.hpp"
#include "storage/fields.hpp"
#include "storage/file.hpp"
#include "storage/stored_calibration.hpp"

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

std::string percent_text(double ratio) { return fmt::format("{:+.1f} %", 100 * (ratio - 1)); }

std::string p_text(std::optional<double> const& p) {
    return p ? format_significant(*p, 2) : std::string{"-"};
}

/// The predictions of two calibrations of one machine; empty where evidence is missing.
std::optional<RuleResult> compare_predictions(CompareFlags const& flags) {
    auto const before = read_stored_calibration(flags.before);
    auto const after = read_stored_calibration(flags.after);
    if (!before.calibration || !after.calibration || !before.evidence || !after.evidence) {
        return std::nullopt;
    }
    return judge_not_worse(
        pair_kernels(*after.calibration, *after.evidence, *before.calibration, *before.evidence),
        {});
}

/// What is said at last: of the timings, or of the predictions where those are worse.
struct Conclusion {
    Verdict verdict = Verdict::inconclusive;
    std::string reason;
};

Conclusion conclude(Comparison const& comparison, std::optional<RuleResult> const& predictions) {
    if (predictions && worse(comparison.verdict, predictions->verdict) != comparison.verdict) {
        return {predictions->verdict, "predictions: " + predictions->reason};
    }
    return {comparison.verdict, comparison.reason};
}

nlohmann::json to_json(Comparison const& comparison, std::optional<RuleResult> const& predictions,
                       Conclusion const& conclusion, std::string const& time) {
    auto const& shift = comparison.shift;
    bool const shift_known =
        shift.basis != ShiftBasis::not_sought && shift.basis != ShiftBasis::undecided;
    nlohmann::json json{
        {"verdict", to_string(conclusion.verdict)},
        {"reason", conclusion.reason},
        {"time", time},
        {"timings", {{"verdict", to_string(comparison.verdict)}, {"reason", comparison.reason}}},
        {"inconclusive_because", comparison.verdict == Verdict::inconclusive
                                     ? nlohmann::json(to_string(comparison.doubt))
                                     : nlohmann::json(nullptr)},
        {"common_ratio", shift.ratio},
        {"common_shift",
         {{"basis", to_string(shift.basis)},
          {"ratio", shift_known ? nlohmann::json(shift.ratio) : nlohmann::json(nullptr)},
          {"cases", shift.cases}}},
        {"multiplicity", "Holm over cases"},
        {"cases", nlohmann::json::array()},
        {"only_before", comparison.only_before},
        {"only_after", comparison.only_after},
        {"failed", comparison.failed},
        {"failed_before", comparison.failed_before},
        {"left_out", nlohmann::json::array()},
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
             {"adjusted_ratio", one.adjusted_ratio},
             {"slower_p_value", json_or_null(one.p_value)},
             {"faster_p_value", json_or_null(one.faster_p_value)},
             {"mann_whitney_p_value", json_or_null(one.mann_whitney_p_value)},
             {"slower", one.slower},
             {"slower_as_measured", one.slower_as_measured},
             {"slower_than_shift", one.slower_than_shift},
             {"faster", one.faster}});
    }
    for (auto const& [name, reason] : comparison.left_out) {
        json["left_out"].push_back({{"case", name}, {"reason", reason}});
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

std::string shift_line(CommonShift const& shift) {
    auto const by = "common shift: " + percent_text(shift.ratio);
    switch (shift.basis) {
        case ShiftBasis::not_sought:
            return "";
        case ShiftBasis::drift_probes:
            return by + ", by the drift probes\n";
        case ShiftBasis::unchanged_cases:
            return by + ", by " + std::to_string(shift.cases) +
                   " cases that stayed where they were\n";
        case ShiftBasis::most_cases:
            return by + ", shared by " + std::to_string(shift.cases) + " cases\n";
        case ShiftBasis::undecided:
            break;
    }
    return "common shift: nothing tells it (no drift probes, no group of unchanged cases)\n";
}

std::string mark_of(CaseComparison const& one) {
    if (one.slower) return "SLOWER";
    if (one.faster) return "faster";
    if (one.slower_than_shift) return "slower than the shift";
    return one.slower_as_measured ? "slower as measured" : "";
}

constexpr std::size_t shown_unless_all = 10;

/// One line a case that a file alone holds; of many the first ones and how many more.
std::string unpaired_text(std::vector<std::string> const& names, std::string const& which,
                          bool all) {
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (!all && i == shown_unless_all) {
            return text + "only in the " + which + " file: " + std::to_string(names.size() - i) +
                   " more (--all names them)\n";
        }
        text += "only in the " + which + " file: " + names[i] + "\n";
    }
    return text;
}

std::string to_text(Comparison const& comparison, std::optional<RuleResult> const& predictions,
                    Conclusion const& conclusion, std::string const& time, bool all) {
    auto text = std::string{to_string(conclusion.verdict)} + ": " + conclusion.reason + "\n";
    if (predictions) {
        text += "timings " + std::string{to_string(comparison.verdict)} + ": " + comparison.reason +
                "\npredictions " + std::string{to_string(predictions->verdict)} + ": " +
                predictions->reason + "\n";
    }
    text += "compared: " + time + "\n" + shift_line(comparison.shift);
    for (auto const& [key, was, is] : comparison.environment) {
        text += "environment differs: " + key + " was " + was + ", is " + is + "\n";
    }
    for (auto const& name : comparison.failed) text += "failed in the new file: " + name + "\n";
    for (auto const& name : comparison.failed_before) {
        text += "failed in the old file: " + name + "\n";
    }
    for (auto const& [name, reason] : comparison.left_out) {
        text += "left out: " + name + " (" + reason + ")\n";
    }
    text += unpaired_text(comparison.only_before, "old", all);
    text += unpaired_text(comparison.only_after, "new", all);
    if (comparison.cases.empty()) return text;

    bool const is_shifted = std::abs(comparison.shift.ratio - 1) >= 0.0005;
    TableRow header{"case", "old ms", "new ms", "change", "95 % interval"};
    if (is_shifted) header.emplace_back("less the shift");
    header.insert(header.end(), {"p", ""});
    std::vector<TableRow> rows{header};
    for (auto const& one : comparison.cases) {
        bool const notable = !mark_of(one).empty();
        if (!all && !notable && rows.size() > shown_unless_all) continue;
        TableRow row{one.name, format_significant(one.old_ms, 4), format_significant(one.new_ms, 4),
                     percent_text(one.ratio),
                     one.interval ? percent_text(one.interval->lower) + " to " +
                                        percent_text(one.interval->upper)
                                  : std::string{"-"}};
        if (is_shifted) row.push_back(percent_text(one.adjusted_ratio));
        row.push_back(p_text(one.adjusted_ratio > 1 ? one.p_value : one.faster_p_value));
        row.push_back(mark_of(one));
        rows.push_back(std::move(row));
    }
    text += "\n" + text_table(rows, 1);
    if (rows.size() - 1 < comparison.cases.size()) {
        text += std::to_string(comparison.cases.size() - rows.size() + 1) +
                " more without a change that matters (--all shows them)\n";
    }
    return text;
}

ExitCode run_compare(CommonFlags const& common, CompareFlags const& flags) {
    if (!(flags.threshold_percent > 0 && std::isfinite(flags.threshold_percent))) {
        throw InputError{"--threshold", "not positive", "percent, above 0"};
    }
    if (!(flags.alpha > 0 && flags.alpha < 0.5)) {
        throw InputError{"--alpha", "out of range", "between 0 and 0.5"};
    }
    auto const before = read_timing_table(flags.before);
    auto const after = read_timing_table(flags.after);
    auto const comparison = compare(before, after,
                                    {.threshold_percent = flags.threshold_percent,
                                     .alpha = flags.alpha,
                                     .absolute = flags.absolute});
    auto const predictions =
        before.of_calibration && after.of_calibration ? compare_predictions(flags) : std::nullopt;
    auto const conclusion = conclude(comparison, predictions);
    auto const time = before.time == after.time ? after.time : before.time + " with " + after.time;
    auto const text = to_text(comparison, predictions, conclusion, time, flags.all);
    if (common.json) {
        print_json("output_compare_v1.json", to_json(comparison, predictions, conclusion, time));
    } else {
        std::fputs(text.c_str(), stdout);
    }
    append_step_summary("## derate compare\n\n```\n" + text + "```\n");
    switch (conclusion.verdict) {
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
    command.add_flag(
        "--absolute", flags->absolute,
        "Assume that nothing but the program moves the cases (clocks are known to be steady)");
    command.add_flag("--all", flags->all, "Show every case");
    return [flags](CommonFlags const& common) { return run_compare(common, *flags); };
}

}  // namespace derate::cli
