#include "campaign/child_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "core/input_error.hpp"
#include "storage/environment_json.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kept_words = 1 << 16;

}  // namespace

ChildProcess::ChildProcess(std::vector<std::string> const& arguments, KeptStream kept) {
    std::vector<char*> argv;
    for (auto const& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);

    int pipe_ends[2];
    if (::pipe2(pipe_ends, O_CLOEXEC) != 0) {
        throw EnvironmentRefused{arguments.front(), std::strerror(errno), "a free file descriptor"};
    }
    int const parent = ::getpid();
    process_ = ::fork();
    if (process_ < 0) {
        int const reason = errno;
        ::close(pipe_ends[0]);
        ::close(pipe_ends[1]);
        throw EnvironmentRefused{arguments.front(), std::strerror(reason), "room for a process"};
    }
    if (process_ == 0) {
        // Only what is safe between fork and exec.
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(127);  // the parent died before prctl
        int const nowhere = ::open("/dev/null", O_WRONLY);
        bool const keeps_errors = kept == KeptStream::error;
        if (nowhere >= 0) ::dup2(nowhere, keeps_errors ? STDOUT_FILENO : STDERR_FILENO);
        ::dup2(pipe_ends[1], keeps_errors ? STDERR_FILENO : STDOUT_FILENO);
        ::execv(argv.front(), argv.data());
        auto const* reason = std::strerror(errno);
        (void)!::write(STDERR_FILENO, reason, std::strlen(reason));
        ::_exit(127);
    }
    ::close(pipe_ends[1]);
    pipe_ = pipe_ends[0];
    ::fcntl(pipe_, F_SETFL, O_NONBLOCK);
}

ChildProcess::~ChildProcess() {
    if (process_ > 0) {
        ::kill(process_, SIGKILL);
        ::waitpid(process_, nullptr, 0);
    }
    if (pipe_ >= 0) ::close(pipe_);
}

void ChildProcess::drain() {
    char block[4096];
    for (ssize_t got; (got = ::read(pipe_, block, sizeof block)) > 0;) {
        last_words_.append(block, static_cast<std::size_t>(got));
        if (last_words_.size() > kept_words) {
            last_words_.erase(0, last_words_.size() - kept_words);
        }
    }
}

std::optional<ChildExit> ChildProcess::wait(int milliseconds) {
    using clock = std::chrono::steady_clock;
    auto const until = clock::now() + std::chrono::milliseconds{milliseconds};
    for (;;) {
        drain();
        int status = 0;
        auto const ended = ::waitpid(process_, &status, WNOHANG);
        if (ended == process_) {
            process_ = -1;
            drain();
            ChildExit end;
            if (WIFEXITED(status)) end.code = WEXITSTATUS(status);
            if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
            end.last_words = last_words_;
            return end;
        }
        if (clock::now() >= until) return std::nullopt;
        struct pollfd hang_up {
            .fd = pipe_, .events = POLLIN, .revents = 0
        };
        // The pipe hangs up when the child ends, so nobody wakes up only to look.
        ::poll(&hang_up, 1, std::min(milliseconds, 50));
    }
}

std::string_view bench_program_name(DeviceKind device) {
    return device == DeviceKind::gpu ? "derate-bench-cuda" : "derate-bench";
}

fs::path find_bench_program(DeviceKind device) {
    if (auto const* named = std::getenv("DERATE_BENCH"); named != nullptr && *named != '\0') {
        if (::access(named, X_OK) == 0) return fs::absolute(named);
        throw EnvironmentRefused{"DERATE_BENCH", std::string{named} + " is not a program",
                                 "the path of derate-bench"};
    }
    auto const name = bench_program_name(device);
    std::error_code error;
    auto const self = fs::read_symlink("/proc/self/exe", error);
    auto const beside = self.parent_path() / name;
    if (!error && ::access(beside.c_str(), X_OK) == 0) return beside;
#if !defined(__x86_64__)
    auto const* required = "an x86-64 machine: LibTorch's pinned wheel is built for no other";
#else
    auto const* required = device == DeviceKind::gpu
                               ? "a build with -D DERATE_ENABLE_CUDA=ON, which needs a CUDA toolkit"
                               : "a build with LibTorch: -D DERATE_ENABLE_TORCH=ON";
#endif
    throw EnvironmentRefused{name, "this build cannot measure: the program is not there", required};
}

std::optional<Environment> ask_for_environment(fs::path const& bench_program) try {
    constexpr int patience_ms = 30'000;  // LibTorch may have to come from a slow disk
    ChildProcess child{{bench_program.string(), "--environment"}, KeptStream::output};
    auto const end = child.wait(patience_ms);
    if (!end || end->code != 0) return std::nullopt;
    return environment_from_json(end->last_words, bench_program.string());
} catch (std::runtime_error const&) {
    return std::nullopt;  // another program than ours; what it would say stays unknown
}

}  // namespace derate
