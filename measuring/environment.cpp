#include "measuring/environment.hpp"

#include "measuring/environment_fields.hpp"

namespace derate {

Environment merge(Environment first, Environment const& second) {
    for_each_environment_field([&](char const*, auto member) {
        if (!(first.*member)) first.*member = second.*member;
    });
    if (first.loaded_libraries.empty()) first.loaded_libraries = second.loaded_libraries;
    return first;
}

Environment without_volatile_fields(Environment environment) {
    environment.load_average.reset();
    environment.command_line.reset();
    environment.git_revision.reset();
    environment.git_dirty.reset();
    environment.gpu_clock_hz.reset();
    environment.gpu_throttle_reasons.reset();
    for (auto& library : environment.loaded_libraries) library.path.reset();
    return environment;
}

}  // namespace derate
