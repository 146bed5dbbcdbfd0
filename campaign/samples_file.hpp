#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>

#include "measuring/sample_record.hpp"

namespace derate {

/// Calls `take` for every record of a samples file, in order; a torn last line is left out.
///
/// \return  bytes up to the end of the last whole line
/// \throws InputError  no such file, or a line before the last that does not parse
std::int64_t read_samples(std::filesystem::path const& path,
                          std::function<void(SampleRecord const&)> const& take);

/// The append-only samples file of a measurement that is going on.
///
/// Holds an exclusive lock (flock) on it, which the child processes inherit: as long as the
/// campaign or its derate-bench lives, no other run gets the file. A torn last line, which a killed
/// writer leaves, is cut off when the file is opened.
class SamplesFile {
  public:
    /// Opens or creates; missing folders are made.
    /// \throws InputError          the path cannot be written, or a line of it cannot be read
    /// \throws EnvironmentRefused  another run holds the lock
    SamplesFile(std::filesystem::path path, std::function<void(SampleRecord const&)> const& take);
    ~SamplesFile();
    SamplesFile(SamplesFile const&) = delete;
    SamplesFile& operator=(SamplesFile const&) = delete;

    /// Appends one line and hands it to the kernel; read_new() returns it like any other.
    /// \throws InputError  disk full, folder gone
    void append(SampleRecord const& record);

    /// Calls `take` for what was appended since the last call.
    void read_new(std::function<void(SampleRecord const&)> const& take);

    /// Cuts off a torn last line after a child that wrote to the file was killed.
    void cut_torn_line();

    /// The file is still where it was opened: not removed, not replaced.
    [[nodiscard]] bool is_in_place() const;

    [[nodiscard]] std::filesystem::path const& path() const { return path_; }

  private:
    std::filesystem::path path_;
    int descriptor_ = -1;
    std::int64_t read_up_to_ = 0;  ///< bytes handed to a reader, always a line's end
    std::int64_t line_ = 0;        ///< lines handed to a reader
};

}  // namespace derate
