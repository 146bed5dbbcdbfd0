#include "benchmarks/samples_writer.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/input_error.hpp"
#include "storage/sample_record_json.hpp"

namespace derate::benchmarks {
namespace {

/// A descriptor of this very file, open for appending, that the parent left open; -1 if none.
int inherited_descriptor(std::filesystem::path const& path) {
    struct stat wanted {};
    if (::stat(path.c_str(), &wanted) != 0) return -1;
    constexpr int most_that_are_inherited = 64;
    for (int descriptor = STDERR_FILENO + 1; descriptor < most_that_are_inherited; ++descriptor) {
        struct stat found {};
        if (::fstat(descriptor, &found) != 0) continue;
        if (found.st_dev != wanted.st_dev || found.st_ino != wanted.st_ino) continue;
        if ((::fcntl(descriptor, F_GETFL) & O_APPEND) != 0) return descriptor;
    }
    return -1;
}

}  // namespace

SamplesWriter::SamplesWriter(std::filesystem::path path) : path_{std::move(path)} {
    descriptor_ = inherited_descriptor(path_);
    inherited_ = descriptor_ >= 0;
    if (!inherited_) {
        descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    }
    if (descriptor_ < 0) {
        throw InputError{path_.string(), std::strerror(errno), "a path that can be written"};
    }
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return;
    int const reason = errno;
    if (!inherited_) ::close(descriptor_);
    if (reason == EWOULDBLOCK) {
        throw EnvironmentRefused{path_.string(), "another run is writing to it",
                                 "wait for it to end, or choose another output"};
    }
    throw InputError{path_.string(), std::strerror(reason), "a file system with locks"};
}

SamplesWriter::~SamplesWriter() {
    if (!inherited_) ::close(descriptor_);
}

void SamplesWriter::append(SampleRecord const& record) const {
    auto const line = to_json_line(record) + "\n";
    auto const end = ::lseek(descriptor_, 0, SEEK_END);
    auto const written = ::write(descriptor_, line.data(), line.size());
    if (written == static_cast<ssize_t>(line.size())) return;
    int const reason = written < 0 ? errno : ENOSPC;
    if (written > 0 && end >= 0 && ::ftruncate(descriptor_, end) != 0) {
        // Whoever opens the file next cuts the torn line off.
    }
    throw InputError{path_.string(), std::strerror(reason), "room for one line more"};
}

}  // namespace derate::benchmarks
