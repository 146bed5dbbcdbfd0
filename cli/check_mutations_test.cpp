// `derate check` on damaged copies of the shipped hardware folders: exit code 2 and the place of
// the damage, for every kind of damage at places spread over the files; the pristine copy passes
// first.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ctest/json_pointers.hpp"
#include "ctest/program_run.hpp"
#include "ctest/temporary_folder.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

ProgramRun check(std::string const& arguments) {
    return run_program(std::string{DERATE_PROGRAM} + " check --quiet " + arguments);
}

/// One damaged file of a folder.
struct Mutation {
    std::string kind;
    fs::path file;        ///< below the copy's root
    std::string bytes;    ///< what it holds instead
    std::string pointer;  ///< of the damage; empty where it has none (syntax)
};

std::string parent_of(std::string const& pointer) { return pointer.substr(0, pointer.rfind('/')); }
std::string last_of(std::string const& pointer) { return pointer.substr(pointer.rfind('/') + 1); }

bool is_one_of(std::string const& name, std::initializer_list<char const*> names) {
    return std::ranges::find(names, name) != names.end();
}

/// Fields that every file needs where they stand: to drop one breaks a rule.
bool is_required(std::string const& name) {
    return is_one_of(name, {"$schema",
                            "hardware_id",
                            "device_kind",
                            "precision",
                            "threads",
                            "source",
                            "units",
                            "partition",
                            "flop_rule",
                            "denominators",
                            "calibration_metadata",
                            "efficiency_curves",
                            "date",
                            "tool_version",
                            "models_used",
                            "num_samples",
                            "origin",
                            "sha256",
                            "file",
                            "axis",
                            "interpolation",
                            "extrapolation",
                            "data_points",
                            "fitted_curve",
                            "efficiency_mean",
                            "num_observations",
                            "type",
                            "parameters",
                            "r_squared",
                            "residual_std",
                            "lower",
                            "upper",
                            "per_second",
                            "name",
                            "compute_peaks",
                            "bandwidth_peaks",
                            "rate",
                            "last_level_cache_bytes",
                            "power_mode",
                            "t_quantile",
                            "amplitude",
                            "weights",
                            "segments",
                            "microseconds",
                            "cite"});
}

/// Counts, sizes, times and shares: below zero they mean nothing.
bool must_not_be_negative(std::string const& name) {
    return is_one_of(name, {"flops",
                            "efficiency_mean",
                            "efficiency_std",
                            "efficiency_min",
                            "efficiency_max",
                            "num_observations",
                            "num_samples",
                            "kernel_seconds",
                            "byte_coefficient",
                            "flop_coefficient",
                            "per_second",
                            "length_scale",
                            "noise",
                            "log_variance",
                            "residual_std",
                            "t_quantile",
                            "degrees_of_freedom",
                            "kernels",
                            "microseconds",
                            "last_level_cache_bytes",
                            "bytes_per_second",
                            "flops_per_second"});
}

json::json_pointer at(std::string const& pointer) { return json::json_pointer{pointer}; }

/// Makes damage of every kind in one JSON file, at most `each` of a kind, evenly over the file.
class Damage {
  public:
    Damage(fs::path file, std::string const& text)
        : file_{std::move(file)},
          text_{text},
          original_(json::parse(text)) {  // braces would make an array of it
        all_pointers(original_, "", pointers_);
    }

