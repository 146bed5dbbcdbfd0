#include "measuring/plan.hpp"

#include <array>

namespace derate {

std::string_view to_string(StepKind kind) {
    switch (kind) {
        case StepKind::isolated:
            return "isolated";
        case StepKind::in_context:
            return "in_context";
        case StepKind::whole:
            return "whole";
        case StepKind::drift:
            return "drift";
    }
    return {};
}

std::string case_key(std::string_view descriptor, CacheState state, Execution const& execution,
                     Precision precision) {
    return descriptor_hash(descriptor) + "/" + std::string{to_string(state)} + "/t" +
           std::to_string(execution.threads.value_or(1)) +
           (execution.cpus.empty() ? "" : "@" + cpu_list(execution.cpus)) + "/" +
           std::string{to_string(precision)} +
           (execution.allocator == Allocator::untouched ? "/default_malloc" : "");
}

}  // namespace derate
