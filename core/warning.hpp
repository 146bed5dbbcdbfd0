#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace derate {

/// What a warning is about. A sentence may be worded anew; the name of its code stays.
enum class WarningCode {
    legacy_rules,          ///< hand-tuned rules priced a part
    conservative_default,  ///< the default that knows nothing of the machine priced a part
    unseen_kernels,        ///< most of the time is of kernels that no calibration case shows
    interval_unknown,      ///< nothing bounds the latency
    value_rule,            ///< the curves were timed with other values in the inputs
    unknown_operators,     ///< the FLOPs of an operator are not known
    training_mode,         ///< the model was exported as it trains
    unread_input,          ///< nothing reads an input
    unknown_values,        ///< the file does not hold values that a time may depend on
    passed_over,           ///< a file of the registry could not be read
    cpu_quota,             ///< a control group grants fewer CPUs than threads
    nothing_measured,      ///< the campaign had been finished before
    untimed_model,         ///< nothing of a model could be timed
    duplicate_file,        ///< another file has the same content
    left_out,              ///< a part of an input file is not used
    rate_above_peak,       ///< a kernel is faster than the hardware is said to be
    no_evidence,           ///< nothing was judged but the file's form
    small_model,           ///< it moves less than any model that showed what whole models take
    dimensions,            ///< sizes that a symbolic export was not made for, or states otherwise
    unseen_batch,          ///< the curves were timed at no batch size as large, or at one alone
};

/// "legacy_rules", ...
[[nodiscard]] std::string_view to_string(WarningCode code);

struct Warning {
    WarningCode code = WarningCode::legacy_rules;
    std::string text;  ///< one sentence

    friend bool operator==(Warning const&, Warning const&) = default;
};

[[nodiscard]] std::vector<std::string> texts_of(std::span<Warning const> warnings);

}  // namespace derate
