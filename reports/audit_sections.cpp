#include "reports/audit_sections.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "core/format_quantity.hpp"
#include "core/value_rule.hpp"
#include "reports/validation_report.hpp"
#include "statistics/quantiles.hpp"

namespace derate {
namespace {

constexpr std::string_view unknown = "unknown";
constexpr std::size_t gaps_shown = 20;
constexpr std::size_t legacy_cells_shown = 20;

std::string or_unknown(std::optional<std::string> const& value) {
    return value && !value->empty() ? *value : std::string{unknown};
}

std::string number(std::optional<double> value) {
    return value ? format_significant(*value, 3) : std::string{unknown};
}

std::string type_label(OperationType type, bool zero_flop) {
    return curve_key(to_string(type), zero_flop);
}

std::string size_label(WorkBin const& bin, bool zero_flop) {
    return to_string(bin) + (zero_flop ? " bytes" : " FLOP");
}

std::string lower_label(WorkBin const& bin) {
    auto const text = to_string(bin);
    return text.substr(0, text.find(' '));
}

std::string day_of(std::string const& date) {
    return date.empty() ? std::string{unknown} : date.substr(0, 10);
}

std::string claim_text(ValidationClaim const& claim) {
    std::string text = "leaving each " + claim.leave_out + " out: MAPE " +
                       format_significant(claim.mape_percent, 2) + " %, bias " +
                       format_significant(claim.bias_percent, 2) + " %";
    if (claim.coverage_95) text += ", coverage " + percent_of(*claim.coverage_95);
    if (claim.noise_floor_percent) {
        text += ", noise floor " + format_significant(*claim.noise_floor_percent, 2) + " %";
    }
    return text + ", " + claim.verdict;
}

std::vector<CoverageCell const*> largest_gaps(std::vector<CoverageCell> const& cells) {
    std::vector<CoverageCell const*> gaps;
    for (auto const& cell : cells) {
        if (cell.is_gap()) gaps.push_back(&cell);
    }
    std::ranges::stable_sort(gaps, std::greater{},
                             [](CoverageCell const* cell) { return cell->time_share; });
    return gaps;
}

ReportSection provenance_section(CalibrationAudit const& one) {
    auto const& p = one.provenance;
    ReportSection section{.title = "Provenance", .words = "", .table = {.first_number = 9}};
    section.table.header = {"what", "recorded"};
    auto const add = [&](char const* what, std::string value) {
        section.table.rows.push_back({what, std::move(value)});
    };
    add("file", p.file.filename().string());
    add("source", source_label(p.source) + (p.provisional ? ", provisional" : ""));
    add("date", day_of(p.recorded.date) + " (" + age_of(p) + ")");
    if (one.has_curves()) {
        add("models", std::to_string(p.recorded.models_used.size()) + ": " +
                          listed(p.recorded.models_used,
                                 std::max<std::size_t>(1, p.recorded.models_used.size())));
        add("repetitions", std::to_string(p.recorded.num_samples));
    }
    add("tool version", or_unknown(p.recorded.tool_version));
    add("git revision", or_unknown(p.git_revision));
    if (one.has_curves()) {
        add("libraries", p.libraries ? *p.libraries
                                     : "unknown here; the raw samples' environment block has them");
        add("environment hash", or_unknown(p.recorded.environment_hash));
        add("trust grade", or_unknown(p.recorded.trust_grade));
        add("value rule", p.recorded.value_rule == first_value_rule
                              ? std::string{first_value_rule} +
                                    ": ids may be 0 and 1, masks and maps are noise; time anew"
                              : or_unknown(p.recorded.value_rule));
    }
    add("origin", or_unknown(p.recorded.origin));
    for (auto const& campaign : p.campaigns) {
        add("campaign", campaign.id + ": " + day_of(campaign.date) + ", " + campaign.origin +
                            (campaign.imported ? ", imported" : "") + ", trust grade " +
                            or_unknown(campaign.trust_grade));
    }
    if (one.has_curves() && p.claims.empty()) add("claims", "none");
    for (auto const& claim : p.claims) add("claim", claim_text(claim));
    return section;
}

/// Types down, sizes across: kernels where there are data, "gap" where they are needed and missing.
ReportSection coverage_matrix(CalibrationAudit const& one, bool zero_flop) {
    std::map<double, std::string> columns;
    std::map<OperationType, std::map<double, std::string>> rows;
    for (auto const& cell : one.coverage) {
        if (cell.zero_flop != zero_flop) continue;
        columns[cell.bin.lower] = lower_label(cell.bin);
        rows[cell.type][cell.bin.lower] = cell.is_gap() ? "gap" : std::to_string(cell.kernels);
    }
    ReportSection section{
        .title = zero_flop ? "Coverage of kernels without FLOPs, by bytes" : "Coverage, by FLOPs",
        .words = "",
        .table = {}};
    section.table.header = {"type"};
    for (auto const& [lower, label] : columns) section.table.header.push_back(label);
    for (auto const& [type, cells] : rows) {
        std::vector<std::string> row{std::string{to_string(type)}};
        for (auto const& [lower, label] : columns) {
            auto const cell = cells.find(lower);
            row.push_back(cell == cells.end() ? "." : cell->second);
        }
        section.table.rows.push_back(std::move(row));
    }
    return section;
}

ReportSection gap_section(CalibrationAudit const& one, int audited_models) {
    auto const summary = gaps_of(one.coverage);
    auto const gaps = largest_gaps(one.coverage);
    ReportSection section{.title = "Gaps", .words = "", .table = {.first_number = 2}};
    section.words =
        "Above, a number counts distinct kernels that the curves were fitted on, from the size of "
        "its column up to that of the next; \"gap\" is a size that one of the " +
        std::to_string(audited_models) +
        " shipped models needs and nobody measured, \".\" one that no shipped model needs. " +
        (gaps.empty()
             ? "There is no gap."
             : count_of(gaps.size(), "gap", "gaps") + " of " + std::to_string(summary.needed) +
                   " sizes that are needed, with " + percent_of(summary.time_share) +
                   " of the models' predicted time; those with the most time:");
    section.table.header = {"type", "size", "subgraphs", "share of time", "needed by"};
    for (std::size_t i = 0; i < std::min(gaps.size(), gaps_shown); ++i) {
        auto const& cell = *gaps[i];
        section.table.rows.push_back(
            {type_label(cell.type, cell.zero_flop), size_label(cell.bin, cell.zero_flop),
             std::to_string(cell.needed), percent_of(cell.time_share), listed(cell.models, 3)});
    }
    return section;
}

ReportSection quality_section(CalibrationAudit const& one, AuditLimits const& limits) {
    ReportSection section{.title = "Statistical quality", .words = "", .table = {}};
    if (!one.quality) {
        section.words = "There is no intact evidence, so nothing is known.";
        return section;
    }
    auto const& q = *one.quality;
    section.table.header = {"what", "value"};
    auto const add = [&](std::string what, std::string value) {
        section.table.rows.push_back({std::move(what), std::move(value)});
    };
    add("distinct kernels timed", std::to_string(q.kernels));
    add("kernels that failed", std::to_string(q.failed));
    add("repetitions of kernels", std::to_string(q.samples));
    add("process launches of a kernel", q.most_launches == 0
                                            ? "not recorded"
                                            : std::to_string(q.fewest_launches) + " to " +
                                                  std::to_string(q.most_launches) + ", median " +
                                                  std::to_string(q.median_launches));
    add("time on fewer than 3 launches", percent_of(q.few_launches_share));
    add("time that never became steady", percent_of(q.unsteady_share));
    add("time with half-width up to " + percent_of(limits.half_width), percent_of(q.precise_share));
    add("time without an interval", percent_of(q.unknown_share));
    add("median half-width",
        q.median_half_width ? percent_of(*q.median_half_width) : std::string{unknown});
    add("models timed as a whole",
        std::to_string(q.timed_whole) + " of " + std::to_string(q.models));
    add("campaigns imported",
        std::to_string(q.imported_campaigns) + " of " + std::to_string(q.campaigns));
    add("campaigns older than " + std::to_string(limits.stale_days) + " days",
        std::to_string(q.stale_campaigns) + " of " + std::to_string(q.campaigns));
    section.words =
        "Shares are of the summed time of the distinct kernels, probes apart. The half-width is "
        "that of the 95 % interval of a kernel's mean over process launches, relative; one launch "
        "gives none.";
    if (q.timed_whole < q.models) {
        section.words +=
            " Where a model was not timed as a whole, its truth is the sum of its "
            "parts: how parts add up to a model is then not checked.";
    }
    return section;
}

ReportSection worst_section(CalibrationAudit const& one) {
    ReportSection section{.title = "Kernels known worst",
                          .words = "Largest half-width times share of time first.",
                          .table = {.first_number = 2}};
    section.table.header = {"kernel", "type", "time", "half-width", "share of time", "launches"};
    if (!one.quality || one.quality->worst.empty()) {
        section.words = "No kernel has an interval.";
        return section;
    }
    for (auto const& kernel : one.quality->worst) {
        section.table.rows.push_back(
            {kernel.name, std::string{to_string(kernel.type)},
             format_ms(kernel.center_ms, kernel.half_width * kernel.center_ms),
             percent_of(kernel.half_width), percent_of(kernel.time_share),
             std::to_string(kernel.launches)});
    }
    return section;
}

std::string ratio_text(double ratio) { return format_significant(ratio, 3); }

std::vector<ReportSection> legacy_sections(CalibrationAudit const& one) {
    if (!one.legacy) {
        return {{.title = "Comparison to legacy values", .words = one.no_legacy, .table = {}}};
    }
    auto const& legacy = *one.legacy;
    ReportSection kernels{
        .title = "Comparison to legacy values: kernels", .words = "", .table = {.first_number = 2}};
    kernels.words = "The rules of " + legacy.file +
                    " on the measured kernels. A ratio is legacy time over measured time, "
                    "geometric mean of the kernels: below 1 the rules promise too much. Efficiency "
                    "is of this calibration's peak; the ratio of efficiencies is the reciprocal.";
    if (legacy.evidence_models > 0) {
        kernels.words +=
            " Summed over the kernels of each of " + std::to_string(legacy.evidence_models) +
            " models of the evidence, the rules are off by " +
            format_significant(legacy.legacy_mape_percent, 2) + " % on average, the curves by " +
            format_significant(legacy.calibrated_mape_percent, 2) +
            " % (on kernels they were fitted on, for the most part).";
    }
    kernels.table.header = {"type",        "size",     "kernels", "share of time",
                            "ratio",       "smallest", "largest", "efficiency measured",
                            "by the rules"};
    for (std::size_t i = 0; i < std::min(legacy.cells.size(), legacy_cells_shown); ++i) {
        auto const& cell = legacy.cells[i];
        kernels.table.rows.push_back(
            {type_label(cell.type, cell.zero_flop), size_label(cell.bin, cell.zero_flop),
             std::to_string(cell.kernels), percent_of(cell.time_share),
             ratio_text(cell.latency_ratio), ratio_text(cell.least_ratio),
             ratio_text(cell.largest_ratio), number(cell.efficiency_measured),
             number(cell.efficiency_legacy)});
    }
    ReportSection models{.title = "Comparison to legacy values: models", .words = "", .table = {}};
    if (legacy.models.empty()) {
        models.words = "No shipped model can be priced by both.";
        return {std::move(kernels), std::move(models)};
    }
    auto const outside = std::ranges::count_if(legacy.models, [](LegacyModel const& model) {
        return !model.interval.contains(model.legacy_ms);
    });
    models.words = "Shipped models, batch 1. Legacy values give " + spread_of(legacy.models) +
                   "; for " + std::to_string(outside) + " of " +
                   count_of(legacy.models.size(), "model", "models") +
                   " that lies outside the 95 % prediction interval.";
    models.table.header = {"model", "this calibration", "95 % interval", "legacy",
                           "legacy / calibrated"};
    for (auto const& model : legacy.models) {
        double const half = (model.interval.upper - model.interval.lower) / 2;
        models.table.rows.push_back(
            {model.model, format_ms(model.calibrated_ms, half),
             format_ms(model.interval.lower, half) + " to " + format_ms(model.interval.upper, half),
             format_ms(model.legacy_ms, half), ratio_text(model.ratio())});
    }
    return {std::move(kernels), std::move(models)};
}

ReportSection chain_section(CalibrationAudit const& one) {
    ReportSection section{.title = "Chain of evidence",
                          .words =
                              "From an estimate down to the raw repetitions. Predictions are "
                              "recomputed by a new fit of the evidence; intervals and claims "
                              "are recomputed by `derate validate`.",
                          .table = {.first_number = 9}};
    section.table.header = {"from", "to", "state", "what was found"};
    for (auto const& link : one.chain) {
        section.table.rows.push_back(
            {link.from, link.to, std::string{to_string(link.state)}, link.detail});
    }
    return section;
}

ReportSection recommendation_section(CalibrationAudit const& one) {
    ReportSection section{.title = "Recommendations",
                          .words = "What would narrow the shipped models' intervals most:",
                          .table = {}};
    for (auto const& recommendation : one.recommendations) {
        section.items.push_back(recommendation_text(recommendation));
    }
    if (section.items.empty()) section.words = "None.";
    return section;
}

}  // namespace

std::string source_label(CurveSource source) {
    return source == CurveSource::legacy_hardcoded ? "legacy" : std::string{to_string(source)};
}

std::string name_of(ProvenanceAudit const& provenance) {
    auto text = source_label(provenance.source);
    if (provenance.source != CurveSource::legacy_hardcoded) {
        text = std::string{to_string(provenance.precision)} + " " + text;
    }
    if (provenance.threads > 1) text += ", " + threads_text(provenance.threads);
    return text;
}

std::string age_of(ProvenanceAudit const& provenance) {
    if (!provenance.age_days) return "of unknown age";
    return count_of(static_cast<std::size_t>(std::max(0, *provenance.age_days)), "day", "days") +
           " old" + (provenance.stale ? ", stale" : "");
}

std::string spread_of(std::vector<LegacyModel> const& models) {
    std::vector<double> ratios;
    for (auto const& model : models) ratios.push_back(model.ratio());
    auto const [least, most] = std::ranges::minmax(ratios);
    return format_significant(least, 2) + " to " + format_significant(most, 2) +
           " times what this calibration says (median " + format_significant(median(ratios), 2) +
           ")";
}

std::vector<ReportSection> sections_of(CalibrationAudit const& one, Audit const& audit) {
    if (!one.readable) return {chain_section(one)};
    std::vector<ReportSection> sections{provenance_section(one)};
    if (one.has_curves()) {
        for (bool const zero_flop : {false, true}) {
            auto matrix = coverage_matrix(one, zero_flop);
            if (!matrix.table.rows.empty()) sections.push_back(std::move(matrix));
        }
        sections.push_back(gap_section(one, audit.audited_models));
        sections.push_back(quality_section(one, audit.limits));
        sections.push_back(worst_section(one));
        std::ranges::move(legacy_sections(one), std::back_inserter(sections));
    }
    sections.push_back(chain_section(one));
    if (one.has_curves()) sections.push_back(recommendation_section(one));
    return sections;
}

}  // namespace derate
