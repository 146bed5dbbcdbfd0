#include "cli/estimate_sweep.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <utility>

#include "cli/curve_file_choice.hpp"
#include "cli/estimate_breakdown.hpp"
#include "cli/estimate_output.hpp"
#include "cli/estimate_pricing.hpp"
#include "cli/json_output.hpp"
#include "core/format_quantity.hpp"
#include "core/input_error.hpp"
#include "core/kernel_features.hpp"
#include "core/split_list.hpp"
#include "reports/gnuplot.hpp"
#include "reports/html_page.hpp"
#include "reports/report_text.hpp"
#include "storage/fields.hpp"
#include "storage/file.hpp"

namespace derate::cli {
namespace {

constexpr std::size_t most_rows = 100'000;

/// A dimension with the values that it takes, one after the other.
struct Swept {
    std::string name;
    std::vector<std::int64_t> values;
};

/// "1..64" is each from 1 to 64, "8..64..8" every eighth.
std::vector<std::int64_t> values_of(std::string const& text, std::string const& name) {
    auto const whole_number = [&](std::string_view digits) {
        std::int64_t number = 0;
        auto const* const end = digits.data() + digits.size();
        auto const [stop, fault] = std::from_chars(digits.data(), end, number);
        if (fault != std::errc{} || stop != end || number < 0) {
            throw InputError{"--dim " + name, "got '" + text + "'",
                             "whole numbers from 0: 8, 1..64, 8..64..8 or 64,128,256"};
        }
        return number;
    };
    std::vector<std::int64_t> values;
    for (auto const& item : split_list(text)) {
        std::string_view const all{item};
        auto const first = all.find("..");
        if (first == std::string::npos) {
            values.push_back(whole_number(all));
            continue;
        }
        auto const second = all.find("..", first + 2);
        auto const from = whole_number(all.substr(0, first));
        auto const to = whole_number(all.substr(first + 2, second - first - 2));
        auto const step = second == std::string::npos ? 1 : whole_number(all.substr(second + 2));
        if (step < 1 || to < from) {
            throw InputError{"--dim " + name, "got '" + item + "'", "a range that grows"};
        }
        auto const steps = (to - from) / step;
        if (steps >= static_cast<std::int64_t>(most_rows)) {
            throw InputError{"--dim " + name, std::to_string(steps) + " sizes or more",
                             "at most " + std::to_string(most_rows) + " in a table"};
        }
        for (std::int64_t i = 0; i <= steps; ++i) values.push_back(from + i * step);
    }
    return values;
}

/// The last '=' divides name and values: names such as x[0] hold none.
std::pair<std::string, std::string> name_and_values(std::string const& text) {
    auto const sign = text.rfind('=');
    if (sign == std::string::npos || sign == 0 || sign + 1 == text.size()) {
        throw InputError{"--dim", "got '" + text + "'",
                         "NAME=VALUE, NAME=FIRST..LAST or NAME=A,B,C"};
    }
    return {text.substr(0, sign), text.substr(sign + 1)};
}

bool names_several(std::string const& text) {
    auto const values = text.substr(std::min(text.rfind('='), text.size()));
    return values.find("..") != std::string::npos || values.find(',') != std::string::npos;
}

std::vector<Swept> swept_of(EstimateFlags const& flags) {
    std::vector<Swept> all;
    std::size_t rows = 1;
    for (auto const& text : flags.dimensions.named) {
        auto const [name, values] = name_and_values(text);
        auto const is_same = [&given = name](Swept const& one) { return one.name == given; };
        if (std::ranges::any_of(all, is_same)) {
            throw InputError{"--dim " + name, "is given twice", "all its values in one, as 1,2,4"};
        }
        all.push_back({.name = name, .values = values_of(values, name)});
        rows *= all.back().values.size();
        if (rows > most_rows) {
            throw InputError{"--dim", std::to_string(rows) + " sizes or more",
                             "at most " + std::to_string(most_rows) + " in a table"};
        }
    }
    return all;
}

/// How a latency with its interval lies to a limit.
enum class Verdict { certain, likely, unlikely, no };

constexpr std::array verdict_names{
    std::pair{Verdict::certain, "certain"}, std::pair{Verdict::likely, "likely"},
    std::pair{Verdict::unlikely, "unlikely"}, std::pair{Verdict::no, "no"}};

char const* name_of(Verdict verdict) {
    for (auto const& [known, name] : verdict_names) {
        if (known == verdict) return name;
    }
    return "";
}

struct SweepRow {
    std::vector<std::int64_t> sizes;  ///< in the order of the swept dimensions
    std::optional<int> batch;
    LatencyEstimate total;
    bool spread_known = true;
    std::string bound;  ///< what takes most of the time
    std::vector<std::string> notes;
    std::optional<Verdict> verdict;

