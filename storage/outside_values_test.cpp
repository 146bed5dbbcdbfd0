// Whatever stands where a value belongs, a reader of ours answers with InputError or with what it read:
// no other exception, no crash, no integer that lost its upper bits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/input_error.hpp"
#include "storage/calibration_json.hpp"
#include "storage/environment_json.hpp"
#include "storage/evidence_json.hpp"
#include "storage/fields.hpp"
#include "storage/file.hpp"
#include "storage/hardware_json.hpp"
#include "storage/measurement_json.hpp"
#include "storage/plan_json.hpp"
#include "storage/sample_record_json.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

std::string refusal(std::function<void()> const& act) {
    try {
        act();
    } catch (InputError const& error) {
        return error.what();
    }
    return "accepted";
}

TEST(Integers, OfAFileFitTheirTypeOrAreRefused) {
    auto const read = [](char const* text, auto least) {
        using Integer = decltype(least);
        return refusal([&] { (void)integer_of<Integer>(json::parse(text), "f.json#/n", least); });
    };
    EXPECT_EQ(integer_of<int>(json::parse("2147483647"), "", 0), 2147483647);
    EXPECT_EQ(integer_of<std::uint64_t>(json::parse("18446744073709551615"), "", 0),
              18446744073709551615U);
    EXPECT_EQ(read("2147483648", 0), "f.json#/n: got 2147483648 (at most 2147483647)");
    EXPECT_EQ(read("4294967297", 1), "f.json#/n: got 4294967297 (at most 2147483647)");  // low bits: 1
    EXPECT_EQ(read("18446744073709551615", std::int64_t{0}),
              "f.json#/n: got 18446744073709551615 (at most 9223372036854775807)");  // as int64: -1
    EXPECT_EQ(read("-9223372036854775808", 0), "f.json#/n: got -9223372036854775808 (at least 0)");
    EXPECT_EQ(read("-1", std::uint64_t{0}), "f.json#/n: got -1 (at least 0)");
    for (char const* no_integer : {"1.0", "1e3", "99999999999999999999", "\"1\"", "true",
                                   "null", "[1]", "{}"}) {
        EXPECT_THAT(read(no_integer, 0), HasSubstr("(an integer)")) << no_integer;
    }
}

/// A reader and one good input of it.
struct Format {
    std::string name;
    json good;
    std::function<void(json const&)> read;
};

fs::path const registry = fs::path{DERATE_SOURCE_DIR} / "hardware_registry";

std::vector<Format> const& formats() {
    static std::vector<Format> const all = [] {
        auto const of_file = [](char const* name, fs::path const& file, auto reader) {
            return Format{name, read_json(file),
                          [reader](json const& value) { (void)reader(value, "a#/b.json"); }};
        };
        std::vector<Format> list;
        list.push_back(of_file("hardware", registry / "cpu/i7-12700K/hardware.json",
                               &hardware_from_json));
        list.push_back(of_file("legacy", registry / "cpu/i7-12700K/legacy_curves.json",
                               &calibration_from_json));
        list.push_back(of_file("defaults", registry / "defaults/cpu/efficiency_curves.json",
                               &calibration_from_json));
        list.push_back(of_file("curves", registry / "cpu/i7-12700K/efficiency_curves.json",
                               &calibration_from_json));
        list.push_back(of_file("measurement",
                               registry.parent_path() / "docs/examples/resnet18_orin.json",
                               &measurement_from_json));
        auto evidence = of_file("evidence",
                                registry / "cpu/i7-12700K/evidence/efficiency_curves.json.gz",
                                &evidence_from_json);
        auto const first = evidence.good["models"][0];  // one model with its cases is enough
        evidence.good["models"] = json::array({first});
        auto cases = json::array();
        for (auto& index : evidence.good["models"][0]["cases"]) {
            cases.push_back(evidence.good["cases"][index.get<std::size_t>()]);
            index = cases.size() - 1;
        }
        evidence.good["cases"] = cases;
        list.push_back(std::move(evidence));
        Plan plan{
            .campaign = "c", .launch = 0, .seed = 1, .execution = {.threads = 1, .cpus = {0}}};
        plan.models = {{.name = "m", .file = "m.pt2", .batch = 1}};
        plan.cases = {{.key = "k", .model = 0, .subgraph = 3}};
        plan.steps = {{.kind = StepKind::isolated, .index = 0}};
        plan.done = {0};
        list.push_back({"plan", json::parse(to_json_text(plan)), [](json const& value) {
                            (void)plan_from_json(value.dump(), "a#/b.jsonl:1");
                        }});
        Environment environment{.cpu_name = "cpu", .logical_cpus = 2};
        environment.loaded_libraries = {{.name = "libc", .version = "2.36", .path = "/lib"}};
        list.push_back({"environment", json::parse(to_json_text(environment)), [](json const& value) {
                            (void)environment_from_json(value.dump(), "a#/b.jsonl:1");
                        }});
        auto const add_line = [&list](char const* name, SampleContent content) {
            SampleRecord const line{
                .launch = 1, .sequence = 7, .time_ns = 5, .content = std::move(content)};
            list.push_back({name, json::parse(to_json_line(line)), [](json const& value) {
                                (void)sample_record_from_json(value.dump(), "a#/b.jsonl:2");
                            }});
        };
        add_line("campaign_line", CampaignLine{.settings = plan});
        add_line("environment_line", EnvironmentLine{environment});
        add_line("in_context_line", InContextLine{.model = "m",
                                                  .batch = 1,
                                                  .iterations = 3,
                                                  .time_ms = 1.5,
                                                  .subgraph_ms = {0.5, 1.0},
                                                  .warmup = 1});
        add_line("isolated_line",
                 IsolatedLine{.case_key = "k", .model = "m", .times = {.time_ms = 1.5}});
        return list;
    }();
    return all;
}

