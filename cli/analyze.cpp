#include <fmt/core.h>

#include <CLI/App.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "calibration/cross_validate.hpp"
#include "calibration/diagnostics.hpp"
#include "calibration/shape_comparison.hpp"
#include "cli/commands.hpp"
#include "cli/curve_file_choice.hpp"
#include "cli/json_output.hpp"
#include "core/input_error.hpp"
#include "reports/analysis.hpp"
#include "reports/report_text.hpp"
#include "storage/calibration_files.hpp"
#include "storage/fields.hpp"
#include "storage/file.hpp"

namespace derate::cli {
namespace {

struct AnalyzeFlags {
    CurveFileFlags curves;
    std::optional<std::filesystem::path> output;
};

/// Empty where a single model leaves nothing to compare on.
std::vector<ShapeComparison> shapes_of(Evidence const& evidence) {
    std::set<std::string> models;
    for (auto const& model : evidence.models) models.insert(model.name);
    if (models.size() < 2) return {};
    return compare_shapes(evidence);
}

std::string shown(std::optional<double> const& error) {
    return error ? fmt::format("{:.3f}", *error) : "-";
}

std::string curve_label(ShapeComparison const& shapes) {
    return std::string{to_string(shapes.type)} + (shapes.zero_flop ? " (bytes)" : "");
}

std::string shapes_in_words(std::vector<ShapeComparison> const& all) {
    if (all.empty()) return {};
    std::vector<TableRow> rows{{"curve", "kernels", "with residual model", "additive roofline",
                                "piecewise linear", "log-linear", "sigmoid", "served/next"}};
    for (auto const& shapes : all) {
        TableRow row{curve_label(shapes), std::to_string(shapes.kernels),
                     shown(shapes.residual_model), shown(shapes.additive_roofline)};
        for (auto const& error : shapes.curves) row.push_back(shown(error));
        row.push_back(shown(shapes.served_over_next()));
        rows.push_back(std::move(row));
    }
    return "\nShapes: root mean square log error on kernels of left-out models. The last column is "
           "the served\nshape's (the first) over the best other's: below 1 it won.\n\n" +
           text_table(rows, 1);
}

nlohmann::json shapes_json(std::vector<ShapeComparison> const& all) {
    auto rows = nlohmann::json::array();
    for (auto const& shapes : all) {
        nlohmann::json row{{"operation_type", to_string(shapes.type)},
                           {"zero_flop", shapes.zero_flop},
                           {"kernels", shapes.kernels},
                           {"residual_model", json_or_null(shapes.residual_model)},
                           {"additive_roofline", json_or_null(shapes.additive_roofline)},
                           {"served_over_next", json_or_null(shapes.served_over_next())},
                           {"winner", shapes.winner()}};
        for (std::size_t i = 0; i < shapes.curves.size(); ++i) {
            row[std::string{to_string(all_curve_forms[i])}] = json_or_null(shapes.curves[i]);
        }
        rows.push_back(std::move(row));
    }
    return rows;
}

ExitCode analyze(AnalyzeFlags const& flags, CommonFlags const& common) {
    auto const file = chosen_curve_file(flags.curves, common);
    auto const calibration = read_calibration(file);
    auto const evidence = read_evidence_of(calibration, file);
    if (!evidence) {
        throw InputError{file.string(), "it names no evidence",
                         "a calibration made by derate aggregate or derate calibrate"};
    }
    auto const diagnostics =
        diagnose(*evidence, calibration, predict_models(*evidence, calibration));

    auto const shapes = shapes_of(*evidence);
    auto const shapes_text = shapes_in_words(shapes);

    if (flags.output) {
        write_atomically(*flags.output,
                         analysis_markdown(calibration, diagnostics) +
                             (shapes.empty() ? "" : "\n```\n" + shapes_text + "```\n"));
        if (!common.quiet) {
            std::fprintf(stderr, "derate: wrote %s\n", flags.output->string().c_str());
        }
    }
    if (common.json) {
        auto json = analysis_json(calibration, diagnostics);
        json["shapes"] = shapes_json(shapes);
        set_condition(json, &calibration, &*evidence);
        print_json("output_analyze_v1.json", std::move(json));
    } else if (!flags.output) {
        std::fputs((analysis_text(calibration, diagnostics) + shapes_text).c_str(), stdout);
    } else {
        std::puts(analysis_in_words(calibration, diagnostics).c_str());
    }
    return exit_pass;
}

}  // namespace

Run add_analyze(CLI::App& command) {
    auto flags = std::make_shared<AnalyzeFlags>();
    add_curve_file_flags(command, flags->curves);
    command.add_option("--output", flags->output,
                       "Markdown report with pictures; without it the report is printed for the "
                       "terminal");
    return [flags](CommonFlags const& common) { return analyze(*flags, common); };
}

}  // namespace derate::cli
