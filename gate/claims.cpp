#include "gate/claims.hpp"

#include <set>
#include <string>

#include "core/input_error.hpp"
#include "gate/validation.hpp"
#include "storage/calibration_files.hpp"
#include "storage/stored_calibration.hpp"

namespace derate {

namespace {

/// With two, each predicts the other: no claim to make.
bool enough_to_leave_out(Evidence const& evidence, LeaveOut what) {
    std::set<std::string> groups;
    for (auto const& model : evidence.models) {
        if (model.role == ModelRole::held_out) continue;
        if (what == LeaveOut::batch) {
            groups.insert(batch_text(model.batch));
            continue;
        }
        if (!sum_of_parts_ms(evidence, model)) continue;
        groups.insert(what == LeaveOut::model ? model.name : model.family);
    }
    constexpr std::size_t fewest = 3;
    return groups.size() >= fewest;
}

std::vector<ValidationClaim> claims_of(OwnAccuracy const& own) {
    std::vector<ValidationClaim> claims;
    for (auto const& part : own.left_out) {
        if (part.outcomes.empty()) continue;
        ValidationClaim claim{.leave_out = std::string{to_string(part.what)},
                              .models = static_cast<int>(part.outcomes.size()),
                              .mape_percent = mape_percent(part.outcomes),
                              .bias_percent = bias_percent(part.outcomes),
                              .coverage_95 = coverage(part.outcomes),
                              .median_half_width_percent = median_half_width_percent(part.outcomes),
                              .noise_floor_percent = {},
                              .verdict = std::string{to_string(own.gate.verdict())}};
        if (own.floor) {
            claim.noise_floor_percent = own.floor->percent;
            claim.noise_floor_basis = basis_of(*own.floor);
        }
        claims.push_back(std::move(claim));
    }
    return claims;
}

}  // namespace

OwnAccuracy store_claims(std::filesystem::path const& curves) {
    auto const stored = read_stored_calibration(curves);
    if (!stored.calibration || !stored.evidence) {
        throw InputError{curves.string(), "cannot be judged on its own evidence",
                         "a calibration with its evidence beside it"};
    }
    auto calibration = *stored.calibration;
    auto const& evidence = *stored.evidence;
    auto const validation = validate_stored(stored);
    OwnAccuracy own{.floor = noise_floor(evidence), .gate = validation.gate};
    own.left_out = {
        {.what = LeaveOut::model}, {.what = LeaveOut::family}, {.what = LeaveOut::batch}};
    if (enough_to_leave_out(evidence, LeaveOut::model)) {
        own.left_out[0].outcomes = validation.outcomes;  // the gate has left models out
    }
    for (std::size_t i = 1; i < own.left_out.size(); ++i) {
        auto const what = own.left_out[i].what;
        if (!enough_to_leave_out(evidence, what)) continue;
        own.left_out[i].outcomes =
            outcomes_of(cross_validate(evidence, what, fit_options_of(calibration)), evidence);
    }
    own.claims = claims_of(own);
    calibration.claims = own.claims;
    write_calibration(std::move(calibration), evidence, curves);
    return own;
}

}  // namespace derate