void all_pointers(json const& value, json::json_pointer const& here,
                  std::vector<json::json_pointer>& result) {
    result.push_back(here);
    if (value.is_object()) {
        for (auto const& [key, member] : value.items()) all_pointers(member, here / key, result);
    } else if (value.is_array()) {
        for (std::size_t i = 0; i < value.size(); ++i) all_pointers(value[i], here / i, result);
    }
}

json deep(int levels) {
    json value = 1;
    for (int i = 0; i < levels; ++i) value = json::array({std::move(value)});
    return value;
}

class OutsideValues : public testing::TestWithParam<Format> {};

TEST_P(OutsideValues, AreReadOrRefusedByName) {
    auto const& format = GetParam();
    ASSERT_EQ(refusal([&] { format.read(format.good); }), "accepted");
    std::vector<json::json_pointer> places;
    all_pointers(format.good, json::json_pointer{}, places);
    // Long files repeat themselves and take long to read: then a few places spread over them.
    auto const stride = places.size() / (places.size() > 2000 ? 20 : 100) + 1;
    json const values[]{nullptr, true, -1, 0, 1.5, 1e300, 4294967297, INT64_MIN, UINT64_MAX, "", "x",
                        json::array(), json::array({"x"}), json::object(), json{{"x", 1}}, deep(150)};
    for (std::size_t i = 0; i < places.size(); i += stride) {
        for (auto const& value : values) {
            auto damaged = format.good;
            damaged[places[i]] = value;
            try {
                format.read(damaged);
            } catch (InputError const& error) {
                EXPECT_THAT(error.where(), testing::StartsWith("a#/b.json"));
            } catch (std::exception const& error) {
                ADD_FAILURE() << places[i].to_string() << " = " << value.dump().substr(0, 40) << ": "
                              << error.what();
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Formats, OutsideValues, testing::ValuesIn(formats()),
                         [](auto const& tested) { return tested.param.name; });

TEST(Nesting, BeyondTheLimitIsRefusedInEveryKindOfLine) {
    for (int const levels : {json_depth_limit + 1, 5000, 2'000'000}) {
        auto const deep = std::string(static_cast<std::size_t>(levels), '[') + "1" +
                          std::string(static_cast<std::size_t>(levels), ']');
        auto const sample = R"({"kind":"environment","launch":0,"time_ns":1,"environment":)" + deep + "}";
        EXPECT_THAT(refusal([&] { (void)parse_json(deep, "f"); }), HasSubstr("nested deeper"));
        EXPECT_THAT(refusal([&] { (void)sample_record_from_json(sample, "f:1"); }),
                    HasSubstr("f:1: nested deeper than 200 levels"));
        EXPECT_THAT(refusal([&] { (void)environment_from_json(deep, "f"); }),
                    HasSubstr("nested deeper"));
        EXPECT_THAT(refusal([&] { (void)plan_from_json(deep, "f"); }), HasSubstr("nested deeper"));
    }
}

TEST(HardwareIds, AreNamesOfFolders) {
    for (char const* good : {"i7-12700K", "jetson_orin_agx", "a", "9950x3d", "kvm-x.y"}) {
        EXPECT_EQ(parse_hardware_id(good), good);
    }
    for (std::string const& bad :
         {std::string{}, std::string{"."}, std::string{".."}, std::string{"../../evil"},
          std::string{"a/b"}, std::string{"/abs"}, std::string{"-rf"}, std::string{".hidden"},
          std::string{"_x"}, std::string{"a b"}, std::string{"a\nb"}, std::string{"a\0b", 3},
          std::string{"a|b"}, std::string{"ä"}, std::string(129, 'a')}) {
        EXPECT_FALSE(parse_hardware_id(bad)) << bad;
    }
}

}  // namespace
}  // namespace derate
