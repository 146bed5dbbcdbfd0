#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "benchmarks/interpreter.hpp"
#include "benchmarks/seeded_tensors.hpp"
#include "storage/file.hpp"
#include "workloads/model_set.hpp"

namespace derate::benchmarks {
namespace {

nlohmann::json golden() {
    return parse_json(read_text(std::string{DERATE_TEST_DATA} + "/eager_golden.json"),
                      "eager_golden.json");
}

std::vector<std::string> golden_files() {
    std::vector<std::string> files;
    auto const json = golden();
    for (auto const& model : json.at("models")) files.push_back(model.at("file"));
    return files;
}

/// The interpreter computes what PyTorch eager computed with the same weights and inputs.
class EagerGolden : public testing::TestWithParam<std::string> {};

TEST_P(EagerGolden, HasTheSameOutput) {
    auto const json = golden();
    auto const model = *std::ranges::find_if(json.at("models"), [](auto const& candidate) {
        return candidate.at("file") == GetParam();
    });
    // Another number of threads changes the last bits.
    at::set_num_threads(json.at("threads").get<int>());
    c10::InferenceMode const inference;

    auto const program =
        load_model(model.at("model").get<std::string>(), model.at("batch").get<int>(),
                   parse_precision(model.at("precision").get<std::string>()))
            .program;
    auto slots = seeded_inputs(program, 0, "cpu");
    Interpreter interpreter{program, "cpu"};
    interpreter.run(slots);
    auto const output = slots.at(static_cast<std::size_t>(program.outputs.at(0))).contiguous();

    auto const& expected = model.at("output");
    EXPECT_EQ(output.sizes().vec(), expected.at("shape").get<std::vector<std::int64_t>>());
    double const largest = expected.at("max_abs");
    ASSERT_GT(largest, 0.01) << "an output of zeros would prove nothing";
    auto const values = output.to(at::kFloat).flatten();
    double worst = 0;
    for (auto const& sample : expected.at("samples")) {
        auto const value = values[sample.at(0).get<std::int64_t>()].item<float>();
        worst = std::max(worst, std::abs(value - sample.at(1).get<double>()));
    }
    // bf16 keeps 8 bits of the significand.
    double const tolerance = model.at("precision") == "bf16" ? 0.02 : 1e-5;
    EXPECT_LE(worst / largest, tolerance);

    std::string_view const bytes{static_cast<char const*>(output.const_data_ptr()),
                                 output.nbytes()};
    bool const bit_equal = sha256_hex(bytes) == expected.at("sha256").get<std::string>();
    RecordProperty("bit_equal", bit_equal ? "yes" : "no");
    std::cout << GetParam() << ": " << (bit_equal ? "bit-equal" : "equal within tolerance")
              << ", worst " << worst / largest << " of the largest element\n";
}

INSTANTIATE_TEST_SUITE_P(Models, EagerGolden, testing::ValuesIn(golden_files()),
                         [](auto const& file) {
                             auto name = file.param.substr(0, file.param.find('.'));
                             std::ranges::replace(name, '-', '_');
                             return name;
                         });

TEST(SeededValues, AreThoseOfTheRule) {  // printed by ctest/seeded_values.py
    SeededValues const seeded{"conv1.weight"};
    EXPECT_EQ(seeded.hash, 0x69a29a2cee47d254U);
    EXPECT_EQ(seeded.bits(0), 0x8b8a08a85128a1b0U);
    EXPECT_EQ(seeded.bits(3), 0xbc7775e7ed8d088aU);
    std::vector<float> values(4);
    auto const fan_in = 3.0 * 7 * 7;
    seeded.fill_normal(values, 0, 0, static_cast<float>(1 / std::sqrt(1431655765.0 * fan_in)));
    EXPECT_EQ(values[0], -0x1.1476dcp-4F);
    EXPECT_EQ(values[3], 0x1.71f6dcp-6F);
    std::vector<float> last(1);
    seeded.fill_normal(last, 3, 0, static_cast<float>(1 / std::sqrt(1431655765.0 * fan_in)));
    EXPECT_EQ(last[0], values[3]);
}

}  // namespace
}  // namespace derate::benchmarks
