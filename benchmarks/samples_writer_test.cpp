#include "benchmarks/samples_writer.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>

#include "core/input_error.hpp"
#include "storage/file.hpp"
#include "storage/sample_record_json.hpp"

namespace derate::benchmarks {
namespace {

std::filesystem::path fresh_file(std::string const& name) {
    auto path = std::filesystem::path{testing::TempDir()} / (name + std::to_string(::getpid()));
    std::filesystem::remove(path);
    return path;
}

TEST(SamplesWriter, AppendsALineARecord) {
    auto const path = fresh_file("lines");
    SampleRecord const record{.content = DriftLine{.probe = "compute", .time_ms = 1.5}};
    {
        SamplesWriter const writer{path};
        writer.append(record);
        writer.append(record);
    }
    auto const line = to_json_line(record) + "\n";
    EXPECT_EQ(read_text(path), line + line);
}

TEST(SamplesWriter, RefusesAFileThatAnotherRunHolds) {
    auto const path = fresh_file("locked");
    // Opened for reading and writing without O_APPEND, so it is not taken for an inherited one.
    int const other = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    ASSERT_EQ(::flock(other, LOCK_EX | LOCK_NB), 0);
    EXPECT_THROW(SamplesWriter{path}, EnvironmentRefused);
    ::close(other);
    SampleRecord const record{.content = FinishedLine{}};
    SamplesWriter{path}.append(record);
    EXPECT_EQ(read_text(path), to_json_line(record) + "\n");
}

TEST(SamplesWriter, UsesTheDescriptorAndLockOfItsParent) {
    auto const path = fresh_file("inherited");
    int const parent = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND, 0644);
    ASSERT_EQ(::flock(parent, LOCK_EX | LOCK_NB), 0);
    {
        SamplesWriter const writer{path};
        writer.append(SampleRecord{});
    }
    EXPECT_FALSE(read_text(path).empty());
    EXPECT_EQ(::flock(parent, LOCK_EX | LOCK_NB), 0) << "the parent still holds it";
    ::close(parent);
}

TEST(SamplesWriter, NamesAPathThatCannotBeWritten) {
    EXPECT_THROW(SamplesWriter{"/nonexistent/folder/x.samples.jsonl"}, InputError);
}

}  // namespace
}  // namespace derate::benchmarks