    void everywhere(std::size_t each) {
        auto const in_object = [this](std::string const& p) {
            return original_[at(parent_of(p))].is_object();
        };
        spread(
            each, [&](auto const& p) { return in_object(p) && is_required(last_of(p)); },
            [this](std::string const& p) {
                change("drop", p, [&](json& d) { d[at(parent_of(p))].erase(last_of(p)); });
            });
        // Names in these maps are the file's own.
        auto const is_key = [&](std::string const& p) {
            return in_object(p) &&
                   !is_one_of(last_of(parent_of(p)), {"features", "operator_types", "constants"}) &&
                   !is_one_of(last_of(parent_of(parent_of(p))), {"operator_types"});
        };
        spread(each, is_key, [this](std::string const& p) {
            change("misspell", p + "x", [&](json& d) {
                auto& object = d[at(parent_of(p))];
                object[last_of(p) + "x"] = object[last_of(p)];
                object.erase(last_of(p));
            });
        });
        spread(
            each, [](auto const&) { return true; },
            [this](std::string const& p) {
                change("retype", p, [&](json& d) {
                    d[at(p)] = d[at(p)].is_object() ? json(3) : json::object();
                });
            });
        spread(
            each,
            [this](auto const& p) {
                auto const& value = original_[at(p)];
                return value.is_number() && value > 0 && must_not_be_negative(last_of(p));
            },
            [this](std::string const& p) {
                change("negate", p, [&](json& d) { d[at(p)] = -d[at(p)].get<double>(); });
            });
        for (std::size_t i = 1; i <= each / 2; ++i) {
            raw("truncate", text_.substr(0, text_.size() * i / (each / 2 + 1)));
        }
        spread(
            each / 2, [this](auto const& p) { return original_[at(p)].is_number_float(); },
            [this](std::string const& p) {
                for (auto const* bad : {"NaN", "-Infinity"}) {
                    auto marked = original_;
                    marked[at(p)] = "@here@";
                    auto bytes = pretty_json(marked);
                    auto const place = bytes.find("\"@here@\"");
                    raw(bad, bytes.replace(place, 8, bad));
                }
            });
    }

    void reordered_knots(std::size_t each) {
        spread(
            each,
            [this](auto const& p) {
                return last_of(p) == "data_points" && original_[at(p)].size() > 1;
            },
            [this](std::string const& p) {
                change("reorder points", p + "/1/",
                       [&](json& d) { std::swap(d[at(p)][0], d[at(p)][1]); });
            });
        spread(
            each,
            [this](auto const& p) {
                return last_of(p) == "work" && original_[at(p)].is_array() &&
                       original_[at(p)].size() > 1;
            },
            [this](std::string const& p) {
                change("reorder knots", p + "/1",
                       [&](json& d) { std::swap(d[at(p)][0], d[at(p)][1]); });
            });
    }

    void change(std::string kind, std::string pointer, std::function<void(json&)> const& how) {
        auto document = original_;
        how(document);
        mutations_.push_back({std::move(kind), file_, pretty_json(document), std::move(pointer)});
    }
    void raw(std::string kind, std::string bytes) {
        mutations_.push_back({std::move(kind), file_, std::move(bytes), ""});
    }
    void nested() {
        for (std::string_view const opening : {"[", "{\"a\":"}) {
            std::string deep;
            for (int i = 0; i < 100'000; ++i) deep += opening;
            raw("nest", deep);
            auto inside = text_;
            raw("nest inside", inside.insert(inside.find('{') + 1, "\"deep\": " + deep));
        }
    }

    [[nodiscard]] std::vector<Mutation> const& mutations() const { return mutations_; }

  private:
    /// Applies `make` to at most `each` of the pointers that `suits`, spread over the file.
    void spread(std::size_t each, std::function<bool(std::string const&)> const& suits,
                std::function<void(std::string const&)> const& make) {
        std::vector<std::string> suitable;
        std::ranges::copy_if(pointers_, std::back_inserter(suitable), suits);
        auto const count = std::min(each, suitable.size());
        for (std::size_t i = 0; i < count; ++i) make(suitable[i * suitable.size() / count]);
    }

    fs::path file_;
    std::string text_;
    json original_;
    std::vector<std::string> pointers_;
    std::vector<Mutation> mutations_;
};

class CheckMutations : public testing::Test {
  protected:
    CheckMutations() {
        for (auto const* folder : {"cpu/i7-12700K", "gpu/jetson_orin_agx"}) {
            fs::create_directories((root_ / folder).parent_path());
            fs::copy(fs::path{DERATE_REGISTRY_FOLDER} / folder, root_ / folder,
                     fs::copy_options::recursive);
        }
    }

    Damage damage(fs::path const& file) const { return {file, read_text(root_ / file)}; }

