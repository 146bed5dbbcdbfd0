#pragma once
#include <filesystem>

#include "measuring/sample_record.hpp"

namespace derate::benchmarks {

/// Appends records to a samples file, whose lock this process holds as long as it lives.
///
/// A parent that has the file open and locked hands both down: then the inherited descriptor is
/// used. Otherwise the file is opened, created if need be, and locked here.
class SamplesWriter {
  public:
    /// \throws InputError          it cannot be opened for writing
    /// \throws EnvironmentRefused  another run holds the lock
    explicit SamplesWriter(std::filesystem::path path);
    ~SamplesWriter();
    SamplesWriter(SamplesWriter const&) = delete;
    SamplesWriter& operator=(SamplesWriter const&) = delete;

    /// One line in one write, so that a killed process leaves at most its last line torn.
    /// \throws InputError  disk full
    void append(SampleRecord const& record) const;

  private:
    std::filesystem::path path_;
    int descriptor_ = -1;
    bool inherited_ = false;
};

}  // namespace derate::benchmarks
