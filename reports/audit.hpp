#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "calibration/bins.hpp"
#include "calibration/rates_above_peak.hpp"
#include "core/calibration.hpp"
#include "core/hardware.hpp"
#include "gate/validation.hpp"
#include "measuring/environment.hpp"
#include "storage/stored_calibration.hpp"

namespace derate {

// ---------------------------------------------------------------------------------------------
// What is audited

/// A model that calibrations are expected to price, as its own partition cuts it.
struct AuditedModel {
    std::string name;
    std::string family;
    std::optional<int> batch = 1;
    Precision precision = Precision::fp32;
    std::string partition;
    std::vector<Subgraph> subgraphs;  ///< one or more
};

/// A file of raw repetitions that is at hand.
struct FoundSamples {
    std::string file;
    std::string sha256;
    Environment environment;
};

/// A curve file with all that lies around it.
struct AuditSubject {
    StoredCalibration stored;
    std::string sha256;                 ///< of the curve file
    std::vector<FoundSamples> samples;  ///< beside it, or named by the user
    /// The file that `derate estimate --hardware` serves first for this precision and thread count;
    /// empty where nothing is served by the id.
    std::optional<std::filesystem::path> served_first;
    std::string refusal;  ///< why `derate estimate --hardware` refuses; empty: it does not
};

struct AuditLimits {
    int stale_days = 180;  ///< evidence that is older is called stale
    double half_width = 0.02;
    double recompute_relative = GateLimits{}.recompute_relative;
    std::size_t worst_kernels = 5;
    int recommendations = 5;
};

struct AuditRequest {
    std::string hardware_id;
    std::optional<Hardware> hardware;
    std::string today;  ///< ISO 8601 date
    std::vector<AuditSubject> subjects;
    std::vector<AuditedModel> models;
    /// Rules to compare with; empty where there are none for this hardware.
    std::optional<Calibration> legacy;
    std::string legacy_file;
};

// ---------------------------------------------------------------------------------------------
// What is found

/// Whole days from one ISO 8601 date to another; empty where one cannot be read.
[[nodiscard]] std::optional<int> days_between(std::string_view earlier, std::string_view later);

/// Who measured, when, with what.
struct ProvenanceAudit {
    std::filesystem::path file;
    CurveSource source = CurveSource::measured;
    Precision precision = Precision::fp32;
    std::optional<int> threads{};  ///< empty: unknown
    bool provisional = false;
    Provenance recorded;
    std::optional<int> age_days;
    bool stale = false;
    std::vector<Campaign> campaigns;          ///< of the evidence
    std::optional<std::string> libraries;     ///< from the samples' environment block
    std::optional<std::string> git_revision;  ///< recorded, else from the environment block
    std::vector<ValidationClaim> claims;
};

/// One operation type at one half-decade of work.
struct CoverageCell {
    OperationType type = OperationType::meta;
    bool zero_flop = false;  ///< `bin` counts bytes, not FLOPs
    WorkBin bin;
    int kernels = 0;                  ///< distinct ones that the curve was fitted on
    std::int64_t samples = 0;         ///< repetitions of these
    int needed = 0;                   ///< subgraphs of the audited models
    double time_share = 0;            ///< of the audited models' predicted time, 0 to 1
    std::vector<std::string> models;  ///< that need it, those with the most time first

    [[nodiscard]] bool is_gap() const { return needed > 0 && kernels == 0; }
};

/// Every cell that holds data or is needed, by type and size.
///
/// \param evidence  kernels count that a calibration model contains or that are probes; may be
///                  empty: then the curves' data points stand for them
[[nodiscard]] std::vector<CoverageCell> audit_coverage(Calibration const& calibration,
                                                       std::optional<Evidence> const& evidence,
                                                       std::span<AuditedModel const> models,
                                                       std::optional<Hardware> const& hardware);

/// What of the audited models' needs nobody measured.
struct GapSummary {
    int needed = 0;  ///< cells that the models need
    int gaps = 0;
    double time_share = 0;
};
[[nodiscard]] GapSummary gaps_of(std::vector<CoverageCell> const& cells);

struct KernelQuality {
    std::string name;  ///< "model/batch/position" of a place where it occurs
    OperationType type = OperationType::meta;
    double center_ms = 0;
    double half_width = 0;  ///< of the 95 % interval of the mean over launches, relative
    double time_share = 0;
    int launches = 0;
};

/// How well the times are known that the curves rest on.
struct QualityAudit {
    int kernels = 0;  ///< distinct, timed
    int failed = 0;   ///< cases that could not be timed
    std::int64_t samples = 0;
    int fewest_launches = 0;
    int median_launches = 0;
    int most_launches = 0;
    double few_launches_share = 0;  ///< of time, fewer than three launches
    double precise_share = 0;       ///< of time, half-width within the limit
    double unknown_share = 0;       ///< of time, no interval: fewer than two launches
    double unsteady_share = 0;      ///< of time, most launches never became steady
    std::optional<double> median_half_width;
    std::vector<KernelQuality> worst;  ///< largest half-width times share of time first
    int models = 0;                    ///< (model, batch, campaign)
    int timed_whole = 0;               ///< the others' truth is a sum of parts
    int imported_campaigns = 0;
    int stale_campaigns = 0;
    int campaigns = 0;
};

[[nodiscard]] QualityAudit audit_quality(Evidence const& evidence, std::string_view today,
                                         AuditLimits const& limits = {});

/// How legacy rules price the measured kernels of one type and size.
struct LegacyCell {
    OperationType type = OperationType::meta;
    bool zero_flop = false;
    WorkBin bin;
    int kernels = 0;
    double time_share = 0;  ///< of the measured time of all kernels
    double latency_ratio =
        1;  ///< geometric mean of legacy / measured; its reciprocal is the efficiencies'
    double least_ratio = 1;
    double largest_ratio = 1;
    std::optional<double> efficiency_measured;  ///< geometric mean, of the calibration's peak
    std::optional<double> efficiency_legacy;    ///< what the rules amount to, of the same peak
};

/// One model by both.
struct LegacyModel {
    std::string model;
    std::optional<int> batch = 1;
    double calibrated_ms = 0;
    Interval interval;  ///< 95 %, prediction
    double legacy_ms = 0;

