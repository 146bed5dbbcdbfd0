#include "storage/registry.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "core/input_error.hpp"
#include "ctest/refusal.hpp"
#include "ctest/temporary_folder.hpp"
#include "storage/calibration_json.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

fs::path const shipped = fs::path{DERATE_SOURCE_DIR} / "hardware_registry";

/// Sets an environment variable for a test's length.
class EnvironmentVariable {
  public:
    EnvironmentVariable(char const* name, std::string const& value) : name_{name} {
        if (char const* const old = std::getenv(name)) old_ = old;
        ::setenv(name, value.c_str(), 1);
    }
    EnvironmentVariable(EnvironmentVariable const&) = delete;
    EnvironmentVariable& operator=(EnvironmentVariable const&) = delete;
    ~EnvironmentVariable() {
        if (old_) {
            ::setenv(name_, old_->c_str(), 1);
        } else {
            ::unsetenv(name_);
        }
    }

  private:
    char const* name_;
    std::optional<std::string> old_;
};

class Registry : public testing::Test {
  protected:
    /// A measured calibration with one curve at `<folder>/<root>/cpu/<id>/<name>`.
    fs::path add(std::string const& root, std::string const& id, std::string const& name,
                 Precision precision = Precision::fp32, int threads = 1) {
        Calibration calibration{
            .hardware_id = id,
            .condition = {
                .execution = {.threads = threads > 0 ? std::optional{threads} : std::nullopt},
                .precision = precision,
                .partition = "derate_1",
                .flop_rule = "derate_1"}};
        EfficiencyCurve curve{.type = OperationType::conv2d};
        curve.fitted_curve = FittedCurve{AdditiveRoofline{1e-6, 1e-11, 1, 1e-10, 1, 0, 0}};
        calibration.curves = {curve};
        calibration.provenance = {.date = "2026-01-01",
                                  .tool_version = "derate",
                                  .git_revision = root,  // tells copies apart
                                  .origin = "test"};
        auto const path = folder_ / root / "cpu" / id / name;
        write_atomically(path, pretty_json(to_json(calibration)));
        return path;
    }

    TemporaryFolder temporary_{"derate_registry_"};
    fs::path const folder_ = temporary_.path();
};

TEST_F(Registry, FindsTheShippedHardware) {
    std::vector const roots{shipped};
    auto const entry = find_hardware("jetson_orin_agx", roots);
    EXPECT_EQ(entry.kind, DeviceKind::gpu);
    EXPECT_EQ(read_hardware(entry)->name, "NVIDIA Jetson AGX Orin 64GB");
    ASSERT_EQ(entry.curve_files.size(), 1U);
    EXPECT_TRUE(read_calibrations(entry).front().calibration.legacy_rules);
}

TEST_F(Registry, SuggestsTheHardwareThatWasMeant) {
    std::vector const roots{shipped};
    EXPECT_THAT(refusal([&] { (void)find_hardware("i7_12700K", roots); }),
                HasSubstr("did you mean \"i7-12700K\"?"));
    EXPECT_THAT(refusal([&] { (void)find_hardware("abacus", roots); }),
                HasSubstr("derate list hardware"));
}

TEST_F(Registry, AnEarlierRegistryStandsBeforeALaterOneFileByFile) {
    add("mine", "epyc", "efficiency_curves.json");
    add("theirs", "epyc", "efficiency_curves.json");
    add("theirs", "epyc", "efficiency_curves_bf16.json", Precision::bf16);
    std::vector const roots{folder_ / "mine", folder_ / "theirs"};
    auto const all = read_calibrations(find_hardware("epyc", roots));
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].calibration.provenance.git_revision, "mine");
    EXPECT_EQ(all[1].calibration.provenance.git_revision, "theirs");
}

TEST_F(Registry, SearchesGivenThenEnvironmentThenUserThenShipped) {
    add("given", "a", "efficiency_curves.json");
    add("environment", "b", "efficiency_curves.json");
    add("user/derate/hardware_registry", "c", "efficiency_curves.json");
    EnvironmentVariable const named{"DERATE_REGISTRY", (folder_ / "environment").string()};
    EnvironmentVariable const user{"XDG_DATA_HOME", (folder_ / "user").string()};
    std::vector const given{folder_ / "given"};
    {
        EnvironmentVariable const all{"DERATE_REGISTRY_ONLY", ""};
        EXPECT_EQ(registry_roots(given),
                  (std::vector{folder_ / "given", folder_ / "environment",
                               folder_ / "user/derate/hardware_registry", shipped_registry()}));
    }
    EnvironmentVariable const only{"DERATE_REGISTRY_ONLY", "1"};
    EXPECT_EQ(registry_roots(given), (std::vector{folder_ / "given", folder_ / "environment"}));
    std::vector const missing{folder_ / "missing"};
    EXPECT_THAT(refusal([&] { (void)registry_roots(missing); }), HasSubstr("is not a folder"));
}