    /// Empty where the model has no batch.
    [[nodiscard]] std::optional<double> per_item_ms() const {
        return batch ? std::optional{total.latency_ms / *batch} : std::nullopt;
    }
};

std::string bound_of(ChainEstimate const& estimate) {
    std::map<std::string_view, double> time;
    for (auto const& part : estimate.subgraphs) {
        time[part.bound ? to_string(*part.bound) : "unknown"] += part.latency_ms;
    }
    if (time.empty()) return "unknown";
    return std::string{
        std::ranges::max_element(time, {}, [](auto const& item) { return item.second; })->first};
}

std::multiset<std::string> regimes_of(ModelToPrice const& model) {
    std::multiset<std::string> regimes;
    for (auto const& subgraph : model.subgraphs) {
        regimes.insert(std::string{to_string(subgraph.type)} + ": " + regime_of(subgraph));
    }
    return regimes;
}

/// Batches from which LibTorch's CPU kernels are others (products of one row; blocks of 16 rows).
constexpr std::array cpu_batch_steps{2, 16};

/// What makes a row unlike the one before it.
std::vector<std::string> steps_between(ModelToPrice const& before, ModelToPrice const& now,
                                       DeviceKind device) {
    std::vector<std::string> notes;
    auto const old_regimes = regimes_of(before);
    auto const regimes = regimes_of(now);
    std::vector<std::string> added;
    std::ranges::set_difference(regimes, old_regimes, std::back_inserter(added));
    if (!added.empty()) {
        notes.push_back(
            "other kernels: " + added.front() +
            (added.size() > 1 ? " and " + std::to_string(added.size() - 1) + " more" : ""));
    }
    if (is_host(device) && before.batch && now.batch) {
        for (int const step : cpu_batch_steps) {
            if (*before.batch < step && *now.batch >= step) {
                notes.push_back("LibTorch runs other kernels from batch " + std::to_string(step));
            }
        }
    }
    return notes;
}

Verdict verdict_of(SweepRow const& row, double limit_ms) {
    if (row.spread_known && row.total.ci_95_upper_ms <= limit_ms) return Verdict::certain;
    if (row.total.latency_ms <= limit_ms) return Verdict::likely;
    if (!row.spread_known || row.total.ci_95_lower_ms <= limit_ms) return Verdict::unlikely;
    return Verdict::no;
}

/// "10ms", "0.02s", "10" (ms).
double limit_ms_of(std::string const& text) {
    double value = 0;
    auto const* const end = text.data() + text.size();
    auto const [stop, fault] = std::from_chars(text.data(), end, value);
    std::string_view const unit{stop, end};
    double const scale = unit.empty() || unit == "ms" ? 1
                         : unit == "s"                ? 1e3
                         : unit == "us"               ? 1e-3
                                                      : 0;
    if (fault != std::errc{} || !(value * scale > 0) || !std::isfinite(value * scale)) {
        throw InputError{"--target", "got '" + text + "'", "a time such as 10ms or 0.5s"};
    }
    return value * scale;
}

struct Sweep {
    std::vector<Swept> dimensions;
    std::string model;
    Precision precision = Precision::fp32;
    std::vector<SweepRow> rows;
    std::vector<Warning> warnings;              ///< of all rows, each kind once
    std::vector<UsedCalibration> calibrations;  ///< that priced the first row
    std::optional<double> limit_ms;
};

std::vector<std::int64_t> sizes_at(std::vector<Swept> const& dimensions, std::size_t row) {
    std::vector<std::int64_t> sizes(dimensions.size());
    for (std::size_t d = dimensions.size(); d-- > 0;) {  // the last one changes fastest
        auto const& values = dimensions[d].values;
        sizes[d] = values[row % values.size()];
        row /= values.size();
    }
    return sizes;
}

class SweptModel {
  public:
    explicit SweptModel(EstimateFlags const& flags)
        : flags_{flags}, dimensions_{swept_of(flags)}, source_{model_source(flags)} {
        auto fixed = flags.dimensions;
        fixed.named.clear();
        requested_ = requested_dimensions(fixed);
    }