    [[nodiscard]] double ratio() const { return legacy_ms / calibrated_ms; }
};

struct LegacyComparison {
    std::string file;
    std::vector<LegacyCell> cells;    ///< largest share of time first
    std::vector<LegacyModel> models;  ///< of the audited ones, batch 1
    /// Over the evidence's models, sums of parts against sums of parts.
    int evidence_models = 0;
    double legacy_mape_percent = 0;
    double calibrated_mape_percent = 0;  ///< on the models it was fitted on and the held-out ones
};

/// \param legacy  has legacy_rules with a rate for the calibration's precision
/// \throws std::invalid_argument  it has not
[[nodiscard]] LegacyComparison compare_to_legacy(Calibration const& calibration,
                                                 Evidence const& evidence,
                                                 Calibration const& legacy,
                                                 std::span<AuditedModel const> models,
                                                 std::optional<Hardware> const& hardware);

enum class LinkState {
    verified,
    broken,
    absent,         ///< nothing is there to be compared
    not_applicable  ///< such a file has no such link
};
[[nodiscard]] std::string_view to_string(LinkState state);

/// One step of the chain from an estimate to the raw samples.
struct ChainLink {
    std::string from;
    std::string to;
    LinkState state = LinkState::verified;
    std::string detail;
};

/// estimate -> curve file -> schema -> evidence file -> served predictions -> raw samples.
///
/// Served predictions are recomputed: the curves are fitted again from the evidence and every model
/// of the evidence is priced by both. The intervals, which need a fit for every model left out, are
/// recomputed by `derate validate`, not here.
[[nodiscard]] std::vector<ChainLink> audit_chain(AuditSubject const& subject,
                                                 std::string_view hardware_id,
                                                 AuditLimits const& limits = {});

struct CalibrationAudit {
    bool readable = true;  ///< false: only `chain` says something
    ProvenanceAudit provenance;
    std::vector<CoverageCell> coverage;
    std::optional<QualityAudit> quality;  ///< empty where there is no evidence
    std::vector<RatesAbovePeak> above_peak;
    std::optional<LegacyComparison> legacy;
    std::string no_legacy;  ///< why there is no comparison
    std::vector<ChainLink> chain;
    std::vector<Recommendation> recommendations;

    [[nodiscard]] bool is_broken() const;
    /// Readable, and no rules: those have neither coverage nor quality.
    [[nodiscard]] bool has_curves() const;
};

struct Audit {
    std::string hardware_id;
    std::string date;
    AuditLimits limits;
    int audited_models = 0;  ///< (model, batch)
    std::vector<CalibrationAudit> calibrations;

    [[nodiscard]] bool is_broken() const;
};

/// Everything about the calibrations of one piece of hardware.
[[nodiscard]] Audit audit(AuditRequest const& request, AuditLimits const& limits = {});

// ---------------------------------------------------------------------------------------------
// How it is told

/// What matters, in sentences; the first paragraph of the report.
[[nodiscard]] std::string audit_in_words(Audit const& audit);

[[nodiscard]] std::string audit_markdown(Audit const& audit);

/// The report for a terminal of `columns` letters.
[[nodiscard]] std::string audit_text(Audit const& audit, int columns = 100);

/// All figures of the report.
[[nodiscard]] nlohmann::json audit_json(Audit const& audit);

}  // namespace derate
