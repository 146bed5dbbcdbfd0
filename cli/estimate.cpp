#include <CLI/App.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "cli/commands.hpp"
#include "cli/curve_file_choice.hpp"
#include "cli/json_output.hpp"
#include "cli/text_table.hpp"
#include "core/format_quantity.hpp"
#include "core/input_error.hpp"
#include "core/shell_word.hpp"
#include "core/subgraph_shapes.hpp"
#include "core/value_rule.hpp"
#include "estimator/fallback_chain.hpp"
#include "storage/calibration_files.hpp"
#include "storage/fields.hpp"
#include "storage/file.hpp"
#include "storage/hardware_json.hpp"
#include "storage/registry.hpp"
#include "workloads/count_again.hpp"
#include "workloads/descriptor.hpp"
#include "workloads/model_set.hpp"
#include "workloads/partition.hpp"
#include "workloads/program_warnings.hpp"
#include "workloads/unknown_work.hpp"

namespace derate::cli {
namespace {

namespace fs = std::filesystem;

struct EstimateFlags {
    std::string model;
    std::vector<std::string> hardware;
    std::optional<fs::path> calibration;
    std::optional<int> batch;
    std::optional<std::string> precision;
    std::optional<int> threads;
    std::optional<std::string> source;
    std::optional<std::string> allocator;
    std::optional<int> explain;
};

/// What is to be priced, from an export or from a measurement file (whose times are not used).
struct ModelToPrice {
    std::string name;
    std::optional<int> batch;
    Precision precision = Precision::fp32;
    std::string partition;
    std::vector<Subgraph> subgraphs;
    std::vector<Warning> warnings;
    UnknownWork unknown;  ///< nothing in a measurement file: its kernels were timed
    std::optional<Allocator> allocator{};  ///< that a measurement was taken under
};

/// What it is priced with.
struct Target {
    std::string hardware_id;
    std::optional<Hardware> hardware;
    std::vector<Calibration> calibrations;  ///< best first
    std::vector<fs::path> files;            ///< of each of them
    PassedOver passed_over;                 ///< files beside them that could not be read
    /// Flags by which `derate validate` chooses the first of them too; empty: only its path does.
    std::string chosen_by;
};

std::optional<Precision> requested_precision(EstimateFlags const& flags) {
    if (!flags.precision) return std::nullopt;
    return precision_of_flag(*flags.precision);
}

ModelToPrice measured_model(fs::path const& file, EstimateFlags const& flags) {
    auto const measurement = read_measurement(file);
    auto const precision = requested_precision(flags).value_or(measurement.condition.precision);
    if (flags.batch && *flags.batch != measurement.batch) {
        throw InputError{"--batch",
                         measurement.batch ? "the file holds batch " + batch_text(measurement.batch)
                                           : "the file holds a model whose inputs share no batch",
                         "the batch that the file was made with"};
    }
    ModelToPrice model{.name = measurement.model,
                       .batch = measurement.batch,
                       .precision = precision,
                       .partition = measurement.condition.partition,
                       .allocator = measurement.condition.execution.allocator};
    for (auto const& measured : measurement.subgraphs) model.subgraphs.push_back(measured.subgraph);
    return model;
}

ModelToPrice model_to_price(EstimateFlags const& flags) {
    if (flags.model.ends_with(".json")) return measured_model(flags.model, flags);
    auto const loaded = load_model(flags.model, flags.batch, requested_precision(flags));
    ModelToPrice model{.name = loaded.name,
                       .batch = loaded.batch,
                       .precision = loaded.precision,
                       .partition = std::string{partition_rule},
                       .warnings = warnings_of(loaded.program),
                       .unknown = unknown_work(loaded.program)};
    for (auto& item : partition(loaded.program).subgraphs) {
        model.subgraphs.push_back(std::move(item.subgraph));
    }
    return model;
}

Target from_file(fs::path const& file, Precision precision) {
    Target target{.calibrations = {read_calibration(file)}, .files = {file}};
    auto const& calibration = target.calibrations.front();
    bool const is_rules = calibration.legacy_rules || calibration.default_rules;
    if (!is_rules && calibration.condition.precision != precision) {
        throw InputError{file.string().append("#/precision"),
                         std::string{"is "}.append(to_string(calibration.condition.precision)),
                         std::string{"the model's, "}.append(to_string(precision))};
    }
    target.hardware_id = calibration.hardware_id;
    HardwareEntry neighbours{.id = calibration.hardware_id,
                             .kind = calibration.condition.execution.device};
    auto const beside = file.parent_path() / "hardware.json";
    if (std::error_code error; fs::exists(beside, error)) neighbours.hardware_file = beside;
    target.hardware = read_hardware(neighbours, &target.passed_over);
    return target;
}

/// A thread count is never scaled from another, and what holds for none would pass for it unseen.
void refuse_other_threads(HardwareEntry const& entry, CalibrationRequest const& request,
                          PassedOver& passed_over) {
    auto const where = "--threads " + std::to_string(*request.threads);
    if (*request.threads < 1) {
        throw InputError{"--threads", "got " + std::to_string(*request.threads), "1 or more"};
    }
    std::set<int> calibrated;
    for (auto const& [path, calibration] : read_calibrations(entry, &passed_over)) {
        bool const has_curves = !calibration.legacy_rules && !calibration.default_rules;
        if (has_curves && calibration.condition.precision == request.precision &&
            (!request.only || calibration.source == *request.only)) {
            // An import that does not say counts for none.
            if (auto const threads = calibration.condition.execution.threads)
                calibrated.insert(*threads);
        }
    }
    if (calibrated.contains(*request.threads)) return;
    if (calibrated.empty()) {
        throw InputError{where, "nothing that prices this on " + entry.id + " says for how many "
                                "threads it holds",
                         "no --threads, or what derate calibrate --threads measures"};
    }
    std::string known;
    for (int const count : calibrated) {
        known += (known.empty() ? "" : ", ") + std::to_string(count);
    }
    throw InputError{where, entry.id + " is not calibrated for it",
                     "one of " + known + ", or what derate calibrate --threads measures"};
}

Target from_registry(std::string const& id, EstimateFlags const& flags, Precision precision,
                     CommonFlags const& common) {
    CalibrationRequest request{.precision = precision, .threads = flags.threads, .only = {}};
    if (flags.source) {
        request.only = parse_requested_source(*flags.source);
        if (!request.only) {
            throw InputError{"--source", "got '" + *flags.source + "'",
                             "measured, imported, legacy or default"};
        }
    }
    auto const entry = find_hardware(id, registry_roots(common.registries));
    Target target{.hardware_id = entry.id};
    target.hardware = read_hardware(entry, &target.passed_over);
    if (flags.threads) refuse_other_threads(entry, request, target.passed_over);
    for (auto& registered : calibrations_for(entry, request, &target.passed_over)) {
        target.calibrations.push_back(std::move(registered.calibration));
        target.files.push_back(std::move(registered.path));
    }
    if (!flags.source) {
        target.chosen_by = "--hardware " + entry.id;
        if (precision != Precision::fp32) {
            target.chosen_by += " --precision " + std::string{to_string(precision)};
        }
        if (flags.threads) target.chosen_by += " --threads " + std::to_string(*flags.threads);
        for (auto const& registry : common.registries) {
            target.chosen_by += " --registry " + shell_word(registry.string());
        }
    }
    return target;
}

/// What its maker found of a calibration that priced something here.
struct UsedCalibration {
    fs::path file;
    CurveSource source = CurveSource::measured;
    std::optional<std::string> trust_grade;
    std::optional<std::string> verdict;
    bool provisional = false;
    std::string validate_command;  ///< that says why
};

/// Best first.
std::vector<UsedCalibration> used_calibrations(Target const& target,
                                               ChainEstimate const& estimate) {
    std::vector<UsedCalibration> used;
    for (std::size_t i = 0; i < target.calibrations.size(); ++i) {
        auto const& calibration = target.calibrations[i];
        if (std::ranges::find(estimate.shares, calibration.source, &SourceShare::source) ==
            estimate.shares.end()) {
            continue;
        }
        auto const* claim = headline_claim(calibration);
        used.push_back({.file = target.files[i],
                        .source = calibration.source,
                        .trust_grade = calibration.provenance.trust_grade,
                        .verdict = claim ? std::optional{claim->verdict} : std::nullopt,
                        .provisional = calibration.provisional,
                        .validate_command = "derate validate " +
                                            (i == 0 && !target.chosen_by.empty()
                                                 ? target.chosen_by
                                                 : "--calibration " +
                                                       shell_word(target.files[i].string()))});
    }
    return used;
}

/// Rules have neither curves nor evidence that a gate could look at.
bool is_judged(UsedCalibration const& used) {
    return used.trust_grade || used.verdict || used.provisional;
}

/// What its maker found, in words, and the command that shows each rule; empty where nobody judged.
std::string judgement_text(UsedCalibration const& used) {
    if (!is_judged(used)) return {};
    std::string text = used.file.filename().string() + ": trust grade " +
                       used.trust_grade.value_or("unknown") + ", gate " +
                       used.verdict.value_or("unknown") +
                       (used.provisional ? ", provisional" : "") + "\n  ";
    if (used.trust_grade) text += "grade: A (quiet machine) to D; ";
    if (used.verdict == "INCONCLUSIVE") {
        text += "INCONCLUSIVE: too little evidence for some rules; ";
    } else if (used.verdict == "FAIL") {
        text += "FAIL: a rule is broken; ";
    }
    return text + "why: " + used.validate_command + "\n";
}

std::string_view source_name(CurveSource source) { return to_string(source); }

std::string bound_name(std::optional<Bound> bound) {
    return std::string{bound ? to_string(*bound) : "unknown"};
}

/// null where nothing is known of the spread.
nlohmann::json known(bool spread_known, double value) {
    return spread_known ? nlohmann::json(value) : nlohmann::json(nullptr);
}

nlohmann::json to_json(SubgraphEstimate const& estimate, Subgraph const& subgraph) {
    bool const spread_known = estimate.source != CurveSource::legacy_hardcoded;
    double const spread = estimate.spread.value_or(most_spread);
    bool const has_interval = estimate.spread && spread <= most_spread;
    auto const shapes = shapes_of(subgraph);
    return {
        {"subgraph_id", estimate.subgraph_id},
        {"case", subgraph.descriptor.empty()
                     ? nlohmann::json()
                     : nlohmann::json(case_name(subgraph.type, subgraph.descriptor))},
        {"input_shape", shapes ? nlohmann::json(shapes->input) : nlohmann::json()},
        {"output_shape", shapes ? nlohmann::json(shapes->output) : nlohmann::json()},
        {"operation_type", to_string(subgraph.type)},
        {"fusion_pattern", subgraph.fusion_pattern},
        {"flops", subgraph.work.value()},
        {"bytes", subgraph.traffic.total().value()},
        {"latency_ms", estimate.latency_ms},
        {"latency_std_ms", known(spread_known, estimate.latency_std_ms)},
        {"ci_95_lower_ms", known(has_interval, estimate.latency_ms / spread)},
        {"ci_95_upper_ms", known(has_interval, estimate.latency_ms * spread)},
        {"variance_share", json_or_null(estimate.variance_share)},
        {"efficiency_used", json_or_null(estimate.efficiency_used)},
        {"efficiency_std", json_or_null(estimate.efficiency_std)},
        {"source", source_name(estimate.source)},
        {"curve", estimate.curve},
        {"bound", estimate.bound ? nlohmann::json(to_string(*estimate.bound)) : nlohmann::json()},
        {"extrapolated", estimate.extrapolated},
        {"unseen_regime", json_or_null(estimate.unseen_regime)}};
}

std::string percent(double fraction) {
    constexpr double least = 1e-4;
    if (fraction > 0 && fraction < least) return "< 0.01 %";
    return format_significant(100 * fraction, 3) + " %";
}

/// Farther than this either way, an estimate says where its width comes from.
constexpr double wide_spread = 2;

/// Subgraphs of one pattern with their part of the interval's width; without any, what all share.
struct WidthSource {
    std::string fusion_pattern;
    std::vector<int> subgraph_ids;
    double variance_share = 0;
};

/// Where more than half of a wide interval's variance comes from, largest first; empty where the
/// interval is narrow, or no kernel's own variance is known.
std::vector<WidthSource> width_sources(ModelToPrice const& model, ChainEstimate const& estimate) {
    auto const& total = estimate.total;
    bool const narrow =
        estimate.spread_known && total.ci_95_upper_ms <= wide_spread * total.latency_ms;
    if (narrow || estimate.subgraphs.empty()) return {};
    std::map<std::string, WidthSource> by_pattern;
    for (std::size_t i = 0; i < model.subgraphs.size(); ++i) {
        auto const& part = estimate.subgraphs[i];
        if (!part.variance_share) return {};
        auto& source = by_pattern[model.subgraphs[i].fusion_pattern];
        source.fusion_pattern = model.subgraphs[i].fusion_pattern;
        source.subgraph_ids.push_back(part.subgraph_id);
        source.variance_share += *part.variance_share;
    }
    WidthSource common{.variance_share = 1};
    for (auto const& [pattern, source] : by_pattern) common.variance_share -= source.variance_share;
    std::vector<WidthSource> sources{std::move(common)};
    for (auto& [pattern, source] : by_pattern) sources.push_back(std::move(source));
    std::ranges::stable_sort(sources, std::ranges::greater{}, &WidthSource::variance_share);
    constexpr std::size_t most = 3;
    double share = 0;
    for (std::size_t i = 0; i < sources.size(); ++i) {
        share += sources[i].variance_share;
        if (share > 0.5 || i + 1 == most) sources.resize(i + 1);
    }
    return sources;
}

/// "Tanh (1, 7, 14) 95.1 %, Conv2d (0) 3.20 %".
std::string text_of(std::vector<WidthSource> const& sources) {
    constexpr std::size_t most = 8;
    std::string text;
    for (auto const& source : sources) {
        if (!text.empty()) text += ", ";
        if (source.subgraph_ids.empty()) {
            text += "what all kernels share " + percent(source.variance_share);
            continue;
        }
        text += source.fusion_pattern + " (";
        for (std::size_t i = 0; i < source.subgraph_ids.size() && i < most; ++i) {
            text += (i == 0 ? "" : ", ") + std::to_string(source.subgraph_ids[i]);
        }
        if (source.subgraph_ids.size() > most) text += ", ...";
        text += ") " + percent(source.variance_share);
    }
    return text;
}

/// The interval about a kernel's time: "+-8.1 %", "x 3.4" where wide, "> x 10", "-" unknown.
std::string spread_text(std::optional<double> spread) {
    if (!spread) return "-";
    if (!(*spread <= most_spread)) return "> x " + format_significant(most_spread, 2);
    if (*spread > 1.5) return "x " + format_significant(*spread, 2);
    return "+-" + format_significant(100 * (*spread - 1), 2) + " %";
}

/// One sentence of what the table does not know of the model; empty where it knows all.
std::string unknown_warning(UnknownWork const& unknown) {
    if (unknown.calls == 0) return {};
    std::string names;
    for (auto const& name : unknown.operators) names += (names.empty() ? "" : ", ") + name;
    return "unknown_operators: " + names + ": work unknown, priced by bytes and one FLOP per "
           "element returned; " + percent(unknown.share_of_calls) + " of the calls, " +
           percent(unknown.share_of_bytes) + " of the bytes, up to " +
           percent(unknown.possible_share_of_work) + " of the work" +
           (unknown.may_be_a_good_part() ? ", so that nothing bounds the latency from above" : "");
}

nlohmann::json to_json(UnknownWork const& unknown) {
    return {{"operators", unknown.operators},
            {"calls", unknown.calls},
            {"share_of_calls", unknown.share_of_calls},
            {"share_of_bytes", unknown.share_of_bytes},
            {"possible_share_of_work", unknown.possible_share_of_work}};
}

struct TypeTotal {
    int subgraphs = 0;
    Flops work{};
    Bytes traffic{};
    double latency_ms = 0;
};

/// Slowest first.
std::vector<std::pair<std::string_view, TypeTotal>> totals_of_types(ModelToPrice const& model,
                                                                    ChainEstimate const& estimate) {
    std::map<std::string_view, TypeTotal> totals;
    for (std::size_t i = 0; i < model.subgraphs.size(); ++i) {
        auto const& subgraph = model.subgraphs[i];
        auto& total = totals[to_string(subgraph.type)];
        ++total.subgraphs;
        total.work = Flops{total.work.value() + subgraph.work.value()};
        total.traffic = Bytes{total.traffic.value() + subgraph.traffic.total().value()};
        total.latency_ms += estimate.subgraphs[i].latency_ms;
    }
    std::vector<std::pair<std::string_view, TypeTotal>> sorted(totals.begin(), totals.end());
    std::ranges::stable_sort(sorted, std::ranges::greater{},
                             [](auto const& entry) { return entry.second.latency_ms; });
    return sorted;
}

nlohmann::json to_json(ModelToPrice const& model, Target const& target,
                       ChainEstimate const& estimate) {
    auto const& total = estimate.total;
    bool const spread = estimate.spread_known;
    bool const bounded = spread && !model.unknown.may_be_a_good_part();
    nlohmann::json json{
        {"model", model.name},
        {"batch", json_or_null(model.batch)},
        {"hardware_id", target.hardware_id},
        {"latency_ms", total.latency_ms},
        {"latency_std_ms", known(spread, total.latency_std_ms)},
        {"ci_95_lower_ms", known(spread, total.ci_95_lower_ms)},
        {"ci_95_upper_ms", known(bounded, total.ci_95_upper_ms)},
        {"interval_kind", "prediction"},
        {"ci_95_independent_lower_ms", known(spread, total.ci_95_independent_lower_ms)},
        {"ci_95_independent_upper_ms", known(bounded, total.ci_95_independent_upper_ms)},
        {"efficiency_used", json_or_null(total.efficiency_used)},
        {"efficiency_std", json_or_null(total.efficiency_std)},
        {"source", nullptr},
        {"trust_grade", nullptr},
        {"verdict", nullptr},
        {"provisional", false},
        {"calibrations", nlohmann::json::array()},
        {"extrapolated", total.extrapolated()},
        {"foreign_partition", total.foreign_partition},
        {"sources", nlohmann::json::array()},
        {"unknown_operators", to_json(model.unknown)},
        {"width_from", nlohmann::json::array()},
        {"operation_types", nlohmann::json::array()},
        {"subgraphs", nlohmann::json::array()}};
    set_condition(json, &target.calibrations.front(), nullptr);
    json["precision"] = to_string(model.precision);  // rules hold at several
    if (auto const source = estimate.source()) json["source"] = source_name(*source);
    auto const used = used_calibrations(target, estimate);
    if (!used.empty()) {  // of the one that prices most types; a provisional part makes the whole so
        json["trust_grade"] = json_or_null(used.front().trust_grade);
        json["verdict"] = json_or_null(used.front().verdict);
    }
    for (auto const& one : used) {
        if (one.provisional) json["provisional"] = true;
        json["calibrations"].push_back({{"file", one.file.string()},
                                        {"sha256", sha256_of_file(one.file)},
                                        {"source", source_name(one.source)},
                                        {"trust_grade", json_or_null(one.trust_grade)},
                                        {"verdict", json_or_null(one.verdict)},
                                        {"provisional", one.provisional},
                                        {"validate_command", is_judged(one) ? nlohmann::json(one.validate_command)
                                                                            : nlohmann::json()}});
    }
    auto warnings = estimate.warnings;
    for (auto const& fault : target.passed_over) {
        warnings.push_back({WarningCode::passed_over, std::string{"passed over: "} + fault.what()});
    }
    set_warnings(json, warnings);
    for (auto const& [type, of_type] : totals_of_types(model, estimate)) {
        json["operation_types"].push_back({{"operation_type", type},
                                           {"subgraphs", of_type.subgraphs},
                                           {"flops", of_type.work.value()},
                                           {"bytes", of_type.traffic.value()},
                                           {"latency_ms", of_type.latency_ms}});
    }
    for (auto const& share : estimate.shares) {
        json["sources"].push_back({{"source", source_name(share.source)},
                                   {"subgraphs", share.subgraphs},
                                   {"latency_ms", share.latency_ms}});
    }
    for (auto const& source : width_sources(model, estimate)) {
        bool const is_common = source.subgraph_ids.empty();
        json["width_from"].push_back({{"fusion_pattern", is_common ? nlohmann::json()
                                                                   : nlohmann::json(source.fusion_pattern)},
                                      {"subgraph_ids", source.subgraph_ids},
                                      {"variance_share", source.variance_share}});
    }
    for (std::size_t i = 0; i < model.subgraphs.size(); ++i) {
        json["subgraphs"].push_back(to_json(estimate.subgraphs[i], model.subgraphs[i]));
    }
    return json;
}


std::string model_text(ModelToPrice const& model) {
    std::string text{model.name};
    if (model.batch) text += ", batch " + std::to_string(*model.batch);
    return text.append(", ").append(to_string(model.precision));
}

std::string place_text(Target const& target) {
    auto text = target.hardware_id;
    if (target.calibrations.empty()) return text;
    auto const threads = target.calibrations.front().condition.execution.threads;
    return threads ? text + ", " + threads_text(threads) : text;
}

void print_types(ModelToPrice const& model, ChainEstimate const& estimate) {
    std::vector<TableRow> rows{{"type", "subgraphs", "latency", "share"}};
    for (auto const& [type, total] : totals_of_types(model, estimate)) {
        rows.push_back({std::string{type}, std::to_string(total.subgraphs),
                        format_ms(total.latency_ms),
                        percent(total.latency_ms / estimate.total.latency_ms)});
    }
    std::printf("\n%s", text_table(rows, 1).c_str());
}

void print_slowest(ModelToPrice const& model, ChainEstimate const& estimate) {
    std::vector<std::size_t> order(model.subgraphs.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::ranges::stable_sort(order, std::ranges::greater{},
                             [&](std::size_t i) { return estimate.subgraphs[i].latency_ms; });
    std::vector<TableRow> rows{{"id", "pattern", "type", "bound", "source", "work", "memory",
                                "latency", "95 %", "share"}};
    for (auto const i : order) {
        auto const& subgraph = model.subgraphs[i];
        auto const& part = estimate.subgraphs[i];
        std::string source{source_name(part.source)};
        if (part.unseen_regime) source += ", unseen: " + *part.unseen_regime;
        if (part.extrapolated) source += ", extrapolated";
        rows.push_back({std::to_string(part.subgraph_id), subgraph.fusion_pattern,
                        std::string{to_string(subgraph.type)}, bound_name(part.bound), source,
                        format_flops(subgraph.work), format_bytes(subgraph.traffic.total()),
                        format_ms(part.latency_ms), spread_text(part.spread),
                        percent(part.latency_ms / estimate.total.latency_ms)});
    }
    std::printf("\n%s", slowest_table(std::move(rows), 5).c_str());
}

/// What a run needs to take the time that was predicted, where malloc serves its tensors.
std::string allocator_note(Target const& target) {
    auto const& calibration = target.calibrations.front();
    if (calibration.condition.execution.device != DeviceKind::cpu ||
        !calibration.condition.execution.allocator)
        return {};
    if (calibration.condition.execution.allocator == Allocator::untouched) {
        return "With glibc's default malloc; a run without its page faults is --allocator "
               "pinned.\n";
    }
    std::string const without =
        "without both it may take more than twice as long" +
        std::string{under_allocator(calibration, Allocator::untouched)
                        ? " (--allocator default says how long).\n"
                        : ", which these curves cannot tell: `derate calibrate` on that machine "
                          "makes some that can.\n"};
    return "Plain PyTorch runs like this with MALLOC_MMAP_THRESHOLD_=1073741824 and "
           "MALLOC_TRIM_THRESHOLD_=2147483647 set; " +
           without;
}

/// The interval is too wide to print. Of legacy rules, nobody knows how wide it is.
bool is_guess(ChainEstimate const& estimate) {
    return !estimate.spread_known && estimate.source() != CurveSource::legacy_hardcoded;
}

void print_text(ModelToPrice const& model, Target const& target, ChainEstimate const& estimate) {
    auto const& total = estimate.total;
    if (model.subgraphs.empty()) {
        std::printf("%s on %s: 0 ms: it calls no operator\n", model_text(model).c_str(),
                    place_text(target).c_str());
        return;
    }
    bool const open_above = model.unknown.may_be_a_good_part();
    std::string const unseen =
        estimate.unseen_share > 0.5 ? ", most of it of kernels that no calibration case shows" : "";
    std::printf("%s on %s: %s%s%s%s\n", model_text(model).c_str(), place_text(target).c_str(),
                is_guess(estimate) ? "not known, at a guess " : "",
                format_ms(total.latency_ms).c_str(), open_above ? " or more" : "", unseen.c_str());
    if (auto const warning = unknown_warning(model.unknown); !warning.empty()) {
        std::printf("%s\n", warning.c_str());
    }
    if (estimate.spread_known && open_above) {
        std::printf("95 %% prediction interval %s to not known\n",
                    format_ms(total.ci_95_lower_ms).c_str());
    } else if (estimate.spread_known) {
        std::printf(
            "95 %% prediction interval %s to %s (as if errors were independent: %s to %s)\n",
            format_ms(total.ci_95_lower_ms).c_str(), format_ms(total.ci_95_upper_ms).c_str(),
            format_ms(total.ci_95_independent_lower_ms).c_str(),
            format_ms(total.ci_95_independent_upper_ms).c_str());
    } else {
        std::printf("interval unknown: %s\n", estimate.why_spread_unknown.c_str());
    }
    if (auto const sources = width_sources(model, estimate); !sources.empty()) {
        std::printf("most of the width: %s of its variance\n", text_of(sources).c_str());
    }
    for (auto const& share : estimate.shares) {
        std::printf("from %s curves: %d subgraphs, %s%s\n",
                    std::string{source_name(share.source)}.c_str(), share.subgraphs,
                    format_ms(share.latency_ms).c_str(),
                    estimate.unseen_share > 0.5 ? ", most of it by curves of other kernels" : "");
    }
    for (auto const& one : used_calibrations(target, estimate)) {
        std::fputs(judgement_text(one).c_str(), stdout);
    }
    if (total.foreign_partition) {
        std::printf("the curves were made on another partition of models: the interval is wider\n");
    }
    if (total.extrapolated()) {
        bool const one = total.extrapolated_subgraphs == 1;
        std::printf("%d subgraph%s outside the range %s curve was made on\n",
                    total.extrapolated_subgraphs, one ? " lies" : "s lie", one ? "its" : "their");
    }
    print_types(model, estimate);
    print_slowest(model, estimate);
    std::printf(
        "\nTime of the ATen operators through LibTorch's dispatcher: not of Python, not of "
        "torch.compile.\n%s",
        allocator_note(target).c_str());
}

/// The curve behind a subgraph and the data points nearest to its work.
void print_points(EfficiencyCurve const& curve, Subgraph const& subgraph) {
    bool const by_flops = curve.axis == WorkAxis::flops;
    double const work = by_flops ? subgraph.work.value() : subgraph.traffic.total().value();
    std::vector<TableRow> rows{
        {"", by_flops ? "work" : "memory", "efficiency", "repetitions", "kernels seen there"}};
    DataPoint const* nearest = nullptr;
    auto const distance = [&](DataPoint const& point) {
        return std::abs(std::log(point.work / std::max(work, 1.0)));
    };
    for (auto const& point : curve.data_points) {
        if (nearest == nullptr || distance(point) < distance(*nearest)) nearest = &point;
    }
    for (auto const& point : curve.data_points) {
        std::string seen;
        for (std::size_t i = 0; i < point.source_subgraphs.size() && i < 3; ++i) {
            seen += (i > 0 ? ", " : "") + point.source_subgraphs[i];
        }
        if (point.source_subgraphs.size() > 3) {
            seen += " and " + std::to_string(point.source_subgraphs.size() - 3) + " more";
        }
        rows.push_back(
            {&point == nearest ? ">" : "",
             by_flops ? format_flops(Flops{point.work}) : format_bytes(Bytes{point.work}),
             format_significant(point.efficiency_mean, 3), std::to_string(point.num_observations),
             seen});
    }
    std::printf("\nwhat the curve rests on (> nearest):\n%s", text_table(rows, 5).c_str());
}

/// How one subgraph was priced, for text and JSON alike.
struct Explanation {
    Subgraph const* subgraph = nullptr;
    SubgraphEstimate const* estimate = nullptr;
    double share_of_model = 0;
    std::optional<double> inside_model_factor;  ///< context, smearing; empty for legacy rules
    std::vector<EfficiencyCurve const*> curves;  ///< of its type, with points
    std::vector<EvidenceFile> evidence;          ///< they rest on
};

/// \throws InputError  the model has no subgraph `id`
Explanation explanation_of(ModelToPrice const& model, Target const& target,
                           ChainEstimate const& estimate, int id) {
    auto const found = std::ranges::find(estimate.subgraphs, id, &SubgraphEstimate::subgraph_id);
    if (found == estimate.subgraphs.end()) {
        throw InputError{"--explain", "no subgraph " + std::to_string(id),
                         estimate.subgraphs.empty()
                             ? std::string{"none: the model calls no operator"}
                             : "0 to " + std::to_string(estimate.subgraphs.size() - 1)};
    }
    auto const& subgraph =
        model.subgraphs[static_cast<std::size_t>(found - estimate.subgraphs.begin())];
    Explanation all{.subgraph = &subgraph,
                    .estimate = &*found,
                    .share_of_model = found->latency_ms / estimate.total.latency_ms};
    if (found->source == CurveSource::legacy_hardcoded) return all;
    all.inside_model_factor = found->latency_ms / (found->roofline_ms * found->residual_factor);
    bool const zero_flop = subgraph.work.value() == 0;
    for (auto const& calibration : target.calibrations) {
        for (auto const& curve : calibration.curves) {
            if (calibration.source != found->source || curve.type != subgraph.type ||
                curve.zero_flop != zero_flop || curve.data_points.empty()) {
                continue;
            }
            all.curves.push_back(&curve);
            auto const& files = calibration.provenance.evidence;
            all.evidence.insert(all.evidence.end(), files.begin(), files.end());
        }
    }
    return all;
}

nlohmann::json to_json(Explanation const& all) {
    nlohmann::json json{{"subgraph", to_json(*all.estimate, *all.subgraph)},
                        {"share_of_model", all.share_of_model},
                        {"curve_alone_ms", nullptr},
                        {"shape_factor", nullptr},
                        {"inside_model_factor", json_or_null(all.inside_model_factor)},
                        {"curve_points", nlohmann::json::array()},
                        {"evidence", nlohmann::json::array()}};
    if (all.inside_model_factor) {
        json["curve_alone_ms"] = all.estimate->roofline_ms;
        json["shape_factor"] = all.estimate->residual_factor;
    }
    for (auto const* curve : all.curves) {
        for (auto const& point : curve->data_points) {
            json["curve_points"].push_back(
                {{"axis", curve->axis == WorkAxis::flops ? "flops" : "bytes"},
                 {"work", point.work},
                 {"efficiency_mean", point.efficiency_mean},
                 {"num_observations", point.num_observations},
                 {"source_subgraphs", point.source_subgraphs}});
        }
    }
    for (auto const& [file, sha256] : all.evidence) {
        json["evidence"].push_back({{"file", "evidence/" + file}, {"sha256", sha256}});
    }
    return json;
}

void print_text(ModelToPrice const& model, Explanation const& all) {
    auto const& subgraph = *all.subgraph;
    auto const& found = *all.estimate;
    std::printf("subgraph %d of %s: %s (%s), %s, %s\n", found.subgraph_id, model.name.c_str(),
                subgraph.fusion_pattern.c_str(), std::string{to_string(subgraph.type)}.c_str(),
                format_flops(subgraph.work).c_str(),
                format_bytes(subgraph.traffic.total()).c_str());
    std::printf("%s, %s of the model; limited by %s\n", format_ms(found.latency_ms).c_str(),
                percent(all.share_of_model).c_str(), bound_name(found.bound).c_str());
    if (found.spread && *found.spread <= most_spread) {
        std::printf("95 %% prediction interval of it %s to %s (%s)",
                    format_ms(found.latency_ms / *found.spread).c_str(),
                    format_ms(found.latency_ms * *found.spread).c_str(),
                    spread_text(found.spread).c_str());
    } else {
        std::printf("95 %% prediction interval of it not known%s",
                    found.spread ? ": wider than a factor of 10 either way" : "");
    }
    if (found.variance_share) {
        std::printf("; %s of the variance of the model's time", percent(*found.variance_share).c_str());
    }
    std::printf("\n");
    std::printf("priced by the %s curve \"%s\"\n", std::string{source_name(found.source)}.c_str(),
                found.curve.c_str());
    if (!all.inside_model_factor) return;
    std::printf("curve alone %s, times %s for its shape, times %s inside a whole model\n",
                format_ms(found.roofline_ms).c_str(),
                format_significant(found.residual_factor, 3).c_str(),
                format_significant(*all.inside_model_factor, 3).c_str());
    for (auto const* curve : all.curves) print_points(*curve, subgraph);
    for (auto const& [file, sha256] : all.evidence) {
        std::printf("evidence: evidence/%s, SHA-256 %s\n", file.c_str(), sha256.c_str());
    }
}

std::vector<Target> targets_of(EstimateFlags const& flags, Precision precision,
                               CommonFlags const& common) {
    std::vector<Target> targets;
    if (flags.calibration) targets.push_back(from_file(*flags.calibration, precision));
    for (auto const& id : flags.hardware) {
        targets.push_back(from_registry(id, flags, precision, common));
    }
    if (targets.empty()) {
        throw InputError{"derate estimate", "no hardware is named",
                         "--hardware ID or --calibration FILE"};
    }
    return targets;
}

/// The state of malloc that is asked for: without a flag that of a measurement file.
Allocator allocator_of(EstimateFlags const& flags, ModelToPrice const& model) {
    if (!flags.allocator) return model.allocator.value_or(Allocator::pinned);
    if (auto const allocator = parse_allocator(*flags.allocator)) return *allocator;
    throw InputError{"--allocator", "got '" + *flags.allocator + "'", "pinned or default"};
}

/// Calibrations that price the asked state of malloc; the others would pass for it unseen.
///
/// \param where  who asks for it
void keep_those_under(Allocator allocator, std::string const& where, Target& target) {
    std::vector<Calibration> kept;
    std::vector<fs::path> files;
    for (std::size_t i = 0; i < target.calibrations.size(); ++i) {
        auto& calibration = target.calibrations[i];
        bool const is_rules = calibration.legacy_rules || calibration.default_rules;
        if (is_rules && allocator != Allocator::pinned) continue;
        if (auto other = under_allocator(std::move(calibration), allocator)) {
            kept.push_back(std::move(*other));
            files.push_back(target.files[i]);
        }
    }
    if (kept.empty()) {
        throw InputError{
            where,
            "nothing of " + target.hardware_id + " was timed under " +
                (allocator == Allocator::pinned ? "pinned thresholds of malloc"
                                                : "malloc's default thresholds"),
            "a calibration that says so, as derate calibrate makes it, or "
            "--allocator " +
                std::string{to_string(allocator == Allocator::pinned ? Allocator::untouched
                                                                     : Allocator::pinned)}};
    }
    // Another file first than the one that derate validate would choose.
    if (files.front() != target.files.front()) target.chosen_by.clear();
    target.calibrations = std::move(kept);
    target.files = std::move(files);
}

ExitCode estimate(EstimateFlags const& flags, CommonFlags const& common) {
    auto const model = model_to_price(flags);
    auto const allocator = allocator_of(flags, model);
    std::vector<nlohmann::json> results;
    auto targets = targets_of(flags, model.precision, common);
    auto const who_asks = flags.allocator
                              ? "--allocator " + *flags.allocator
                              : flags.model + "#/allocator: " + std::string{to_string(allocator)};
    for (auto& target : targets) keep_those_under(allocator, who_asks, target);
    for (auto const& target : targets) {
        ChainEstimate result;
        try {
            FallbackChain const chain{target.calibrations, target.hardware, model.precision};
            // What calls nothing takes no time, whatever the curves.
            if (!model.subgraphs.empty()) {
                result = chain.estimate(model.subgraphs, model.partition);
            }
        } catch (std::invalid_argument const& error) {
            throw InputError{target.hardware_id, error.what(),
                             "curves that cover the model's operation types"};
        }
        result.warnings.insert(result.warnings.begin(), model.warnings.begin(),
                               model.warnings.end());
        std::vector<double> latency_ms;
        for (auto const& part : result.subgraphs) latency_ms.push_back(part.latency_ms);
        for (auto const& calibration : target.calibrations) {
            if (auto note = value_rule_note(calibration, model.subgraphs, latency_ms)) {
                result.warnings.push_back({WarningCode::value_rule, *std::move(note)});
                break;
            }
        }
        if (auto warning = unknown_warning(model.unknown); !warning.empty() && common.json) {
            result.warnings.push_back({WarningCode::unknown_operators, std::move(warning)});
        }
        warn_of(target.passed_over, common);
        if (!common.quiet) {
            for (auto const& warning : result.warnings) {
                std::fprintf(stderr, "derate: warning: %s\n", warning.text.c_str());
            }
        }
        std::optional<Explanation> explanation;
        if (flags.explain) explanation = explanation_of(model, target, result, *flags.explain);
        if (common.json) {
            results.push_back(to_json(model, target, result));
            if (explanation) results.back()["explanation"] = to_json(*explanation);
        } else if (explanation) {
            print_text(model, *explanation);
        } else {
            print_text(model, target, result);
        }
    }
    if (common.json) {
        print_json("output_estimate_v1.json", with_others(std::move(results)));
    }
    return exit_pass;
}

}  // namespace

Run add_estimate(CLI::App& command) {
    auto const flags = std::make_shared<EstimateFlags>();
    command
        .add_option("--model", flags->model,
                    "Name of a shipped model, a torch.export file (.pt2), or a measurement file")
        ->required();
    auto* const hardware =
        command.add_option("--hardware", flags->hardware, "Hardware of a registry (repeatable)")
            ->delimiter(',');
    command.add_option("--calibration", flags->calibration, "Price with this curve file alone")
        ->excludes(hardware);
    command.add_option("--batch", flags->batch, "Batch size (a shipped model's default: 1)");
    command.add_option("--precision", flags->precision, "fp32, fp16, bf16 or int8");
    command
        .add_option("--threads", flags->threads,
                    "With --hardware: of this thread count (default: the fewest calibrated)")
        ->needs(hardware);
    command
        .add_option("--source", flags->source,
                    "With --hardware: only curves of this source: measured, imported, legacy, "
                    "default")
        ->needs(hardware);
    command.get_option("--registry")->needs(hardware);
    command.add_option(
        "--allocator", flags->allocator,
        "State of malloc to price: pinned, as MALLOC_MMAP_THRESHOLD_ and "
        "MALLOC_TRIM_THRESHOLD_ make it, or default (default: a measurement's own, else "
        "pinned)");
    command.add_option("--explain", flags->explain, "Say how this subgraph was priced");
    return [flags](CommonFlags const& common) { return estimate(*flags, common); };
}

}  // namespace derate::cli
