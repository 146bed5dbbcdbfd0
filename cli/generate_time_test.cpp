// What generating takes is what its prefill and its steps take, as estimate prices them one by one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ctest/program_run.hpp"
#include "ctest/temporary_folder.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

ProgramRun derate(std::string const& line) {
    return run_program("env -u DERATE_REGISTRY -u DERATE_REGISTRY_ONLY " +
                       std::string{DERATE_PROGRAM} + " " + line + " 2>&1");
}

std::string const hardware = " --hardware kvm-amd-epyc-zen5-2c";

json answer(std::string const& line) {
    auto const ran = derate(line + hardware + " --json --quiet");
    EXPECT_EQ(ran.code, 0) << ran.output.substr(0, 500);
    return json::parse(ran.output, nullptr, false);
}

json step_at(std::int64_t keys, std::string const& flags = {}) {
    return answer("estimate --model gpt2_small_decode --dim caches_0[2]=" + std::to_string(keys) +
                  flags);
}

TEST(GenerateTime, IsThePrefillAndEachStepPricedAlone) {
    auto const all = answer("generate-time --model gpt2_small --prompt 64 --new 4");
    auto const prefill = answer("estimate --model gpt2_small_prefill --seq 64");
    ASSERT_EQ(all.at("steps").size(), 3U) << "the prefill makes the first token";
    EXPECT_DOUBLE_EQ(all.at("first_token").at("latency_ms").get<double>(),
                     prefill.at("latency_ms").get<double>());
    double sum = 0;
    double lower = 0;
    double upper = 0;
    for (std::int64_t const keys : {65, 66, 67}) {  // its own among them
        auto const& step = all.at("steps").at(static_cast<std::size_t>(keys - 65));
        auto const alone = step_at(keys);
        EXPECT_EQ(step.at("keys"), keys);
        EXPECT_EQ(step.at("steps"), 1);
        EXPECT_DOUBLE_EQ(step.at("latency_ms").get<double>(), alone.at("latency_ms").get<double>());
        sum += alone.at("latency_ms").get<double>();
        lower += alone.at("ci_95_lower_ms").get<double>();
        upper += alone.at("ci_95_upper_ms").get<double>();
    }
    auto const& token = all.at("token");
    EXPECT_NEAR(token.at("latency_ms").get<double>(), sum / 3, 1e-9 * sum);
    EXPECT_NEAR(token.at("ci_95_lower_ms").get<double>(), lower / 3, 1e-9 * lower);
    EXPECT_NEAR(token.at("ci_95_upper_ms").get<double>(), upper / 3, 1e-9 * upper);
    EXPECT_NEAR(all.at("total").at("latency_ms").get<double>(),
                prefill.at("latency_ms").get<double>() + sum, 1e-9 * sum);
    EXPECT_NEAR(all.at("tokens_per_second").get<double>(), 3e3 / sum, 1e-9 * 3e3 / sum);
    EXPECT_NEAR(all.at("tokens_per_second_ci_95_upper").get<double>(), 3e3 / lower,
                1e-9 * 3e3 / lower);
}

TEST(GenerateTime, CountsTheTokensOfAllSequences) {
    auto const all = answer("generate-time --model gpt2_small --prompt 64 --new 2 --batch 4");
    EXPECT_EQ(all.at("sequences"), 4);
    auto const alone = step_at(65, " --batch 4").at("latency_ms").get<double>();
    EXPECT_DOUBLE_EQ(all.at("token").at("latency_ms").get<double>(), alone);
    EXPECT_NEAR(all.at("tokens_per_second").get<double>(), 4e3 / alone, 1e-9 * 4e3 / alone);
}

// The sum over a straight line is that of all its points.
TEST(GenerateTime, StandsForTheStepsBetweenThoseThatItPrices) {
    auto const all = answer("generate-time --model gpt2_small --prompt 1 --new 1000");
    auto const& steps = all.at("steps");
    ASSERT_EQ(steps.size(), 512U);
    EXPECT_EQ(steps.front().at("keys"), 2);
    EXPECT_EQ(steps.back().at("keys"), 1000);
    double count = 0;
    double keys = 0;
    for (auto const& step : steps) {
        count += step.at("steps").get<double>();
        keys += step.at("steps").get<double>() * step.at("keys").get<double>();
    }
    EXPECT_DOUBLE_EQ(count, 999);
    EXPECT_DOUBLE_EQ(keys, 999 * (2 + 1000) / 2.0);
}

TEST(GenerateTime, ReadsAnAllocatedCacheWholeAtEveryStep) {
    auto const all =
        answer("generate-time --model gpt2_small --prompt 64 --new 100 --cache-length 1024");
    ASSERT_EQ(all.at("steps").size(), 1U);
    EXPECT_EQ(all.at("cache"), "allocated");
    EXPECT_EQ(all.at("steps")[0].at("steps"), 99);
    auto const alone = step_at(1024).at("latency_ms").get<double>();
    EXPECT_DOUBLE_EQ(all.at("token").at("latency_ms").get<double>(), alone);
}

/// A graph of workloads/testdata/make_symbolic_graphs.py as a file of its own.
std::string graph_file(TemporaryFolder const& folder, std::string const& name) {
    auto const all = std::filesystem::path{DERATE_TEST_DATA} / "symbolic_graphs.json.gz";
    constexpr std::size_t limit = std::size_t{64} << 20;
    auto const graphs = json::parse(gzip_expand(read_text(all, limit), all.string(), limit));
    auto const file = folder.path() / (name + ".json.gz");
    write_atomically(file, gzip_compress(graphs.at(name).at("symbolic").dump()));
    return file.string();
}