TEST_F(Registry, RefusesAFileOfOtherHardware) {
    auto const path = add("mine", "epyc", "efficiency_curves.json");
    fs::create_directories(folder_ / "mine/cpu/xeon");
    fs::copy(path, folder_ / "mine/cpu/xeon/efficiency_curves.json");
    std::vector const roots{folder_ / "mine"};
    EXPECT_THAT(refusal([&] { (void)read_calibrations(find_hardware("xeon", roots)); }),
                HasSubstr("#/hardware_id: got \"epyc\" (the folder's name \"xeon\")"));
}

TEST_F(Registry, OneBrokenFileLeavesItsNeighboursReachable) {
    auto const good = add("mine", "epyc", "efficiency_curves.json");
    auto const text = read_text(good);
    auto const folder = good.parent_path();
    auto renamed = read_json(good);
    renamed["hardware_id"] = "xeon";
    std::vector<std::pair<std::string, std::string>> const broken{
        {"a_curves_empty.json", ""},
        {"a_curves_torn.json", text.substr(0, text.size() / 2)},
        {"efficiency_curves_list.json", "[]"},
        {"efficiency_curves_t2.json", pretty_json(renamed)},
        {"z_curves_deep.json", std::string(100'000, '[')},
    };
    for (auto const& [name, bytes] : broken) write_atomically(folder / name, bytes);
    fs::create_directories(folder / "folder_curves.json");
    fs::create_symlink("nowhere", folder / "link_curves.json");
    write_atomically(folder / "hardware.json", "no JSON");

    std::vector const roots{folder_ / "mine"};
    auto const entry = find_hardware("epyc", roots);
    PassedOver passed_over;
    auto const found = calibrations_for(entry, {}, &passed_over);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found.front().path, good);
    EXPECT_EQ(passed_over.size(), broken.size() + 2);
    for (auto const& [name, bytes] : broken) {
        EXPECT_TRUE(std::ranges::any_of(passed_over, [&](InputError const& fault) {
            return fault.where().starts_with((folder / name).string());
        })) << name;
    }
    EXPECT_FALSE(read_hardware(entry, &passed_over));
    EXPECT_EQ(passed_over.back().where(), (folder / "hardware.json").string());
    EXPECT_EQ(calibrations_for(entry, {}, &passed_over).size(), 1U);
    EXPECT_EQ(passed_over.size(), broken.size() + 3) << "each file once";

    fs::remove(good);  // where nothing else answers, what is broken is the answer
    EXPECT_THAT(refusal([&] { (void)calibrations_for(entry, {}, &passed_over); }),
                HasSubstr("curves"));
}

// What its head promises a file need not keep: then those that it stands before are read too.
TEST_F(Registry, AFileThatOnlyItsHeadIsRightOfHidesNoOther) {
    auto const first = add("mine", "epyc", "efficiency_curves.json");
    auto const second = add("mine", "epyc", "efficiency_curves_t2.json", Precision::fp32, 2);
    auto const entry = find_hardware("epyc", std::vector{folder_ / "mine"});
    PassedOver passed_over;
    ASSERT_EQ(calibrations_for(entry, {}, &passed_over).front().path, first);
    EXPECT_TRUE(passed_over.empty());
    auto broken = read_json(first);
    broken["context_factor"] = "none";
    write_atomically(first, pretty_json(broken));
    auto const found = calibrations_for(entry, {}, &passed_over);
    ASSERT_FALSE(found.empty());
    EXPECT_EQ(found.front().path, second);
    EXPECT_EQ(passed_over.size(), 1U);
}

std::vector<CurveSource> sources(std::vector<RegisteredCalibration> const& all) {
    std::vector<CurveSource> result;
    for (auto const& registered : all) result.push_back(registered.calibration.source);
    return result;
}

TEST_F(Registry, CurvesThatNameNoThreadsAnswerNoRequestForANumber) {
    add("mine", "orin", "efficiency_curves.json", Precision::fp32, 0);
    std::vector const roots{folder_ / "mine", shipped};
    auto const entry = find_hardware("orin", roots);
    EXPECT_EQ(calibrations_for(entry, {}).front().calibration.condition.execution.threads,
              std::nullopt);
    EXPECT_EQ(sources(calibrations_for(entry, {.threads = 8})),
              std::vector{CurveSource::conservative_default});
}

TEST_F(Registry, ChainsMeasuredThenLegacyThenDefaultForEachPrecision) {
    add("mine", "i7-12700K", "efficiency_curves_t3.json", Precision::fp32, 3);
    std::vector const roots{folder_ / "mine", shipped};
    auto const entry = find_hardware("i7-12700K", roots);
    using enum CurveSource;
    auto const chain = [&](CalibrationRequest const& request) {
        return sources(calibrations_for(entry, request));
    };
    auto const fp32 = chain({.precision = Precision::fp32, .threads = 3});
    EXPECT_EQ(fp32.front(), measured);
    EXPECT_EQ(fp32.back(), conservative_default);
    EXPECT_THAT(fp32, testing::Contains(legacy_hardcoded));
    EXPECT_EQ(chain({.precision = Precision::int8}),
              (std::vector{legacy_hardcoded, conservative_default}));
    EXPECT_EQ(chain({.precision = Precision::bf16}), std::vector{conservative_default});
    EXPECT_EQ(chain({.precision = Precision::fp32, .only = legacy_hardcoded}),
              std::vector{legacy_hardcoded});
    EXPECT_THAT(refusal([&] { (void)chain({.precision = Precision::bf16, .only = measured}); }),
                HasSubstr("has no BF16 calibration of source measured"));
}

TEST_F(Registry, ThreadsThatNobodyMeasuredAreNoCalibration) {
    add("mine", "epyc", "efficiency_curves.json", Precision::fp32, 1);
    add("mine", "epyc", "efficiency_curves_t2.json", Precision::fp32, 2);
    std::vector const roots{folder_ / "mine", shipped};
    auto const entry = find_hardware("epyc", roots);
    auto const best = [&](std::optional<int> threads) {
        return calibrations_for(entry, {.threads = threads}).front().calibration;
    };
    EXPECT_EQ(best(std::nullopt).condition.execution.threads, 1);
    for (auto const& one : calibrations_for(entry, {})) {
        EXPECT_NE(one.calibration.condition.execution.threads, 2) << "beside one thread's";
    }
    EXPECT_EQ(best(2).condition.execution.threads, 2);
    EXPECT_EQ(best(8).source, CurveSource::conservative_default);
}

TEST_F(Registry, WithoutDefaultsNothingIsMadeUp) {
    fs::create_directories(folder_ / "mine/cpu/epyc");
    std::vector const roots{folder_ / "mine"};
    EXPECT_THAT(refusal([&] { (void)calibrations_for(find_hardware("epyc", roots), {}); }),
                HasSubstr("has no calibration, and no registry has defaults"));
}

std::string number_or_dash(std::optional<double> value) {
    if (!value) return "-";
    char text[32];
    std::snprintf(text, sizeof text, "%.1f %%", *value);
    return text;
}

/// The table of hardware_registry/README.md.
std::string hardware_table() {
    std::string table =
        "| hardware | file | precision | source | models | MAPE | noise floor | verdict |\n"
        "|---|---|---|---|---|---|---|---|\n";
    std::vector const roots{shipped};
    for (auto const& entry : list_hardware(roots)) {
        for (auto const& [path, calibration] : read_calibrations(entry)) {
            auto const claim =
                std::ranges::find(calibration.claims, "family", &ValidationClaim::leave_out);
            bool const has_claim = claim != calibration.claims.end();
            std::string verdict = has_claim ? claim->verdict : "-";
            if (calibration.provisional) verdict += ", provisional";
            std::string const cells[]{std::string{to_string(entry.kind)} + "/" + entry.id,
                                      path.filename().string(),
                                      calibration.legacy_rules
                                          ? "any it has a rate for"
                                          : std::string{to_string(calibration.condition.precision)},
                                      std::string{to_string(calibration.source)},
                                      std::to_string(calibration.provenance.models_used.size()),
                                      has_claim ? number_or_dash(claim->mape_percent) : "-",
                                      has_claim ? number_or_dash(claim->noise_floor_percent) : "-",
                                      verdict};
            for (auto const& cell : cells) table += "| " + cell + " ";
            table += "|\n";
        }
    }
    return table;
}

TEST(RegistryReadme, ShowsWhatIsMeasuredImportedAndLegacy) {
    constexpr std::string_view begin = "<!-- hardware, from the files -->\n";
    constexpr std::string_view end = "<!-- end of hardware -->";
    auto text = read_text(shipped / "README.md");
    auto const from = text.find(begin);
    auto const to = text.find(end);
    ASSERT_TRUE(from != std::string::npos && to != std::string::npos);
    auto const start = from + begin.size();
    if (std::getenv("DERATE_UPDATE_DOCS") != nullptr) {
        write_atomically(shipped / "README.md", text.replace(start, to - start, hardware_table()));
    } else {
        EXPECT_EQ(text.substr(start, to - start), hardware_table())
            << "hardware_registry/README.md: run core_tests with DERATE_UPDATE_DOCS=1";
    }
}

TEST(RequestedSource, LegacyIsSpelledShort) {
    EXPECT_EQ(parse_requested_source("legacy"), CurveSource::legacy_hardcoded);
    EXPECT_EQ(parse_requested_source("default"), CurveSource::conservative_default);
    EXPECT_EQ(parse_requested_source("imported"), CurveSource::imported);
    EXPECT_EQ(parse_requested_source("guess"), std::nullopt);
}

}  // namespace
}  // namespace derate
