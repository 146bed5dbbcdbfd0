#include <CLI/App.hpp>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "calibration/cross_validate.hpp"
#include "cli/commands.hpp"
#include "cli/curve_file_choice.hpp"
#include "cli/json_output.hpp"
#include "core/input_error.hpp"
#include "estimator/compiled_calibration.hpp"
#include "estimator/prepared_model.hpp"
#include "reports/calibration_plots.hpp"
#include "reports/gnuplot.hpp"
#include "reports/html_page.hpp"
#include "storage/calibration_files.hpp"
#include "storage/file.hpp"
#include "storage/registry.hpp"
#include "workloads/model_set.hpp"
#include "workloads/partition.hpp"

namespace derate::cli {
namespace {

struct Arguments {
    std::vector<std::filesystem::path> calibrations;
    std::vector<std::string> hardware;
    std::optional<std::string> model;
    std::optional<std::filesystem::path> output;
    bool ascii = false;
};

/// Hardware, precision and threads where that tells the calibrations apart, else their files too.
std::string label_of(Calibration const& calibration, std::filesystem::path const& file,
                     std::set<std::string>& taken) {
    auto label =
        calibration.hardware_id + " " + std::string{to_string(calibration.condition.precision)};
    if (auto const threads = calibration.condition.execution.threads)
        label += " t" + std::to_string(*threads);
    if (taken.contains(label)) label += " (" + file.string() + ")";
    taken.insert(label);
    return label;
}

/// The files named and every one that the registries have of the hardware named.
std::vector<std::filesystem::path> curve_files(Arguments const& arguments,
                                               CommonFlags const& common) {
    auto files = arguments.calibrations;
    PassedOver passed_over;
    for (auto const& id : arguments.hardware) {
        auto const before = files.size();
        for (auto const& [path, calibration] :
             read_calibrations(find_hardware(id, registry_roots(common.registries)), &passed_over)) {
            if (!holds_rules(calibration)) files.push_back(path);
        }
        if (files.size() == before) {
            throw InputError{"--hardware " + id, "has no curves",
                             "measured or imported ones, or --calibration FILE"};
        }
    }
    warn_of(passed_over, common);
    if (files.empty()) {
        throw InputError{"--calibration", "no calibration is named",
                         "--calibration FILE or --hardware ID"};
    }
    return files;
}

std::vector<PicturedCalibration> read_all(std::vector<std::filesystem::path> const& files) {
    std::vector<PicturedCalibration> all;
    std::set<std::string> taken;
    for (auto const& file : files) {
        auto calibration = read_calibration(file);
        auto evidence = read_evidence_of(calibration, file);
        CrossValidation predictions;
        if (evidence) predictions = predict_models(*evidence, calibration);
        auto label = label_of(calibration, file, taken);
        all.push_back({.label = std::move(label),
                       .calibration = std::move(calibration),
                       .evidence = std::move(evidence),
                       .predictions = std::move(predictions)});
    }
    return all;
}

PageSection roofline_section(std::vector<PicturedCalibration> const& all,
                             std::string const& model) {
    PageSection section{.title = "Roofline of " + model};
    std::exception_ptr failure;
    for (auto const& pictured : all) {
        std::optional<LoadedModel> loaded;
        try {
            loaded = load_model(model, std::nullopt, pictured.calibration.condition.precision);
        } catch (InputError const& error) {
            // A file has one precision, a hardware's calibrations may have several.
            failure = std::current_exception();
            section.paragraphs.push_back(pictured.label + ": no roofline: " + error.what() + ".");
            continue;
        }
        auto const parts =
            partition(loaded->program, pictured.calibration.condition.execution.backend);
        std::vector<Subgraph> subgraphs;
        for (auto const& part : parts.subgraphs) subgraphs.push_back(part.subgraph);
        CompiledCalibration const compiled{pictured.calibration};
        auto const estimates =
            estimate_subgraphs(compiled, prepare(compiled, subgraphs, parts.rule));
        std::vector<RooflinePoint> points;
        for (std::size_t i = 0; i < subgraphs.size(); ++i) {
            points.push_back({subgraphs[i], estimates[i].latency_ms, estimates[i].bound});
        }
        if (auto plot = roofline_plot(pictured, model, points)) {
            section.plots.push_back(std::move(*plot));
        } else {
            section.paragraphs.push_back(pictured.label + ": no roofline, its peaks are unknown.");
        }
    }
    if (section.plots.empty() && failure) std::rethrow_exception(failure);
    return section;
}

void print_text(std::vector<PageSection> const& sections) {
    for (auto const& section : sections) {
        std::printf("== %s ==\n\n", section.title.c_str());
        for (auto const& paragraph : section.paragraphs) std::printf("%s\n\n", paragraph.c_str());
        for (auto const& plot : section.plots) {
            std::printf("%s\n%s\n\n", draw_text(plot).c_str(), plot.caption.c_str());
        }
    }
}

nlohmann::json to_json(std::vector<PageSection> const& sections) {
    auto json = nlohmann::json::array();
    for (auto const& section : sections) {
        for (auto const& plot : section.plots) {
            json.push_back(
                {{"section", section.title},
                 {"id", plot.id},
                 {"title", plot.title},
                 {"caption", plot.caption},
                 {"vega_lite", nlohmann::json::parse(vega_lite_specification(plot))}});
        }
    }
    return json;
}

ExitCode visualize(Arguments const& arguments, CommonFlags const& common) {
    if (!arguments.output && !arguments.ascii && !common.json) {
        throw InputError{"--output", "missing", "a file FILE.html, or --ascii, or --json"};
    }
    if (arguments.output && arguments.output->extension() != ".html") {
        throw InputError{arguments.output->string(), "not the name of an HTML file",
                         "a name that ends in .html, or --ascii"};
    }
    // Before the work of reading and predicting, not after it.
    if (arguments.output && !vega_scripts_missing().empty()) {
        throw EnvironmentRefused{arguments.output->string(), vega_scripts_missing(),
                                 "run cmake/fetch_vega.sh and build again, or use --ascii"};
    }
    auto const all = read_all(curve_files(arguments, common));
    auto sections = calibration_sections(all);
    if (arguments.model) sections.insert(sections.begin(), roofline_section(all, *arguments.model));

    if (arguments.output) {
        std::string title = "Efficiency of";
        for (auto const& pictured : all)
            title += (&pictured == all.data() ? " " : ", ") + pictured.label;
        write_atomically(*arguments.output, html_page(title, sections));
        if (!common.quiet) std::fprintf(stderr, "wrote %s\n", arguments.output->c_str());
    }
    if (arguments.ascii) print_text(sections);
    if (common.json) print_json("output_visualize_v1.json", to_json(sections));
    return exit_pass;
}

}  // namespace

Run add_visualize(CLI::App& command) {
    auto const arguments = std::make_shared<Arguments>();
    command
        .add_option("--calibration", arguments->calibrations,
                    "Curve file; repeat it to lay calibrations over each other")
        ->type_name("FILE");
    auto* const hardware =
        command
            .add_option("--hardware", arguments->hardware,
                        "Every curve file that the registries have of this hardware (repeatable)")
            ->type_name("ID");
    command.get_option("--registry")->needs(hardware);
    command
        .add_option("--model", arguments->model,
                    "Also draw this model's subgraphs (a name or FILE.pt2) under the roofline")
        ->type_name("MODEL");
    command.add_option("--output", arguments->output, "One self-contained page, FILE.html")
        ->type_name("FILE");
    command.add_flag("--ascii", arguments->ascii, "Draw in the terminal instead")
        ->excludes(command.get_option("--json"));
    return [arguments](CommonFlags const& common) { return visualize(*arguments, common); };
}

}  // namespace derate::cli
