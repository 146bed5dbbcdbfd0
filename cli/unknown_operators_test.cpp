// What an estimate says of operators that the table does not know, and of a model without any.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ctest/program_run.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

fs::path const registry{DERATE_REGISTRY_FOLDER};

/// Of an export in workloads/testdata (made by ctest/make_unknown_operator_exports.py).
ProgramRun estimate(std::string const& model, std::string const& flags) {
    return run_program("env -u DERATE_REGISTRY -u DERATE_REGISTRY_ONLY " +
                       std::string{DERATE_PROGRAM} + " estimate --hardware kvm-intel-xeon-2c " +
                       "--model " +
                       (registry.parent_path() / "workloads/testdata" / model).string() +
                       ".json.gz " + flags + " 2>&1");
}

json estimate_json(std::string const& model) {
    auto const ran = estimate(model, "--json --quiet");
    EXPECT_EQ(ran.code, 0) << ran.output;
    return json::parse(ran.output);
}

TEST(UnknownOperators, ThatHoldLittleAreNamed) {
    auto const answer = estimate_json("unknown_small");
    std::vector<std::string> codes;
    for (auto const& warning : answer.at("coded_warnings")) codes.push_back(warning.at("code"));
    // It is exported at batch 2, and that machine was timed at batch 1.
    ASSERT_THAT(codes, testing::ElementsAre("small_model", "unseen_batch", "unknown_operators"));
    EXPECT_THAT(answer.at("warnings")[2].get<std::string>(),
                HasSubstr("unknown_operators: own.wavelet: work unknown"));
    EXPECT_EQ(answer.at("unknown_operators").at("calls"), 1);
    EXPECT_LT(answer.at("unknown_operators").at("possible_share_of_work").get<double>(), 1e-3);
    EXPECT_GT(answer.at("ci_95_upper_ms").get<double>(), answer.at("latency_ms").get<double>());

    auto const text = estimate("unknown_small", "--quiet").output;
    EXPECT_THAT(text, HasSubstr("own.wavelet: work unknown")) << "it is part of the answer";
    EXPECT_THAT(text, Not(HasSubstr("or more")));
}

TEST(UnknownOperators, ThatMayHoldMuchLeaveTheIntervalOpenAbove) {
    auto const answer = estimate_json("unknown_large");
    EXPECT_TRUE(answer.at("ci_95_upper_ms").is_null());
    EXPECT_TRUE(answer.at("ci_95_independent_upper_ms").is_null());
    // Most of its time is of kernels that no calibration case shows, so below nothing is known either.
    EXPECT_TRUE(answer.at("ci_95_lower_ms").is_null());
    EXPECT_GT(answer.at("unknown_operators").at("possible_share_of_work").get<double>(), 0.9);
    ASSERT_FALSE(answer.at("warnings").empty());
    EXPECT_THAT(answer.at("warnings").back().get<std::string>(),
                HasSubstr("nothing bounds the latency from above"));

    auto const text = estimate("unknown_large", "").output;
    EXPECT_THAT(text, HasSubstr("not known, at a guess "));
    EXPECT_THAT(text, HasSubstr(" ms or more"));
}

TEST(UnknownOperators, OfAModelThatCallsNothingAreNone) {
    auto const answer = estimate_json("calls_nothing");
    EXPECT_EQ(answer.at("latency_ms"), 0);
    EXPECT_EQ(answer.at("ci_95_upper_ms"), 0);
    EXPECT_TRUE(answer.at("warnings").empty());
    EXPECT_TRUE(answer.at("subgraphs").empty());
    EXPECT_TRUE(answer.at("source").is_null());

    auto const text = estimate("calls_nothing", "");
    EXPECT_EQ(text.code, 0);
    EXPECT_THAT(text.output, HasSubstr(": 0 ms: it calls no operator\n"));
    EXPECT_EQ(estimate("calls_nothing", "--explain 0").code, 2);
}

}  // namespace
}  // namespace derate
