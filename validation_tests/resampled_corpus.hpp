#pragma once
#include <filesystem>
#include <vector>

#include "calibration/model_outcome.hpp"
#include "gate/gate.hpp"
#include "validation_tests/simulated_models.hpp"

namespace derate {

/// Left-out models of real evidence, from which calibrations of known quality are drawn.
///
/// Whole families are drawn with replacement, each draw as a family of its own, until there are
/// enough models; of a model at several batch sizes one is taken. What the evidence's own
/// calibration errs by is taken out first (mean log error 0, mean squared standardised error 1, of
/// whole models and of kernels), so that without a planted defect a draw is clean; shapes, tails
/// and what families share stay as they were measured.
class ResampledCorpus {
  public:
    /// \param left_out  models of three families or more
    explicit ResampledCorpus(std::vector<ModelOutcome> left_out);

    /// \param what  `error_scale` and `biased_type` are not looked at
    [[nodiscard]] std::vector<ModelOutcome> draw(SimulatedCalibration const& what) const;

    [[nodiscard]] int families() const { return static_cast<int>(families_.size()); }

  private:
    std::vector<std::vector<ModelOutcome>> families_;
};

/// The kernels that two campaigns of real evidence timed, each by its own calibration, from which
/// models are drawn with replacement.
class ResampledReplacement {
  public:
    explicit ResampledReplacement(std::vector<PairedKernel> const& kernels);

    [[nodiscard]] std::vector<PairedKernel> draw(SimulatedReplacement const& what) const;

    [[nodiscard]] int models() const { return static_cast<int>(models_.size()); }

  private:
    std::vector<std::vector<PairedKernel>> models_;
};

/// Fits without each model in turn; takes seconds.
[[nodiscard]] ResampledCorpus read_corpus(std::filesystem::path const& curves);

/// Fits each of the two campaigns of the evidence.
///
/// \throws InputError  the evidence has not two campaigns
[[nodiscard]] ResampledReplacement read_replacement(std::filesystem::path const& curves);

}  // namespace derate