    TemporaryFolder temporary_{"derate_mutations_"};
    fs::path const root_ = temporary_.path();
};

TEST_F(CheckMutations, EachIsRefusedWithItsPlace) {
    auto const pristine = check(root_.string());
    ASSERT_EQ(pristine.code, 0) << pristine.output;

    std::vector<Mutation> all;
    auto const take = [&](Damage const& damage) {
        all.insert(all.end(), damage.mutations().begin(), damage.mutations().end());
    };
    fs::path const curves = "cpu/i7-12700K/efficiency_curves.json";
    auto imported = damage(curves);
    imported.everywhere(24);
    imported.reordered_knots(6);
    imported.nested();
    imported.change("wrong hash", "/calibration_metadata/evidence/0/sha256", [](json& document) {
        document["calibration_metadata"]["evidence"][0]["sha256"] = std::string(64, 'f');
    });
    imported.change("other folder", "/hardware_id",
                    [](json& document) { document["hardware_id"] = "i7-12700"; });
    imported.change("newer version", "/$schema",
                    [](json& document) { document["$schema"] = "efficiency_calibration_v2.json"; });
    take(imported);
    for (auto const* file : {"cpu/i7-12700K/legacy_curves.json", "cpu/i7-12700K/hardware.json",
                             "gpu/jetson_orin_agx/efficiency_curves.json"}) {
        auto other = damage(file);
        other.everywhere(8);
        take(other);
    }
    EXPECT_GE(all.size(), 200U);
    std::map<std::string, int> kinds;
    for (auto const& mutation : all) {
        SCOPED_TRACE(mutation.kind + " " + mutation.file.string() + "#" + mutation.pointer);
        ++kinds[mutation.kind];
        auto const path = root_ / mutation.file;
        auto const original = read_text(path);
        ASSERT_NE(original, mutation.bytes);
        write_atomically(path, mutation.bytes);
        auto const outcome = check("--json " + path.string());
        write_atomically(path, original);
        EXPECT_EQ(outcome.code, 2) << outcome.output;
        auto const report = json::parse(outcome.output, nullptr, false);
        if (report.is_discarded() || report.at(0).at("violations").empty()) {
            ADD_FAILURE() << "no violation is named: " << outcome.output;
            continue;
        }
        auto const& violations = report.at(0).at("violations");
        EXPECT_TRUE(std::any_of(violations.begin(), violations.end(), [&](json const& violation) {
            auto const pointer = violation.at("pointer").get<std::string>();
            return mutation.pointer.empty() ? !violation.at("problem").empty()
                                            : pointer.find(mutation.pointer) != pointer.npos;
        })) << violations.dump(1);
    }
    for (auto const* kind :
         {"drop", "misspell", "retype", "negate", "truncate", "NaN", "-Infinity", "reorder points",
          "reorder knots", "nest", "nest inside", "wrong hash"}) {
        EXPECT_GT(kinds[kind], 0) << kind;
    }
    EXPECT_EQ(check(root_.string()).code, 0);  // each was put back
}

TEST_F(CheckMutations, DamagedEvidenceIsNamedInTheFileThatClaimsIt) {
    auto const evidence = root_ / "cpu/i7-12700K/evidence/efficiency_curves.json.gz";
    auto bytes = read_text(evidence);
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    write_atomically(evidence, bytes);
    auto const changed = check((root_ / "cpu/i7-12700K/efficiency_curves.json").string());
    EXPECT_EQ(changed.code, 2);
    EXPECT_THAT(changed.output, HasSubstr("#/calibration_metadata/evidence/0/sha256: "));
    EXPECT_EQ(check(evidence.string()).code, 2);

    fs::remove(evidence);
    auto const absent = check((root_ / "cpu/i7-12700K/efficiency_curves.json").string());
    EXPECT_EQ(absent.code, 2);
    EXPECT_THAT(absent.output, HasSubstr("#/calibration_metadata/evidence/0/file: "));
}

TEST_F(CheckMutations, AMisspeltKeyGetsTheOneThatWasMeant) {
    auto const file = root_ / "cpu/i7-12700K/hardware.json";
    auto document = read_json(file);
    document["last_level_cache_byte"] = document["last_level_cache_bytes"];
    document.erase("last_level_cache_bytes");
    document["names"] = document["name"];
    document.erase("name");
    write_atomically(file, document.dump());
    auto const outcome = check(file.string());
    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.output, HasSubstr("did you mean \"last_level_cache_bytes\"?"));
    EXPECT_THAT(outcome.output, HasSubstr("did you mean \"name\"?"));
}

}  // namespace
}  // namespace derate
