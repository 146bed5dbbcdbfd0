#include "campaign/samples_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "core/input_error.hpp"
#include "storage/sample_record_json.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;

/// Reads whole lines from `offset` on.
/// \return the offset behind the last whole line
std::int64_t read_lines(int descriptor, std::int64_t offset, std::int64_t& line,
                        std::string const& where,
                        std::function<void(SampleRecord const&)> const& take) {
    std::string pending;
    char block[1 << 16];
    for (std::int64_t position = offset;;) {
        auto const got = ::pread(descriptor, block, sizeof block, position);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) throw InputError{where, std::strerror(errno), "a readable file"};
        if (got == 0) return offset;
        position += got;
        pending.append(block, static_cast<std::size_t>(got));
        std::size_t begin = 0;
        for (std::size_t end; (end = pending.find('\n', begin)) != std::string::npos;
             begin = end + 1) {
            auto const text = std::string_view{pending}.substr(begin, end - begin);
            ++line;
            take(sample_record_from_json(text, where + ":" + std::to_string(line)));
            offset += static_cast<std::int64_t>(end + 1 - begin);
        }
        pending.erase(0, begin);
    }
}

}  // namespace

std::int64_t read_samples(fs::path const& path,
                          std::function<void(SampleRecord const&)> const& take) {
    int const descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) throw InputError{path.string(), std::strerror(errno), "a samples file"};
    struct Close {
        int descriptor;
        ~Close() { ::close(descriptor); }
    } const close{descriptor};
    std::int64_t line = 0;
    return read_lines(descriptor, 0, line, path.string(), take);
}

SamplesFile::SamplesFile(fs::path path, std::function<void(SampleRecord const&)> const& take)
    : path_{std::move(path)} {
    std::error_code error;
    if (path_.has_parent_path()) fs::create_directories(path_.parent_path(), error);
    // Without O_CLOEXEC on purpose: the child inherits the lock with the descriptor.
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND, 0644);
    if (descriptor_ < 0) throw InputError{path_.string(), std::strerror(errno), "a writable path"};
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
        int const reason = errno;
        ::close(descriptor_);
        if (reason == EWOULDBLOCK) {
            throw EnvironmentRefused{path_.string(), "another run is writing to it",
                                     "wait for it to end, or choose another output"};
        }
        throw InputError{path_.string(), std::strerror(reason), "a file system with locks"};
    }
    try {
        read_new(take);
        cut_torn_line();
    } catch (...) {
        ::close(descriptor_);
        throw;
    }
}

SamplesFile::~SamplesFile() { ::close(descriptor_); }

void SamplesFile::append(SampleRecord const& record) {
    auto const line = to_json_line(record) + "\n";
    auto const end = ::lseek(descriptor_, 0, SEEK_END);
    // One write() a line: with O_APPEND two writers never mix theirs.
    auto const written = ::write(descriptor_, line.data(), line.size());
    if (written == static_cast<ssize_t>(line.size())) return;
    int const reason = written < 0 ? errno : ENOSPC;
    if (end >= 0 && ::ftruncate(descriptor_, end) != 0) {
        // The torn line is cut off when the file is next opened.
    }
    throw InputError{path_.string(), std::strerror(reason), "room for one line more"};
}

void SamplesFile::read_new(std::function<void(SampleRecord const&)> const& take) {
    read_up_to_ = read_lines(descriptor_, read_up_to_, line_, path_.string(), take);
}

void SamplesFile::cut_torn_line() {
    if (::ftruncate(descriptor_, read_up_to_) != 0) {
        throw InputError{path_.string(), std::strerror(errno), "a writable path"};
    }
}

bool SamplesFile::is_in_place() const {
    struct stat here {};
    struct stat there {};
    return ::fstat(descriptor_, &here) == 0 && ::stat(path_.c_str(), &there) == 0 &&
           here.st_ino == there.st_ino && here.st_dev == there.st_dev;
}

}  // namespace derate
