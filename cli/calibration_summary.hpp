#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "calibration/cross_validate.hpp"
#include "calibration/model_outcome.hpp"
#include "campaign/measurement_of_samples.hpp"
#include "campaign/trust_grade.hpp"
#include "core/calibration.hpp"
#include "core/evidence.hpp"
#include "gate/claims.hpp"
#include "gate/gate.hpp"

namespace derate::cli {

/// What a calibration found of itself, before it is written.
struct CalibrationSummary {
    std::vector<ModelOutcome> held_out{};
    std::vector<LeftOutOutcomes> left_out{};
    std::optional<NoiseFloor> floor{};
    std::vector<ContextRatio> context{};
    Trust trust{};
    MeasuredQuality quality{};
    GateReport gate{};
    Verdict verdict = Verdict::inconclusive;
};

/// The held-out models as the calibration predicts them.
[[nodiscard]] CrossValidation predict_held_out(Evidence const& evidence,
                                               Calibration const& calibration);

/// What calibrate prints.
[[nodiscard]] std::string summary_text(CalibrationSummary const& summary,
                                       Calibration const& calibration, CampaignResult const& result,
                                       CampaignSettings const& settings);

/// report.md of the staged tree.
[[nodiscard]] std::string markdown_report(CalibrationSummary const& summary,
                                          Calibration const& calibration,
                                          CampaignResult const& result,
                                          CampaignSettings const& settings);

[[nodiscard]] nlohmann::json summary_json(CalibrationSummary const& summary,
                                          Calibration const& calibration,
                                          CampaignResult const& result,
                                          CampaignSettings const& settings);

}  // namespace derate::cli
