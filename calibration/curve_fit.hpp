#pragma once
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "calibration/additive_roofline.hpp"
#include "calibration/fit_calibration.hpp"
#include "calibration/residual_process.hpp"
#include "core/evidence.hpp"

namespace derate {

/// What fits need of evidence, worked out once for all folds. Refers to `evidence`, which must
/// outlive it.
class FitInput {
  public:
    explicit FitInput(Evidence const& evidence);

    [[nodiscard]] Evidence const& evidence() const { return *evidence_; }
    [[nodiscard]] RooflineRow const& row(int case_index) const { return rows_[at(case_index)]; }
    [[nodiscard]] ResidualObservation const& shape(int case_index) const {
        return shapes_[at(case_index)];
    }

    /// Cases with a time that one of the chosen models contains, or that are probes.
    /// \param models  chosen models, one flag for each of evidence().models
    [[nodiscard]] std::vector<int> cases_of(std::vector<char> const& models) const;

  private:
    static std::size_t at(int index) { return static_cast<std::size_t>(index); }

    Evidence const* evidence_;
    std::vector<RooflineRow> rows_;
    std::vector<ResidualObservation> shapes_;
};

/// Models that folds keep together.
[[nodiscard]] std::vector<std::vector<int>> folds_by_model(Evidence const& evidence,
                                                           std::vector<char> const& models);
[[nodiscard]] std::vector<std::vector<int>> folds_by_family(Evidence const& evidence,
                                                            std::vector<char> const& models);

/// Models of unknown batch size are a fold too.
[[nodiscard]] std::vector<std::vector<int>> folds_by_batch(Evidence const& evidence,
                                                           std::vector<char> const& models);

/// Whether these models were timed at enough batch sizes to tell what is the batch's.
[[nodiscard]] bool batches_tell(Evidence const& evidence, std::vector<char> const& models);

/// Five folds that each take a part of every family, so that siblings of a held-out model remain.
[[nodiscard]] std::vector<std::vector<int>> folds_across_families(Evidence const& evidence,
                                                                  std::vector<char> const& models);

/// Curves and context factor from the chosen models: everything of a calibration but its intervals,
/// data points and provenance.
///
/// \param hyperparameters  of the residual model; empty: fitted here
[[nodiscard]] Calibration fit_curves(FitInput const& input, std::vector<char> const& models,
                                     FitOptions const& options,
                                     std::optional<ProcessHyperparameters> hyperparameters = {});

/// Adds variances and the interval model (docs/uncertainty.md), from folds inside the chosen models.
void fit_intervals(Calibration& calibration, FitInput const& input, std::vector<char> const& models,
                   FitOptions const& options);

}  // namespace derate
