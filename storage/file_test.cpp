#include "storage/file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/input_error.hpp"
#include "ctest/refusal.hpp"
#include "ctest/temporary_folder.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Folder : public testing::Test {
  protected:
    std::size_t file_count() const {
        return static_cast<std::size_t>(
            std::distance(fs::directory_iterator{folder_}, fs::directory_iterator{}));
    }

    TemporaryFolder temporary_{"derate_file_"};
    fs::path const folder_ = temporary_.path();
};

TEST(ParseJson, ReadsEveryKindOfValue) {
    auto const json =
        parse_json(R"({"a": [1, -2, 2.5, true, null, "x", {}], "b": {"c": []}})", "f");
    EXPECT_EQ(json,
              (nlohmann::json{{"a", {1, -2, 2.5, true, nullptr, "x", nlohmann::json::object()}},
                              {"b", {{"c", nlohmann::json::array()}}}}));
    EXPECT_EQ(parse_json("7", "f"), 7);
}

TEST(ParseJson, RefusesAKeyTwice) {
    EXPECT_THAT(refusal([] { (void)parse_json("PK\x03\x04...", "m"); }),
                HasSubstr("m: is a ZIP archive"));
    EXPECT_EQ(refusal([] { (void)parse_json(R"({"a": {"b": 1, "b": 2}})", "f.json"); }),
              "f.json: key \"b\" stands twice in one object (each key once)");
    EXPECT_EQ(refusal([] { (void)parse_json(R"([{"b": 1}, {"b": 2}])", "f.json"); }), "");
}

