#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zip.h>

#include <cstring>
#include <filesystem>

#include "core/input_error.hpp"
#include "workloads/exported_program.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;

fs::path test_data(std::string const& name) { return fs::path{DERATE_TEST_DATA} / name; }

/// The elements of a buffer or constant; empty when they are unknown.
template <class T>
std::vector<T> values_of(ExportedProgram const& program, std::string const& name) {
    for (auto const& input : program.inputs) {
        if (input.name != name) continue;
        auto const found = program.constants.find(input.value);
        if (found == program.constants.end()) return {};
        std::vector<T> values(found->second.size() / sizeof(T));
        std::memcpy(values.data(), found->second.data(), found->second.size());
        return values;
    }
    throw std::out_of_range{name};
}

/// Every minor version that writes export schema 8.
class EveryVersion : public testing::TestWithParam<int> {
  protected:
    ExportedProgram program =
        read_exported_program(test_data("torch_2_" + std::to_string(GetParam()) + ".pt2"));
};

INSTANTIATE_TEST_SUITE_P(ReadExportedProgram, EveryVersion, testing::Range(6, 16),
                         [](auto const& version) {
                             return "Torch2_" + std::to_string(version.param);
                         });

// The values are those that make_version_exports.py gives the buffers.
TEST_P(EveryVersion, GivesTheValuesOfIntegerTensorsHoweverTheyLie) {
    EXPECT_THAT(program.torch_version,
                testing::StartsWith("2." + std::to_string(GetParam()) + "."));
    EXPECT_THAT(values_of<std::int64_t>(program, "order"), ElementsAre(5, 4, 3, 2, 1, 0));
    EXPECT_THAT(values_of<std::int32_t>(program, "transposed"),
                ElementsAre(0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11));
    EXPECT_THAT(values_of<std::int16_t>(program, "window"), ElementsAre(2, 3, 4, 5, 6, 7));
    EXPECT_THAT(values_of<std::int16_t>(program, "every_third"),
                ElementsAre(1, 4, 7, 10, 13, 16, 19));
    EXPECT_THAT(values_of<std::int8_t>(program, "signed_bytes"), ElementsAre(-128, -1, 0, 127));
    EXPECT_THAT(values_of<std::uint8_t>(program, "bytes"), ElementsAre(0, 1, 254, 255));
    EXPECT_THAT(values_of<std::int64_t>(program, "unsaved"), ElementsAre(3, 1, 2));
    EXPECT_THAT(values_of<std::int64_t>(program, "lifted_tensor_0"), ElementsAre(1, 0, 2));
    EXPECT_EQ(program.constants.size(), 10U) << "weights stay in the file";
}

TEST_P(EveryVersion, HoldsAnExpandedDimensionOnce) {
    EXPECT_THAT(values_of<std::uint8_t>(program, "mask"), ElementsAre(1, 0, 1));
    EXPECT_THAT(values_of<std::int64_t>(program, "one_row"), ElementsAre(7));
}

TEST_P(EveryVersion, HoldsTheSameCallsWithTheSameShapes) {
    auto const newest = read_exported_program(test_data("torch_2_15.pt2"));
    auto const calls = [](ExportedProgram const& of) {
        std::vector<std::string> targets;
        for (auto const& node : of.nodes) {
            // What becomes of a literal in forward() differs: lift_fresh_copy alone, or detach_
            // too.
            auto const name = operator_name(node);
            if (!name.starts_with("lift") && !name.starts_with("detach")) {
                targets.push_back(node.target);
            }
        }
        return targets;
    };
    EXPECT_THAT(calls(program), ElementsAreArray(calls(newest)));
    EXPECT_EQ(program.outputs.size(), 2U);
}

TEST(ReadExportedProgram, ReadsEveryPickleProtocol) {
    for (int const protocol : {3, 4, 5}) {
        auto const program = read_exported_program(
            test_data("pickle_protocol_" + std::to_string(protocol) + ".pt2"));
        EXPECT_THAT(values_of<std::int64_t>(program, "order"), ElementsAre(2, 0, 1)) << protocol;
    }
}

TEST(ReadExportedProgram, TakesAModelOfTheMetaDeviceWithoutWeights) {
    for (auto const* const name : {"meta_device_2_7.pt2", "meta_device_2_15.pt2"}) {
        auto const program = read_exported_program(test_data(name));
        EXPECT_FALSE(program.nodes.empty()) << name;
        EXPECT_THAT(values_of<std::int64_t>(program, "order"), testing::IsEmpty()) << name;
    }
}

TEST(ReadExportedProgram, NamesTheSchemaOfAnOlderFile) {
    try {
        static_cast<void>(read_exported_program(test_data("torch_2_5.pt2")));
        FAIL() << "schema 7 is read";
    } catch (InputError const& error) {
        EXPECT_THAT(error.what(), HasSubstr("export schema 7"));
        EXPECT_THAT(error.what(), HasSubstr("PyTorch 2.6 or later"));
    }
}

/// A copy of a test file whose entries are compressed, as a person's zip program packs them.
fs::path packed_anew(std::string const& name) {
    auto const copy = fs::path{testing::TempDir()} / ("derate_packed_" + name);
    fs::copy_file(test_data(name), copy, fs::copy_options::overwrite_existing);
    int code = 0;
    zip_t* const archive = zip_open(copy.c_str(), 0, &code);
    for (zip_int64_t i = 0; i < zip_get_num_entries(archive, 0); ++i) {
        zip_set_file_compression(archive, static_cast<zip_uint64_t>(i), ZIP_CM_DEFLATE, 9);
    }
    EXPECT_EQ(zip_close(archive), 0);
    return copy;
}

TEST(ReadExportedProgram, ReadsCompressedBytesAndSaysWhereItCannot) {
    auto const newest = packed_anew("torch_2_15.pt2");
    EXPECT_EQ(read_exported_program(newest), read_exported_program(test_data("torch_2_15.pt2")));
    fs::remove(newest);
    auto const pickled = packed_anew("torch_2_8.pt2");
    try {
        static_cast<void>(read_exported_program(pickled));
        FAIL() << "a zip compressed in a zip is read";
    } catch (InputError const& error) {
        EXPECT_THAT(error.what(), HasSubstr("is compressed"));
    }
    fs::remove(pickled);
}

}  // namespace
}  // namespace derate
