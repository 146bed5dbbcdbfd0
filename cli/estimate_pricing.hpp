#pragma once
#include <vector>

#include "cli/estimate_inputs.hpp"
#include "estimator/fallback_chain.hpp"

namespace derate::cli {

/// The curves of one target, made ready once for any number of models.
class Pricing {
  public:
    /// \param target  outlives this object
    /// \throws InputError  its curves price nothing
    Pricing(Target const& target, Precision precision);

    /// With all that is to be said of the model and of the curves among its warnings.
    /// \throws InputError  no curve prices a part of it
    [[nodiscard]] ChainEstimate price(ModelToPrice const& model) const;

  private:
    Target const& target_;
    FallbackChain chain_;
    std::vector<int> timed_batches_;  ///< of the first calibration
};

}  // namespace derate::cli
