#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace derate {

/// How a child process ended.
struct ChildExit {
    std::optional<int> code{};    ///< when it ended by itself
    std::optional<int> signal{};  ///< when a signal ended it
    std::string last_words{};     ///< the end of what it wrote to standard error
};

/// A child process that dies with this one: the kernel kills it (PR_SET_PDEATHSIG) when the thread
/// that started it ends, however it ends. Standard output is thrown away, standard error kept.
class ChildProcess {
  public:
    /// \throws EnvironmentRefused  it cannot be started
    explicit ChildProcess(std::vector<std::string> const& arguments);
    /// Kills and reaps a child that still runs.
    ~ChildProcess();
    ChildProcess(ChildProcess const&) = delete;
    ChildProcess& operator=(ChildProcess const&) = delete;

    /// Waits up to `milliseconds` for the end.
    [[nodiscard]] std::optional<ChildExit> wait(int milliseconds);

  private:
    void drain();

    int process_ = -1;
    int error_pipe_ = -1;
    std::string last_words_;
};

/// The program that times: DERATE_BENCH, or derate-bench (derate-bench-cuda for "cuda") beside the
/// running program.
///
/// \throws EnvironmentRefused  not there, saying what is missing
[[nodiscard]] std::filesystem::path find_bench_program(std::string const& device);

}  // namespace derate
