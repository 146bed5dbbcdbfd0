#include "core/warning.hpp"

namespace derate {

std::string_view to_string(WarningCode code) {
    switch (code) {
        case WarningCode::legacy_rules:
            return "legacy_rules";
        case WarningCode::conservative_default:
            return "conservative_default";
        case WarningCode::unseen_kernels:
            return "unseen_kernels";
        case WarningCode::interval_unknown:
            return "interval_unknown";
        case WarningCode::value_rule:
            return "value_rule";
        case WarningCode::unknown_operators:
            return "unknown_operators";
        case WarningCode::training_mode:
            return "training_mode";
        case WarningCode::unread_input:
            return "unread_input";
        case WarningCode::unknown_values:
            return "unknown_values";
        case WarningCode::passed_over:
            return "passed_over";
        case WarningCode::cpu_quota:
            return "cpu_quota";
        case WarningCode::nothing_measured:
            return "nothing_measured";
        case WarningCode::untimed_model:
            return "untimed_model";
        case WarningCode::duplicate_file:
            return "duplicate_file";
        case WarningCode::left_out:
            return "left_out";
        case WarningCode::rate_above_peak:
            return "rate_above_peak";
        case WarningCode::no_evidence:
            return "no_evidence";
        case WarningCode::dimensions:
            return "dimensions";
        case WarningCode::unseen_batch:
            return "unseen_batch";
        case WarningCode::small_model:
            return "small_model";
    }
    return {};
}

std::vector<std::string> texts_of(std::span<Warning const> warnings) {
    std::vector<std::string> texts;
    for (auto const& warning : warnings) texts.push_back(warning.text);
    return texts;
}

}  // namespace derate
