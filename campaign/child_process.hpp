#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/device_kind.hpp"
#include "measuring/environment.hpp"

namespace derate {

/// How a child process ended.
struct ChildExit {
    std::optional<int> code{};    ///< when it ended by itself
    std::optional<int> signal{};  ///< when a signal ended it
    std::string last_words{};     ///< the end of what it wrote to the stream that is kept
};

/// Which of a child's two streams is kept; the other is thrown away.
enum class KeptStream { error, output };

/// A child process that dies with this one: the kernel kills it (PR_SET_PDEATHSIG) when the thread
/// that started it ends, however it ends.
class ChildProcess {
  public:
    /// \throws EnvironmentRefused  it cannot be started
    explicit ChildProcess(std::vector<std::string> const& arguments,
                          KeptStream kept = KeptStream::error);
    /// Kills and reaps a child that still runs.
    ~ChildProcess();
    ChildProcess(ChildProcess const&) = delete;
    ChildProcess& operator=(ChildProcess const&) = delete;

    /// Waits up to `milliseconds` for the end.
    [[nodiscard]] std::optional<ChildExit> wait(int milliseconds);

  private:
    void drain();

    int process_ = -1;
    int pipe_ = -1;  ///< of the stream that is kept
    std::string last_words_;
};

/// "derate-bench", "derate-bench-cuda": the program that times on such a device.
[[nodiscard]] std::string_view bench_program_name(DeviceKind device);

/// The program that times: DERATE_BENCH, or derate-bench (derate-bench-cuda for a GPU) beside the
/// running program.
///
/// \throws EnvironmentRefused  not there, saying what is missing
[[nodiscard]] std::filesystem::path find_bench_program(DeviceKind device);

/// The libraries' half of the environment block, as the program that times tells it; empty where it
/// does not answer.
[[nodiscard]] std::optional<Environment> ask_for_environment(
    std::filesystem::path const& bench_program);

}  // namespace derate