    [[nodiscard]] std::vector<Swept> const& dimensions() const { return dimensions_; }
    [[nodiscard]] std::string const& name() const { return source_.name; }
    [[nodiscard]] std::size_t rows() const {
        std::size_t count = 1;
        for (auto const& dimension : dimensions_) count *= dimension.values.size();
        return count;
    }
    [[nodiscard]] ModelToPrice at(std::vector<std::int64_t> const& sizes) const {
        auto requested = requested_;
        for (std::size_t d = 0; d < sizes.size(); ++d) {
            requested.named.emplace_back(dimensions_[d].name, sizes[d]);
        }
        return model_to_price(source_, requested, flags_);
    }

  private:
    EstimateFlags const& flags_;
    std::vector<Swept> dimensions_;
    SymbolicModel source_;
    RequestedDimensions requested_;
};

Sweep swept(SweptModel const& model, Target const& target, ModelToPrice const& first,
            std::optional<double> limit_ms) {
    Sweep sweep{.dimensions = model.dimensions(),
                .model = model.name(),
                .precision = first.precision,
                .rows = {},
                .warnings = {},
                .calibrations = {},
                .limit_ms = limit_ms};
    std::map<WarningCode, std::size_t> warned;  // rows of each kind
    Pricing const pricing{target, first.precision};
    auto const device = target.calibrations.front().condition.execution.device;
    std::optional<ModelToPrice> before;
    for (std::size_t i = 0; i < model.rows(); ++i) {
        auto const sizes = sizes_at(model.dimensions(), i);
        auto now = model.at(sizes);
        auto const estimate = pricing.price(now);
        SweepRow row{.sizes = sizes,
                     .batch = now.batch,
                     .total = estimate.total,
                     .spread_known = estimate.spread_known,
                     .bound = bound_of(estimate),
                     .notes = {},
                     .verdict = {}};
        if (before) row.notes = steps_between(*before, now, device);
        if (i == 0) sweep.calibrations = used_calibrations(target, estimate);
        if (!estimate.spread_known) row.notes.emplace_back("at a guess");
        if (estimate.unseen_share > 0.5) {
            row.notes.emplace_back("most of it of kernels that no calibration case shows");
        }
        for (auto const& warning : estimate.warnings) {
            if (++warned[warning.code] == 1) sweep.warnings.push_back(warning);
        }
        if (estimate.total.extrapolated_subgraphs > 0) {
            row.notes.push_back(std::to_string(estimate.total.extrapolated_subgraphs) + " of " +
                                std::to_string(now.subgraphs.size()) +
                                " subgraphs beyond the calibrated range");
        }
        if (limit_ms) row.verdict = verdict_of(row, *limit_ms);
        sweep.rows.push_back(std::move(row));
        before = std::move(now);
    }
    for (auto& warning : sweep.warnings) {
        auto const rows = warned[warning.code];
        if (rows > 1) warning.text += " (And so at " + std::to_string(rows - 1) + " other sizes.)";
    }
    return sweep;
}

std::string sizes_text(Sweep const& sweep, SweepRow const& row) {
    std::string text;
    for (std::size_t d = 0; d < row.sizes.size(); ++d) {
        text += (d > 0 ? ", " : "") + sweep.dimensions[d].name + "=" + std::to_string(row.sizes[d]);
    }
    return text;
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

/// Two sentences on which sizes stay below the limit.
std::string limit_text(Sweep const& sweep) {
    auto const limit = format_significant(*sweep.limit_ms, 4) + " ms";
    std::string text;
    if (auto const* const certain = largest(sweep, Verdict::certain)) {
        text = "Largest below " + limit +
               " with its whole 95 % interval: " + sizes_text(sweep, *certain) + " (" +
               format_ms(certain->total.latency_ms) + ", at most " +
               format_ms(certain->total.ci_95_upper_ms) + ").\n";
    } else {
        text = "None is below " + limit + " with its whole 95 % interval.\n";
    }
    if (auto const* const likely = largest(sweep, Verdict::likely)) {
        text += "Largest that more likely than not is: " + sizes_text(sweep, *likely) + " (" +
                format_ms(likely->total.latency_ms) + ").\n";
    } else {
        text += "None is expected to be.\n";
    }
    return text;
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
        cells.push_back(row.spread_known ? format_ms(row.total.ci_95_lower_ms) + " to " +
                                               format_ms(row.total.ci_95_upper_ms)
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

/// The table in letters; what is to be said of a row stands behind it.
std::string text_of(Sweep const& sweep) {
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

std::string title_of(Sweep const& sweep, Target const& target) {
    return sweep.model + ", " + std::string{to_string(sweep.precision)} + ", on " +
           target.hardware_id;
}

/// Latency with its band over the dimension of most values; a line for each combination of the
/// others.
Plot plot_of(Sweep const& sweep, Target const& target) {
    auto const longest = static_cast<std::size_t>(
        std::ranges::max_element(sweep.dimensions, {},
                                 [](auto const& dimension) { return dimension.values.size(); }) -
        sweep.dimensions.begin());
    Plot plot{.id = "sweep",
              .title = "Latency of " + title_of(sweep, target),
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
        line.hover.push_back(sizes_text(sweep, row));
        if (!row.spread_known) continue;
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

nlohmann::json json_of(Sweep const& sweep, Target const& target) {
    nlohmann::json rows = nlohmann::json::array();
    for (auto const& row : sweep.rows) {
        nlohmann::json dimensions = nlohmann::json::object();
        for (std::size_t d = 0; d < row.sizes.size(); ++d) {
            dimensions[sweep.dimensions[d].name] = row.sizes[d];
        }
        auto const item_ms = row.per_item_ms();
        auto const known = [&](double limit) {
            return row.spread_known ? nlohmann::json(limit) : nlohmann::json();
        };
        rows.push_back(
            {{"dimensions", std::move(dimensions)},
             {"batch", json_or_null(row.batch)},
             {"latency_ms", row.total.latency_ms},
             {"ci_95_lower_ms", known(row.total.ci_95_lower_ms)},
             {"ci_95_upper_ms", known(row.total.ci_95_upper_ms)},
             {"latency_per_item_ms", json_or_null(item_ms)},
             {"items_per_second", item_ms ? nlohmann::json(1e3 / *item_ms) : nlohmann::json()},
             {"bound", row.bound},
             {"notes", row.notes},
             {"within_target",
              row.verdict ? nlohmann::json(name_of(*row.verdict)) : nlohmann::json()}});
    }
    auto const sizes = [&](Verdict verdict) {
        auto const* const row = sweep.limit_ms ? largest(sweep, verdict) : nullptr;
        if (row == nullptr) return nlohmann::json();
        nlohmann::json dimensions = nlohmann::json::object();
        for (std::size_t d = 0; d < row->sizes.size(); ++d) {
            dimensions[sweep.dimensions[d].name] = row->sizes[d];
        }
        return dimensions;
    };
    nlohmann::json json{{"model", sweep.model},
                        {"hardware_id", target.hardware_id},
                        {"target_ms", json_or_null(sweep.limit_ms)},
                        {"largest_certain", sizes(Verdict::certain)},
                        {"largest_likely", sizes(Verdict::likely)},
                        {"rows", std::move(rows)}};
    set_condition(json, &target.calibrations.front(), nullptr);
    json["precision"] = to_string(sweep.precision);
    json["trust_grade"] = nullptr;
    json["verdict"] = nullptr;
    json["provisional"] = false;
    for (auto const& used : sweep.calibrations) {
        if (json["trust_grade"].is_null()) json["trust_grade"] = json_or_null(used.trust_grade);
        if (json["verdict"].is_null()) json["verdict"] = json_or_null(used.verdict);
        if (used.provisional) json["provisional"] = true;
    }
    set_warnings(json, sweep.warnings);
    return json;
}

/// \param has_head  the first line names the columns
std::string csv_of(Sweep const& sweep, std::string const& hardware_id, bool has_head) {
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
        auto const known = [&](double limit) {
            return row.spread_known ? std::optional{limit} : std::nullopt;
        };
        text += number(row.total.latency_ms) + "," + number(known(row.total.ci_95_lower_ms)) + "," +
                number(known(row.total.ci_95_upper_ms)) + "," + number(item_ms) + "," +
                number(item_ms ? std::optional{1e3 / *item_ms} : std::nullopt) + "," + row.bound +
                "," + (row.verdict ? name_of(*row.verdict) : "") + ",\"" + joined_notes(row) +
                "\"\n";
    }
    return text;
}

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
    if (!flags.output) return;
    auto const extension = flags.output->extension();
    if (extension != ".html" && extension != ".svg") {
        throw InputError{"--output", "got '" + flags.output->string() + "'",
                         "a page FILE.html or a picture FILE.svg"};
    }
    if (extension == ".svg" && flags.hardware.size() > 1) {
        throw InputError{"--output", "a picture shows one piece of hardware",
                         "one --hardware, or a page FILE.html"};
    }
    auto const missing = extension == ".html" ? vega_scripts_missing() : std::string{};
    if (!missing.empty()) throw EnvironmentRefused{"--output", missing, "a build that has them"};
}

}  // namespace

bool is_sweep(EstimateFlags const& flags) {
    return std::ranges::any_of(flags.dimensions.named, names_several);
}

ExitCode estimate_sweep(EstimateFlags const& flags, CommonFlags const& common) {
    refuse_what_does_not_fit(flags, common);
    auto const limit_ms = flags.target ? std::optional{limit_ms_of(*flags.target)} : std::nullopt;
    SweptModel const model{flags};
    auto const first = model.at(sizes_at(model.dimensions(), 0));
    bool is_first = true;
    std::vector<nlohmann::json> results;
    std::vector<PageSection> sections;
    for (auto const& target : targets_of(flags, first, common)) {
        warn_of(target.passed_over, common);
        auto const sweep = swept(model, target, first, limit_ms);
        if (!common.quiet) {
            for (auto const& warning : sweep.warnings) {
                std::fprintf(stderr, "derate: warning: %s\n", warning.text.c_str());
            }
        }
        if (flags.output) {
            sections.push_back({.title = title_of(sweep, target),
                                .paragraphs = {},
                                .plots = {plot_of(sweep, target)}});
            sections.back().plots.back().id += std::to_string(sections.size());
            if (limit_ms) sections.back().paragraphs.push_back(limit_text(sweep));
        }
        if (common.json) {
            results.push_back(json_of(sweep, target));
            continue;
        }
        if (flags.csv) {
            std::fputs(csv_of(sweep, target.hardware_id, is_first).c_str(), stdout);
            is_first = false;
            continue;
        }
        std::printf("%s\n%s", title_of(sweep, target).c_str(), text_of(sweep).c_str());
        if (flags.ascii) std::printf("\n%s", draw_text(plot_of(sweep, target)).c_str());
        if (limit_ms) std::printf("\n%s", limit_text(sweep).c_str());
        for (auto const& used : sweep.calibrations) {
            std::printf("%s", judgement_text(used).c_str());
        }
    }
    if (flags.output) {
        bool const is_picture = flags.output->extension() == ".svg";
        write_atomically(*flags.output, is_picture
                                            ? draw_svg(sections.front().plots.front())
                                            : html_page("Sweep of " + model.name(), sections));
    }
    if (common.json) print_json("output_estimate_sweep_v1.json", with_others(std::move(results)));
    return exit_pass;
}

}  // namespace derate::cli
