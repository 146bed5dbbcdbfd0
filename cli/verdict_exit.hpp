#pragma once
#include "cli/commands.hpp"
#include "gate/gate.hpp"

namespace derate::cli {

/// Every command whose result is a verdict ends so.
[[nodiscard]] inline ExitCode exit_code_of(Verdict verdict) {
    return verdict == Verdict::pass   ? exit_pass
           : verdict == Verdict::fail ? exit_gate_failed
                                      : exit_inconclusive;
}

}  // namespace derate::cli
