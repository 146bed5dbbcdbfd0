#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/calibration.hpp"
#include "core/hardware.hpp"
#include "core/subgraph.hpp"
#include "core/warning.hpp"
#include "estimator/compiled_calibration.hpp"
#include "estimator/latency_estimate.hpp"
#include "estimator/legacy_latency.hpp"
#include "estimator/prepared_model.hpp"

namespace derate {

/// How much of an estimate rests on one kind of curve.
struct SourceShare {
    CurveSource source = CurveSource::measured;
    int subgraphs = 0;
    double latency_ms = 0;
};

/// An estimate with where each part of it comes from.
struct ChainEstimate {
    /// Without `spread_known` only `latency_ms`, `efficiency_used` and `foreign_partition` hold.
    LatencyEstimate total;
    /// False where legacy rules priced a subgraph: nothing is known of their spread, so nothing of
    /// the total's. False too where the interval is too wide to be of use: `latency_ms` is then no
    /// more than a guess.
    bool spread_known = true;
    std::string why_spread_unknown;  ///< in words; empty where it is known
    /// Of the latency, in kernels that no calibration case shows: of a type without a curve, or of
    /// an unseen regime.
    double unseen_share = 0;
    /// In the model's order. Those of source legacy_hardcoded have no spread and no curve's range.
    std::vector<SubgraphEstimate> subgraphs;
    std::vector<SourceShare> shares;  ///< best source first
    /// One sentence for each step down from measured or imported curves, with what replaces it.
    std::vector<Warning> warnings;

    /// The least trustworthy source that priced a subgraph; empty where there is none to price.
    [[nodiscard]] std::optional<CurveSource> source() const {
        return shares.empty() ? std::nullopt : std::optional{shares.back().source};
    }
};

/// Prices each subgraph by the first calibration that has a curve for its operation type: measured
/// or imported, then legacy rules, then the conservative default.
///
/// Holds what it prices with; made once, it prices any number of models.
class FallbackChain {
  public:
    /// \param best_first  one or more, as storage/registry.hpp's calibrations_for() gives them
    /// \param hardware    peaks for the conservative default; empty: the default's own assumptions
    /// \throws std::invalid_argument  a calibration is of no use: no curve, no rules, no rate
    FallbackChain(std::span<Calibration const> best_first, std::optional<Hardware> const& hardware,
                  Precision precision);

    /// \param subgraphs  of one model in order; a model that calls nothing takes no time, for sure
    /// \param partition  the rule that cut it
    /// \throws InputError  no calibration has a curve for one of the subgraphs
    [[nodiscard]] ChainEstimate estimate(std::span<Subgraph const> subgraphs,
                                         std::string_view partition,
                                         EstimateOf what = EstimateOf::whole_model) const;

  private:
    struct LegacyStep {
        LegacyRules rules;
        LegacyRoof roof;
    };
    struct Step {
        CurveSource source = CurveSource::measured;
        std::variant<CompiledCalibration, LegacyStep> pricing;

        [[nodiscard]] bool prices(Subgraph const& subgraph) const;  ///< legacy rules price all
    };

    [[nodiscard]] std::vector<Warning> warnings(std::span<Subgraph const> subgraphs,
                                                std::span<std::size_t const> step_of) const;

    std::vector<Step> steps_;
    std::string hardware_id_;
    Precision precision_;
    std::optional<double> peak_flops_;
};

}  // namespace derate
