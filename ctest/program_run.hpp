#pragma once
#include <sys/wait.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>

namespace derate {

/// What a test sees of a program that ran.
struct ProgramRun {
    int code = -1;       ///< as the shell exits; -1 when a signal ended it
    std::string output;  ///< standard output
};

/// Runs a line of the shell to its end.
///
/// \throws std::system_error  no shell can be started
inline ProgramRun run_program(std::string const& command) {
    auto* const pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr) throw std::system_error{errno, std::generic_category(), command};
    ProgramRun run;
    char buffer[4096];
    while (auto const count = std::fread(buffer, 1, sizeof buffer, pipe)) {
        run.output.append(buffer, count);
    }
    int const status = ::pclose(pipe);
    if (WIFEXITED(status)) run.code = WEXITSTATUS(status);
    return run;
}

}  // namespace derate
