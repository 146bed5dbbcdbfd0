#include "cli/estimate_pricing.hpp"

#include <stdexcept>
#include <utility>
#include <vector>

#include "core/input_error.hpp"
#include "core/value_rule.hpp"

namespace derate::cli {
namespace {

template <class Work>
auto said_as_input_error(Target const& target, Work const& work) {
    try {
        return work();
    } catch (std::invalid_argument const& error) {
        throw InputError{target.hardware_id, error.what(),
                         "curves that cover the model's operation types"};
    }
}

}  // namespace

Pricing::Pricing(Target const& target, Precision precision)
    : target_{target},
      chain_{said_as_input_error(
          target,
          [&] {
              return FallbackChain{target.calibrations, target.hardware, precision};
          })},
      timed_batches_{timed_batches(target.calibrations.front())} {}

ChainEstimate Pricing::price(ModelToPrice const& model) const {
    ChainEstimate result;
    // What calls nothing takes no time, whatever the curves.
    if (!model.subgraphs.empty()) {
        result = said_as_input_error(
            target_, [&] { return chain_.estimate(model.subgraphs, model.partition); });
    }
    result.warnings.insert(result.warnings.begin(), model.warnings.begin(), model.warnings.end());
    if (model.batch && !model.subgraphs.empty()) {
        if (auto note = unseen_batch_note(target_.hardware_id, timed_batches_, *model.batch)) {
            result.warnings.push_back({WarningCode::unseen_batch, *std::move(note)});
        }
    }
    std::vector<double> latency_ms;
    for (auto const& part : result.subgraphs) latency_ms.push_back(part.latency_ms);
    for (auto const& calibration : target_.calibrations) {
        if (auto note = value_rule_note(calibration, model.subgraphs, latency_ms)) {
            result.warnings.push_back({WarningCode::value_rule, *std::move(note)});
            break;
        }
    }
    return result;
}

}  // namespace derate::cli