TEST(GenerateTime, ReadsTheWholeCacheOfAnExportOfTransformers) {
    TemporaryFolder const folder{"derate_generate_"};
    auto const file = graph_file(folder, "transformers_llama");  // a cache of 48 in buffers
    auto const pair = "generate-time --prefill " + file + " --decode " + file;
    auto const all = answer(pair + " --prompt 7 --new 20");
    EXPECT_EQ(all.at("cache"), "fixed");
    ASSERT_EQ(all.at("steps").size(), 1U);
    EXPECT_EQ(all.at("steps")[0].at("keys"), 48);
    EXPECT_EQ(all.at("steps")[0].at("steps"), 19);
    auto const sizes = [](std::string const& tokens) {
        return " --dim input_ids[1]=" + tokens + " --dim cache_position[0]=" + tokens;
    };
    EXPECT_DOUBLE_EQ(all.at("token").at("latency_ms").get<double>(),
                     answer("estimate --model " + file + sizes("1")).at("latency_ms"));
    EXPECT_DOUBLE_EQ(all.at("first_token").at("latency_ms").get<double>(),
                     answer("estimate --model " + file + sizes("7")).at("latency_ms"));
    EXPECT_EQ(derate(pair + " --prompt 29 --new 20" + hardware + " --quiet").code, 0);
    auto const longer = derate(pair + " --prompt 30 --new 20" + hardware);
    EXPECT_EQ(longer.code, 2);
    EXPECT_THAT(longer.output, HasSubstr("attends to 48 keys, fewer than the 49"));
}

TEST(GenerateTime, GivesAStepThatAppendsACacheWithoutItsOwnKey) {
    TemporaryFolder const folder{"derate_generate_"};
    auto const file = graph_file(folder, "growing_cache");
    auto const all = answer("generate-time --prefill gpt2_small_prefill --decode " + file +
                            " --prompt 64 --new 3");
    ASSERT_EQ(all.at("steps").size(), 2U);
    EXPECT_EQ(all.at("steps")[1].at("keys"), 66);
    EXPECT_DOUBLE_EQ(
        all.at("steps")[1].at("latency_ms").get<double>(),
        answer("estimate --model " + file + " --dim ids[0]=1 --dim keys[2]=65 --dim values[2]=65")
            .at("latency_ms"));
}

TEST(GenerateTime, RefusesWithASentence) {
    std::string const data = DERATE_TEST_DATA;
    std::string const sizes = " --prompt 64 --new 8";
    struct Case {
        std::string flags;
        std::vector<std::string> words;
    };
    for (auto const& [flags, words] : std::vector<Case>{
             {"--prefill gpt2_small_prefill" + sizes, {"--decode: is not given"}},
             {sizes, {"--prefill: is not given"}},
             {"--model gpt2_smal" + sizes, {"no such model", "gpt2_small_prefill"}},
             {"--model gpt2_small --decode gpt2_small_decode" + sizes,
              {"names prefill and decode"}},
             {"--model gpt2_small --prompt 0 --new 8", {"--prompt: got 0 (1 to"}},
             {"--model gpt2_small --prompt 8 --new 1", {"--new: got 1 (2 to"}},
             {"--model gpt2_small --batch 0" + sizes, {"--batch 0: not a batch size"}},
             {"--model gpt2_small --prompt 1000 --new 100", {"to 1024, not"}},
             {"--model gpt2_small --cache-length 70" + sizes, {"shorter than the 71 keys"}},
             {"--model gpt2_small --cache-dim ids[1]" + sizes, {"has no such dimension", "one of"}},
             {"--model gpt2_small --prompt-dim seq" + sizes, {"--prompt-dim seq: ", "ids[0]"}},
             {"--model gpt2_small --dim pixels=3" + sizes, {"neither export has such", "decode:"}},
             {"--prefill gpt2_small_decode --decode gpt2_small_decode" + sizes,
              {"was exported for a prompt of 1 tokens, not 64"}},
             {"--prefill gpt2_small_prefill --decode gpt2" + sizes,
              {"attends to 1 keys, fewer than the 71"}},
             {"--prefill resnet18 --decode gpt2_small_decode" + sizes, {"token ids"}},
             {"--prefill gpt2_small_prefill --decode " + data + "/tiny_cnn.pt2 --cache-length 9" +
                  sizes,
              {"has the length that it was exported with"}},
         }) {
        auto const ran = derate("generate-time " + flags + hardware);
        EXPECT_EQ(ran.code, 2) << flags << ran.output.substr(0, 300);
        for (auto const& word : words) EXPECT_THAT(ran.output, HasSubstr(word)) << flags;
        EXPECT_EQ(std::count(ran.output.begin(), ran.output.end(), '\n'), 1) << ran.output;
    }
}

TEST(GenerateTime, SaysWhatItSums) {
    auto const text =
        derate("generate-time --model llama_small --prompt 32 --new 20 --quiet" + hardware).output;
    EXPECT_THAT(text, AllOf(HasSubstr("time to first token"), HasSubstr("time a token"),
                            HasSubstr("tokens a second"), HasSubstr("19 steps, each priced"),
                            HasSubstr("attention")));
}

}  // namespace
}  // namespace derate
