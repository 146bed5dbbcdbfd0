// Rows of a sweep: those of the sizes alone, which sizes have none, and what is unknown of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "ctest/program_run.hpp"
#include "ctest/symbolic_graphs.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

ProgramRun estimate(std::string const& model, std::string const& flags) {
    return run_program("env -u DERATE_REGISTRY -u DERATE_REGISTRY_ONLY " +
                       std::string{DERATE_PROGRAM} + " estimate --hardware kvm-intel-xeon-2c " +
                       "--model " + model + " " + flags);
}

json estimate_json(std::string const& model, std::string const& flags) {
    auto const ran = estimate(model, "--json --quiet " + flags);
    EXPECT_EQ(ran.code, 0) << flags;
    return json::parse(ran.output);
}

/// One of symbolic_graphs() as a file, one operator of it replaced by another.
class GraphFile {
  public:
    GraphFile(std::string const& graph, std::string const& op, std::string const& other)
        : path_{fs::path{testing::TempDir()} /
                ("sweep_" + graph + "_" + std::to_string(::getpid()) + ".json")} {
        auto program = symbolic_graphs().at(graph).at("symbolic");
        for (auto& node : program.at("graph_module").at("graph").at("nodes")) {
            if (node.at("target") == op) node["target"] = other;
        }
        write_atomically(path_, program.dump());
        EXPECT_EQ(run_program("gzip -f " + path_.string()).code, 0);
        path_ += ".gz";
    }
    GraphFile(GraphFile const&) = delete;
    GraphFile& operator=(GraphFile const&) = delete;
    ~GraphFile() { fs::remove(path_); }

    [[nodiscard]] std::string path() const { return path_.string(); }

  private:
    fs::path path_;
};

/// Nineteen sizes are cut once, fewer than twelve each for itself.
TEST(Sweep, CutOnceHasTheRowsOfEachSizeCutAlone) {
    GraphFile const attention{"attention", "", ""};
    auto const cut_once =
        estimate_json(attention.path(), "--dim x[1]=16,32 --dim x[0]=2..20 --target 1ms");
    ASSERT_EQ(cut_once.at("rows").size(), 38U);
    std::size_t row = 0;
    for (auto const* length : {"16", "32"}) {
        for (auto const* batches : {"2..10", "11..20"}) {
            auto const alone =
                estimate_json(attention.path(), std::string{"--dim x[1]="} + length +
                                                    " --dim x[0]=" + batches + " --target 1ms");
            for (auto right : alone.at("rows")) {
                SCOPED_TRACE(right.at("dimensions").dump());
                auto swept = cut_once.at("rows").at(row++);
                // What differs from the row before is said of all but the first.
                for (auto* one : {&right, &swept}) one->erase("notes");
                EXPECT_EQ(swept, right);
            }
        }
    }
    EXPECT_EQ(row, 38U);
    EXPECT_NE(cut_once["rows"][0]["latency_ms"], cut_once["rows"][1]["latency_ms"]);
    EXPECT_NE(cut_once["rows"][0]["latency_ms"], cut_once["rows"][19]["latency_ms"]);
}

TEST(Sweep, LeavesOutTheSizesThatTheExportRefusesAndSaysSo) {
    auto const model = (fs::path{DERATE_TEST_DATA} / "any_batch_cnn.pt2").string();
    auto const answer = estimate_json(model, "--batch 70,62..66");
    ASSERT_EQ(answer.at("rows").size(), 3U);
    EXPECT_EQ(answer["rows"][0]["dimensions"], (json{{"batch", 62}}));
    EXPECT_EQ(answer["rows"][2]["dimensions"], (json{{"batch", 64}}));
    EXPECT_EQ(answer.at("refused").at("count"), 3);
    EXPECT_EQ(answer.at("refused").at("first"), (json{{"batch", 70}}));
    EXPECT_THAT(answer.at("refused").at("why").get<std::string>(), HasSubstr("70"));
    EXPECT_TRUE(estimate_json(model, "--batch 62..64").at("refused").is_null());

    auto const text = estimate(model, "--batch 62..65");
    EXPECT_EQ(text.code, 0);
    EXPECT_THAT(text.output, HasSubstr("\n1 of 4 sizes is refused, the first batch=65: "));
    auto const csv = estimate(model, "--batch 62..66 --csv 2>&1 >/dev/null");
    EXPECT_THAT(csv.output, HasSubstr("2 of 5 sizes are refused, the first batch=65: "));

    auto const none = estimate(model, "--batch 65,66 2>&1");
    EXPECT_EQ(none.code, 2);
    EXPECT_THAT(none.output, HasSubstr("not 65"));
}

TEST(Sweep, SaysOfUnknownOperatorsWhatASingleEstimateSays) {
    GraphFile const model{"mlp_batch", "torch.ops.aten.gelu.default",
                          "torch.ops.own.wavelet.default"};
    auto const answer = estimate_json(model.path(), "--batch 2,3 --target 100s");
    for (auto const& row : answer.at("rows")) {
        auto const alone = estimate_json(model.path(), "--batch " + row.at("batch").dump());
        EXPECT_EQ(row.at("unknown_operators"), alone.at("unknown_operators"));
        EXPECT_EQ(row.at("unknown_operators").at("operators"), json{"own.wavelet"});
        EXPECT_GT(row.at("unknown_operators").at("possible_share_of_work"), 0.1);
        EXPECT_EQ(row.at("ci_95_upper_ms"), alone.at("ci_95_upper_ms"));
        EXPECT_TRUE(row.at("ci_95_upper_ms").is_null());
        EXPECT_EQ(row.at("within_target"), "likely") << "nothing bounds it from above";
    }
    auto const& coded = answer.at("coded_warnings");
    auto const is_said = [](json const& warning) { return warning["code"] == "unknown_operators"; };
    EXPECT_EQ(std::ranges::count_if(coded, is_said), 1);
}

}  // namespace
}  // namespace derate
