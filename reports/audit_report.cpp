// An audit in words, as Markdown and for a terminal.
#include "reports/audit.hpp"
#include "reports/audit_sections.hpp"
#include "reports/report_text.hpp"

namespace derate {
namespace {

std::string title_of(CalibrationAudit const& one) {
    auto const file = one.provenance.file.filename().string();
    return one.readable ? name_of(one.provenance) + " (" + file + ")" : file + ", not readable";
}

std::string chain_in_words(CalibrationAudit const& one) {
    std::vector<std::string> broken;
    std::size_t absent = 0;
    for (auto const& link : one.chain) {
        if (link.state == LinkState::broken) broken.push_back(link.from + " to " + link.to);
        if (link.state == LinkState::absent) ++absent;
    }
    if (!broken.empty()) return "its chain of evidence is BROKEN (" + listed(broken) + ")";
    return absent > 0 ? "its chain of evidence holds down to the evidence, raw samples are absent"
                      : "its chain of evidence holds down to the raw samples";
}

std::string calibration_in_words(CalibrationAudit const& one) {
    auto const& p = one.provenance;
    if (!one.readable) {
        return p.file.filename().string() + ": " + one.chain.front().detail + ". ";
    }
    if (!one.has_curves()) {
        auto text = source_label(p.source) + " values, whose spread is unknown";
        if (one.is_broken()) text += "; " + chain_in_words(one);
        return text + ". ";
    }
    std::string words = name_of(p) + ", " + age_of(p) + ": " +
                        count_of(p.recorded.models_used.size(), "model", "models") + ", " +
                        std::to_string(p.recorded.num_samples) + " repetitions" +
                        (p.recorded.trust_grade ? ", trust grade " + *p.recorded.trust_grade : "") +
                        (p.provisional ? ", provisional" : "") + "; " + chain_in_words(one) + ". ";
    auto const gaps = gaps_of(one.coverage);
    words += gaps.gaps == 0 ? "Every size that the shipped models need was measured. "
                            : std::to_string(gaps.gaps) + " of " + std::to_string(gaps.needed) +
                                  " sizes that the shipped models need were never measured; " +
                                  percent_of(gaps.time_share) + " of the models' time lies there. ";
    for (auto const& above : one.above_peak) words += in_words(above) + ". ";
    if (one.quality) {
        auto const& q = *one.quality;
        words += q.median_half_width
                     ? percent_of(q.precise_share) + " of the measured time is known within 2 %. "
                     : "How well the times repeat is not known: no launches are recorded. ";
        if (q.timed_whole == 0) {
            words += "No model was timed as a whole, truth is a sum of parts. ";
        } else if (q.timed_whole < q.models) {
            words += std::to_string(q.models - q.timed_whole) + " of " + std::to_string(q.models) +
                     " models were not timed as a whole. ";
        }
    }
    if (one.legacy && !one.legacy->models.empty()) {
        words += "Legacy values give " + spread_of(one.legacy->models) + ". ";
    }
    if (!one.recommendations.empty()) {
        auto const& first = one.recommendations.front();
        words += "Measure next: " + std::string{to_string(first.type)} + ", " + first.size + ". ";
    }
    return words;
}

}  // namespace

std::string audit_in_words(Audit const& audit) {
    std::string words = audit.hardware_id + " has " +
                        count_of(audit.calibrations.size(), "calibration", "calibrations") + ". ";
    for (auto const& one : audit.calibrations) words += calibration_in_words(one);
    words.erase(words.find_last_not_of(' ') + 1);
    return words;
}

std::string audit_markdown(Audit const& audit) {
    std::string text = "# Audit of " + audit.hardware_id + ", " + audit.date + "\n\n" +
                       audit_in_words(audit) + "\n\n";
    for (auto const& one : audit.calibrations) {
        text += "## " + title_of(one) + "\n\n";
        for (auto const& section : sections_of(one, audit)) text += markdown_section(section, 3);
    }
    text.pop_back();  // one newline ends the file
    return text;
}

std::string audit_text(Audit const& audit, int columns) {
    std::string text = underlined("Audit of " + audit.hardware_id + ", " + audit.date, '=') +
                       wrapped(audit_in_words(audit), columns) + "\n";
    for (auto const& one : audit.calibrations) {
        text += underlined(title_of(one), '=') + "\n";
        for (auto const& section : sections_of(one, audit)) text += plain_section(section, columns);
    }
    text.pop_back();
    return text;
}

}  // namespace derate
