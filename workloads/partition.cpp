#include "workloads/partition.hpp"

#include "workloads/eager_partition.hpp"

namespace derate {

std::string_view partition_rule(Backend backend) {
    switch (backend) {
        case Backend::eager:
            return eager_partition_rule;
    }
    return {};
}

Partition partition(ExportedProgram const& program, Backend backend) {
    switch (backend) {
        case Backend::eager:
            return eager_partition(program);
    }
    return {};
}

}  // namespace derate