TEST(ParseJson, RefusesDeepNestingWithoutRecursion) {
    for (std::string_view const opening : {"[", "{\"a\":"}) {
        std::string deep;
        for (int i = 0; i < 100'000; ++i) deep += opening;
        EXPECT_THAT(refusal([&] { (void)parse_json(deep, "f"); }),
                    HasSubstr("nested deeper than 200"));
    }
    std::string const allowed = std::string(200, '[') + std::string(200, ']');
    EXPECT_EQ(refusal([&] { (void)parse_json(allowed, "f"); }), "");
}

TEST(ParseJson, SaysWhereTheSyntaxEnds) {
    EXPECT_THAT(refusal([] { (void)parse_json("{\n \"a\": NaN}", "f"); }),
                testing::StartsWith("f: parse error at line 2, column"));
    for (auto const* text : {"", "{", "[1,]", "{} x", "1e999", "\"\xff\"", "// c\n1", "Infinity"}) {
        EXPECT_THAT(refusal([&] { (void)parse_json(text, "f"); }), HasSubstr("(valid JSON)"))
            << text;
    }
}

TEST(PrettyJson, ReadsBackAsTheSameValue) {
    nlohmann::json const json{{"b", {1.0 / 3, 2e-9, 5}},
                              {"a", {{"x", "\"q\""}, {"e", nlohmann::json::array()}}}};
    auto const text = pretty_json(json);
    EXPECT_EQ(parse_json(text, "f"), json);
    EXPECT_EQ(text,
              "{\n  \"a\": {\n    \"e\": [],\n    \"x\": \"\\\"q\\\"\"\n  },\n"
              "  \"b\": [0.3333333333333333, 2e-09, 5]\n}\n");
}

TEST_F(Folder, WritesAndReadsBack) {
    write_atomically(folder_ / "new" / "a.txt", "one");
    write_atomically(folder_ / "new" / "a.txt", "two");
    EXPECT_EQ(read_text(folder_ / "new" / "a.txt"), "two");
    EXPECT_EQ(file_count(), 1U);
}

TEST_F(Folder, KeepsALinkALink) {
    write_atomically(folder_ / "target", "old");
    fs::create_symlink(folder_ / "target", folder_ / "link");
    write_atomically(folder_ / "link", "new");
    EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
    EXPECT_EQ(read_text(folder_ / "target"), "new");
}

TEST_F(Folder, RefusesToWriteOverAFolderAndLeavesNothing) {
    EXPECT_THAT(refusal([&] { write_atomically(folder_, "x"); }), HasSubstr("is a folder"));
    write_atomically(folder_ / "file", "x");
    auto const below_a_file = folder_ / "file" / "a.txt";
    EXPECT_THAT(refusal([&] { write_atomically(below_a_file, "x"); }),
                testing::StartsWith(below_a_file.string() + ": cannot write: "));
    EXPECT_EQ(file_count(), 1U);
}

TEST_F(Folder, TriesAPlaceWithoutWritingThere) {
    require_writable(folder_ / "new" / "a.txt");
    EXPECT_FALSE(fs::exists(folder_ / "new"));
    write_atomically(folder_ / "file", "x");
    require_writable(folder_ / "file");
    EXPECT_EQ(read_text(folder_ / "file"), "x");
    require_writable("/dev/null");
    EXPECT_THAT(refusal([&] { require_writable(folder_); }), HasSubstr("is a folder"));
    EXPECT_THAT(refusal([&] { require_writable(folder_ / "file" / "a"); }),
                HasSubstr("cannot write"));
    EXPECT_THAT(refusal([&] { require_writable("/proc/derate/a"); }), HasSubstr("cannot write"));
}

TEST_F(Folder, AFailedWriteLeavesTheOldContent) {
    write_atomically(folder_ / "a", "old");
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    auto const handler = std::signal(SIGXFSZ, SIG_IGN);
    rlimit const small{.rlim_cur = 1000, .rlim_max = before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
    auto const message = refusal([&] { write_atomically(folder_ / "a", std::string(5000, 'x')); });
    ::setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);

    EXPECT_THAT(message, HasSubstr("a: cannot write: File too large"));
    EXPECT_EQ(read_text(folder_ / "a"), "old");
    EXPECT_EQ(file_count(), 1U);
}

TEST_F(Folder, ReadRefusesWhatIsNotAFileOrTooLong) {
    EXPECT_THAT(refusal([&] { (void)read_text(folder_ / "none"); }), HasSubstr("No such file"));
    EXPECT_THAT(refusal([&] { (void)read_text(folder_); }), HasSubstr("is a folder"));
    write_atomically(folder_ / "four", "1234");
    EXPECT_EQ(read_text(folder_ / "four", 4), "1234");
    EXPECT_THAT(refusal([&] { (void)read_text(folder_ / "four", 3); }), HasSubstr("longer than 3"));
}

TEST_F(Folder, ReadsCompressedJsonByItsName) {
    write_atomically(folder_ / "a.json.gz", gzip_compress(R"({"x": 1})"));
    EXPECT_EQ(read_json(folder_ / "a.json.gz"), (nlohmann::json{{"x", 1}}));
}

TEST(Gzip, ReadsBackWhatItWroteAndIsReproducible) {
    std::string text;
    for (int i = 0; i < 100'000; ++i) text += std::to_string(i * i % 9973);
    EXPECT_EQ(gzip_expand(gzip_compress(text), "f"), text);
    EXPECT_EQ(gzip_compress(text), gzip_compress(text));
    EXPECT_EQ(gzip_expand(gzip_compress(""), "f"), "");
}

TEST(Gzip, RefusesDamage) {
    auto const whole = gzip_compress("derate derate derate");
    EXPECT_THAT(refusal([&] { (void)gzip_expand("hello", "f"); }), testing::StartsWith("f: "));
    EXPECT_THAT(refusal([&] { (void)gzip_expand("", "f"); }), HasSubstr("ends early"));
    EXPECT_THAT(refusal([&] { (void)gzip_expand(whole.substr(0, whole.size() - 1), "f"); }),
                HasSubstr("ends early"));
    EXPECT_THAT(refusal([&] { (void)gzip_expand(whole + "x", "f"); }), HasSubstr("after its end"));
    auto wrong_checksum = whole;
    wrong_checksum[wrong_checksum.size() - 5] ^= 1;
    EXPECT_THAT(refusal([&] { (void)gzip_expand(wrong_checksum, "f"); }), HasSubstr("gzip member"));
}

TEST(Gzip, ABombMeetsTheLimit) {
    auto const bomb = gzip_compress(std::string(10'000'000, '0'));
    EXPECT_LT(bomb.size(), 20'000U);
    EXPECT_THAT(refusal([&] { (void)gzip_expand(bomb, "f", 1'000'000); }),
                HasSubstr("expands beyond"));
}

TEST(Sha256, EqualsThePublishedExamples) {  // FIPS 180-4, NIST example values
    EXPECT_EQ(sha256_hex("abc"),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Sha256, OfAFileIsThatOfItsBytes) {
    auto const path =
        std::filesystem::temp_directory_path() / ("derate_sha256_" + std::to_string(::getpid()));
    for (std::size_t const size : {0UL, 3UL, 65536UL, 200001UL}) {
        std::string const bytes(size, 'a');
        write_atomically(path, bytes);
        EXPECT_EQ(sha256_of_file(path), sha256_hex(bytes)) << size;
    }
    std::filesystem::remove(path);
    EXPECT_THROW((void)sha256_of_file(path), InputError);
}

}  // namespace
}  // namespace derate
