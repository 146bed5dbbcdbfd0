#include "cli/estimate_sweep.hpp"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/curve_file_choice.hpp"
#include "cli/estimate_output.hpp"
#include "cli/json_output.hpp"
#include "cli/plot_file.hpp"
#include "cli/sweep_output.hpp"
#include "core/input_error.hpp"
#include "reports/gnuplot.hpp"
#include "reports/html_page.hpp"

namespace derate::cli {
namespace {

void refuse_what_does_not_fit(EstimateFlags const& flags, CommonFlags const& common) {
    if (flags.explain) {
        throw InputError{"--explain", "a sweep has no one subgraph to explain", "one size"};
    }
    if (flags.model.ends_with(".json")) {
        throw InputError{"--dim", "a measurement file has its own sizes", "a symbolic export"};
    }
    if (flags.csv && common.json) {
        throw InputError{"--csv", "--json is there too", "one of them"};
    }
    if (flags.output) check_plot_file(*flags.output, flags.hardware.size());
}

}  // namespace

ExitCode estimate_sweep(EstimateFlags const& flags, CommonFlags const& common) {
    refuse_what_does_not_fit(flags, common);
    auto const limit_ms = flags.target ? std::optional{limit_ms_of(*flags.target)} : std::nullopt;
    SweptModel model{flags};
    auto const first = first_row(model);
    bool is_first = true;
    std::vector<nlohmann::json> results;
    std::vector<PageSection> sections;
    for (auto const& target : targets_of(flags, first.model, common)) {
        warn_of(target.passed_over, common);
        auto const sweep = swept(model, target, first, limit_ms);
        if (!common.quiet) {
            for (auto const& warning : sweep.warnings) {
                std::fprintf(stderr, "derate: warning: %s\n", warning.text.c_str());
            }
        }
        auto const refused = refused_text(sweep);
        if (!refused.empty() && !common.quiet && (common.json || flags.csv)) {
            std::fprintf(stderr, "derate: warning: %s\n", refused.c_str());
        }
        if (flags.output) {
            sections.push_back({.title = sweep_title(sweep, target),
                                .paragraphs = {},
                                .plots = {sweep_plot(sweep, target)}});
            sections.back().plots.back().id += std::to_string(sections.size());
            if (!refused.empty()) sections.back().paragraphs.push_back(refused);
            if (limit_ms) sections.back().paragraphs.push_back(limit_text(sweep));
        }
        if (common.json) {
            results.push_back(sweep_json(sweep, target));
            continue;
        }
        if (flags.csv) {
            std::fputs(sweep_csv(sweep, target.hardware_id, is_first).c_str(), stdout);
            is_first = false;
            continue;
        }
        std::printf("%s\n%s", sweep_title(sweep, target).c_str(), sweep_text(sweep).c_str());
        if (!refused.empty()) std::printf("%s\n", refused.c_str());
        if (flags.ascii) std::printf("\n%s", draw_text(sweep_plot(sweep, target)).c_str());
        if (limit_ms) std::printf("\n%s", limit_text(sweep).c_str());
        for (auto const& used : sweep.calibrations) {
            std::printf("%s", judgement_text(used).c_str());
        }
    }
    if (flags.output) write_plots(*flags.output, "Sweep of " + model.name(), sections);
    if (common.json) print_json("output_estimate_sweep_v1.json", with_others(std::move(results)));
    return exit_pass;
}

}  // namespace derate::cli
