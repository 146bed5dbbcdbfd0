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

#include "core/input_error.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kept_words = 4096;

}  // namespace

ChildProcess::ChildProcess(std::vector<std::string> const& arguments) {
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
        if (nowhere >= 0) ::dup2(nowhere, STDOUT_FILENO);
        ::dup2(pipe_ends[1], STDERR_FILENO);
        ::execv(argv.front(), argv.data());
        auto const* reason = std::strerror(errno);
        (void)!::write(STDERR_FILENO, reason, std::strlen(reason));
        ::_exit(127);
    }
    ::close(pipe_ends[1]);
    error_pipe_ = pipe_ends[0];
    ::fcntl(error_pipe_, F_SETFL, O_NONBLOCK);
}

ChildProcess::~ChildProcess() {
    if (process_ > 0) {
        ::kill(process_, SIGKILL);
        ::waitpid(process_, nullptr, 0);
    }
    if (error_pipe_ >= 0) ::close(error_pipe_);
}

void ChildProcess::drain() {
    char block[4096];
    for (ssize_t got; (got = ::read(error_pipe_, block, sizeof block)) > 0;) {
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
            .fd = error_pipe_, .events = POLLIN, .revents = 0
        };
        // The pipe hangs up when the child ends, so nobody wakes up only to look.
        ::poll(&hang_up, 1, std::min(milliseconds, 50));
    }
}

fs::path find_bench_program(std::string const& device) {
    if (auto const* named = std::getenv("DERATE_BENCH"); named != nullptr && *named != '\0') {
        if (::access(named, X_OK) == 0) return fs::absolute(named);
        throw EnvironmentRefused{"DERATE_BENCH", std::string{named} + " is not a program",
                                 "the path of derate-bench"};
    }
    auto const name = device == "cuda" ? "derate-bench-cuda" : "derate-bench";
    std::error_code error;
    auto const self = fs::read_symlink("/proc/self/exe", error);
    auto const beside = self.parent_path() / name;
    if (!error && ::access(beside.c_str(), X_OK) == 0) return beside;
#if !defined(__x86_64__)
    auto const* required = "an x86-64 machine: LibTorch's pinned wheel is built for no other";
#else
    auto const* required = device == "cuda"
                               ? "a build with -D DERATE_ENABLE_CUDA=ON, which needs a CUDA toolkit"
                               : "a build with LibTorch: -D DERATE_ENABLE_TORCH=ON";
#endif
    throw EnvironmentRefused{name, "this build cannot measure: the program is not there", required};
}

}  // namespace derate
