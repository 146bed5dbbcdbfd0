#include "storage/curve_file_head.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "storage/calibration_files.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;

TEST(CurveFileHead, IsThatOfTheFile) {
    CurveFileHead const two{
        .source = CurveSource::measured, .precision = Precision::bf16, .threads = 2};
    EXPECT_EQ(skim_curve_file("{\n  \"a\": {\n    \"precision\": \"FP16\",\n    \"threads\": 9\n  },\n"
                              "  \"precision\": \"BF16\",\n  \"source\": \"measured\",\n"
                              "  \"threads\": 2\n}\n"),
              two)
        << "not that of an object in it";
}

TEST(CurveFileHead, IsNotGuessed) {
    std::string const good = "{\n  \"precision\": \"BF16\",\n  \"source\": \"measured\",\n"
                             "  \"threads\": null\n}\n";
    ASSERT_TRUE(skim_curve_file(good));
    EXPECT_EQ(skim_curve_file(good)->threads, std::nullopt);
    EXPECT_FALSE(skim_curve_file(good.substr(0, good.size() - 3))) << "cut off";
    for (auto const& [from, to] : {std::pair{"null", "0"}, {"null", "2e0"}, {"BF16", "BF17"},
                                   {"measured", "guessed"}, {"\n  \"threads", "\n \"threads"}}) {
        auto other = good;
        other.replace(other.find(from), std::string_view{from}.size(), to);
        EXPECT_FALSE(skim_curve_file(other)) << other;
    }
    EXPECT_FALSE(skim_curve_file(""));
}

TEST(CurveFileHead, OfEveryShippedFileOfCurvesIsWhatReadingItAllGives) {
    int files = 0;
    for (auto const& file :
         fs::recursive_directory_iterator{fs::path{DERATE_SOURCE_DIR} / "hardware_registry"}) {
        auto const name = file.path().filename().string();
        if (!name.starts_with("efficiency_curves") || !name.ends_with(".json")) continue;
        auto const calibration = read_calibration(file.path());
        if (holds_rules(calibration)) continue;
        EXPECT_EQ(skim_curve_file(read_text(file.path())),
                  (CurveFileHead{.source = calibration.source,
                                 .precision = calibration.condition.precision,
                                 .threads = calibration.condition.execution.threads}))
            << file.path();
        ++files;
    }
    EXPECT_GE(files, 10);
}

}  // namespace
}  // namespace derate
