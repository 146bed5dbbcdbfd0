// Is a calibration good enough to ship? One case per calibration of a registry and gate rule.
//
//     validation_tests REGISTRY|CURVES.json [--replaces REGISTRY] [--gtest_...]
//
// Without an argument the environment's DERATE_VALIDATE_REGISTRY names the registry. New hardware
// brings its cases without code. Exit code 2 when there is nothing to judge, when no gate ran or,
// without a filter, another number than the registry has, and when the environment selects tests.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "core/input_error.hpp"
#include "gate/validation.hpp"
#include "storage/stored_calibration.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;

/// A calibration whose gate is computed when the first of its cases runs: fits take seconds.
class JudgedCalibration {
  public:
    JudgedCalibration(StoredCalibration stored, std::optional<StoredCalibration> replaced)
        : stored_{std::move(stored)}, replaced_{std::move(replaced)} {}

    [[nodiscard]] std::vector<GateRule> rules() const {
        return rules_for(stored_.calibration ? stored_.calibration->source : CurveSource::measured);
    }
    [[nodiscard]] bool provisional() const {
        return stored_.calibration && stored_.calibration->provisional;
    }
    [[nodiscard]] RuleResult result(GateRule rule) {
        if (!validation_) validation_ = validate_stored(stored_, replaced_ ? &*replaced_ : nullptr);
        return *validation_->gate.find(rule);
    }

  private:
    StoredCalibration stored_;
    std::optional<StoredCalibration> replaced_;
    std::optional<Validation> validation_;
};

class RegisteredCalibration : public testing::Test {
  public:
    RegisteredCalibration(std::shared_ptr<JudgedCalibration> judged, GateRule rule)
        : judged_{std::move(judged)}, rule_{rule} {}

    void TestBody() override {
        auto const result = judged_->result(rule_);
        for (auto const& [name, value] : result.figures) {
            RecordProperty(name, std::to_string(value));
        }
        RecordProperty("verdict", std::string{to_string(result.verdict)});
        if (result.verdict == Verdict::inconclusive && judged_->provisional()) {
            std::printf("INCONCLUSIVE, and graded provisional: %s\n", result.reason.c_str());
            return;
        }
        EXPECT_EQ(to_string(result.verdict), to_string(Verdict::pass)) << result.reason;
    }

  private:
    std::shared_ptr<JudgedCalibration> judged_;
    GateRule rule_;
};

/// "cpu/i7-12700K/efficiency_curves": where it lies below the registry.
std::string case_name(fs::path const& curves, fs::path const& place) {
    auto const relative = fs::is_directory(place) ? fs::relative(curves, place) : curves.filename();
    return (relative.parent_path() / relative.stem()).generic_string();
}

std::optional<StoredCalibration> replaced_by(fs::path const& curves, fs::path const& place,
                                             fs::path const& replaced_registry) {
    if (replaced_registry.empty()) return std::nullopt;
    auto const same_place = replaced_registry / fs::relative(curves, place);
    if (!fs::exists(same_place)) return std::nullopt;
    return read_stored_calibration(same_place);
}

/// \return the number of gates
int register_gates(fs::path const& place, fs::path const& replaced_registry) {
    int gates = 0;
    for (auto const& curves : calibration_files_below(place)) {
        auto const judged = std::make_shared<JudgedCalibration>(
            read_stored_calibration(curves), replaced_by(curves, place, replaced_registry));
        for (auto const rule : judged->rules()) {
            testing::RegisterTest(case_name(curves, place).c_str(),
                                  std::string{to_string(rule)}.c_str(), nullptr, nullptr, __FILE__,
                                  __LINE__, [judged, rule]() -> testing::Test* {
                                      return new RegisteredCalibration{judged, rule};
                                  });
            ++gates;
        }
    }
    return gates;
}

/// A filter or shard that some other test run left in the environment would leave gates out without
/// a word.
///
/// \throws InputError
void refuse_inherited_selection() {
    for (auto const* const name : {"GTEST_FILTER", "GTEST_TOTAL_SHARDS", "GTEST_SHARD_INDEX",
                                   "GTEST_REPEAT", "TESTBRIDGE_TEST_ONLY"}) {
        if (std::getenv(name) != nullptr) {
            throw InputError{name, "is set in the environment",
                             "unset; --gtest_filter chooses gates by hand"};
        }
    }
}

int run(int argc, char** argv) {
    refuse_inherited_selection();
    testing::InitGoogleTest(&argc, argv);
    fs::path place;
    fs::path replaced_registry;
    for (int i = 1; i < argc; ++i) {
        std::string const argument = argv[i];
        if (argument == "--replaces" && i + 1 < argc) {
            replaced_registry = argv[++i];
        } else {
            place = argument;
        }
    }
    if (place.empty()) {
        if (auto const* named = std::getenv("DERATE_VALIDATE_REGISTRY")) place = named;
    }
    if (place.empty()) {
        throw InputError{"validation_tests", "no registry given",
                         "a registry folder or curve file, or DERATE_VALIDATE_REGISTRY"};
    }
    int const gates = register_gates(place, replaced_registry);
    int const outcome = RUN_ALL_TESTS();
    if (testing::GTEST_FLAG(list_tests)) return outcome;
    auto const& all = *testing::UnitTest::GetInstance();
    bool const filtered = testing::GTEST_FLAG(filter) != "*";
    if (all.test_to_run_count() == 0 || (!filtered && all.test_to_run_count() != gates)) {
        std::fprintf(stderr, "validation_tests: %d gates ran, the registry has %d\n",
                     all.test_to_run_count(), gates);
        return 2;
    }
    std::printf("%d of %d gates passed\n", all.successful_test_count(), gates);
    return outcome;
}

}  // namespace
}  // namespace derate

int main(int argc, char** argv) {
    try {
        return derate::run(argc, argv);
    } catch (derate::InputError const& error) {
        std::fprintf(stderr, "validation_tests: %s\n", error.what());
        return 2;
    }
}
