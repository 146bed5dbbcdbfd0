#include <ATen/core/dispatch/Dispatcher.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <string>

#include "storage/file.hpp"
#include "workloads/model_set.hpp"
#include "workloads/operator_table.hpp"
#include "workloads/partition.hpp"

namespace derate::benchmarks {
namespace {

using testing::IsEmpty;

bool holds_tensors(c10::TypePtr const& type) {
    return type->str().find("Tensor") != std::string::npos;
}

/// A call that an inference graph can hold: takes and returns tensors, writes into none that it is
/// given to return, and computes no gradient.
bool is_callable_with_tensors(c10::FunctionSchema const& schema) {
    auto const& arguments = schema.arguments();
    bool const is_out = std::ranges::any_of(arguments, [](c10::Argument const& argument) {
        return argument.is_out();
    });
    auto const takes = std::ranges::any_of(
        arguments, [](c10::Argument const& argument) { return holds_tensors(argument.type()); });
    auto const returns = std::ranges::any_of(schema.returns(), [](c10::Argument const& argument) {
        return holds_tensors(argument.type());
    });
    // Packed parameters are objects, which a graph cannot hold.
    bool const takes_objects = std::ranges::any_of(arguments, [](c10::Argument const& argument) {
        return argument.type()->str().find("__torch__") != std::string::npos;
    });
    return takes && returns && !is_out && !takes_objects &&
           schema.name().find("backward") == std::string::npos;
}

/// ATen operators of LibTorch's dispatcher that can be called with tensors and that the table knows
/// or does not.
struct Coverage {
    std::set<std::string> known;
    std::set<std::string> unknown;
};

Coverage coverage() {
    Coverage result;
    for (auto const& name : c10::Dispatcher::singleton().getAllOpNames()) {
        auto const op = c10::Dispatcher::singleton().findSchema(name);
        if (!op || !name.name.starts_with("aten::")) continue;
        if (!is_callable_with_tensors(op->schema())) continue;
        auto const plain = name.name.substr(std::string_view{"aten::"}.size());
        ProgramNode const node{.target = "torch.ops.aten." + plain + ".default"};
        (find_operator(node) != nullptr ? result.known : result.unknown).insert(plain);
    }
    // An in-place call is that of its operator.
    std::erase_if(result.unknown, [&](std::string const& name) {
        return name.ends_with('_') && result.unknown.contains(name.substr(0, name.size() - 1));
    });
    return result;
}

/// How many calls of the shipped models each unknown operator has.
std::map<std::string, int> calls_in_shipped_models(std::set<std::string> const& names) {
    std::map<std::string, int> calls;
    for (auto const& entry : read_catalogue(models_directory())) {
        for (auto const& file : entry.files) {
            for (auto const& node :
                 load_model(entry.name, std::nullopt, file.precision).program.nodes) {
                std::string const name{operator_name(node)};
                if (names.contains(name)) ++calls[name];
            }
        }
    }
    return calls;
}

std::string page_section(Coverage const& found) {
    std::string text = "Of " + std::to_string(found.known.size() + found.unknown.size()) +
                       " ATen operators of LibTorch 2.15 that take and return tensors and compute no "
                       "gradient the table\nknows " +
                       std::to_string(found.known.size()) + ". None of the other " +
                       std::to_string(found.unknown.size()) +
                       " occurs in a shipped model: they hold 0 % of the time of each.\n\n";
    std::string line;
    auto const flush = [&] {
        text += line + "\n";
        line.clear();
    };
    for (auto const& name : found.unknown) {
        auto const word = "`" + name + "`" + (name == *found.unknown.rbegin() ? "" : ",");
        if (!line.empty() && line.size() + 1 + word.size() > 118) flush();
        line += (line.empty() ? "" : " ") + word;
    }
    flush();
    return text;
}

TEST(OperatorCoverage, OfLibTorchIsWhatThePageSays) {
    constexpr std::string_view begin = "<!-- unknown operators: made by benchmarks_tests -->\n";
    constexpr std::string_view end = "<!-- end -->";
    auto const page = std::string{DERATE_SOURCE_DIR} + "/docs/taxonomy.md";
    auto text = read_text(page);
    auto const from = text.find(begin);
    ASSERT_NE(from, std::string::npos);
    auto const start = from + begin.size();
    auto const length = text.find(end, start) - start;
    auto const made = page_section(coverage());
    if (std::getenv("DERATE_UPDATE_DOCS") != nullptr) {
        write_atomically(page, text.replace(start, length, made));
        return;
    }
    EXPECT_EQ(text.substr(start, length), made)
        << "DERATE_UPDATE_DOCS=1 benchmarks_tests writes it anew";
}

TEST(OperatorCoverage, LacksNothingThatAShippedModelCalls) {
    EXPECT_THAT(calls_in_shipped_models(coverage().unknown), IsEmpty());
}

TEST(OperatorCoverage, KnowsEveryProductOfTheDispatcher) {
    // Names by which LibTorch calls what multiplies. What is left is for other devices' packed
    // tensors, sparse or nested ones, which an export that derate reads cannot hold, or updates many
    // parameters at once, which no model does.
    constexpr std::string_view products[] = {"mm",   "matmul", "linear", "dot",
                                             "conv", "lstm",   "gru",    "attention"};
    constexpr std::string_view foreign[] = {"sparse", "nested", "miopen",   "cudnn",   "mps",
                                            "mkldnn", "cslt",   "quantize", "convert", "prepack",
                                            "foreach", "smm",   "spmm",     "sspaddmm",
                                            "pack",   "gamma"};
    auto const names_one_of = [](std::string const& name, auto const& words) {
        return std::ranges::any_of(
            words, [&](auto word) { return name.find(word) != std::string::npos; });
    };
    for (auto const& name : coverage().unknown) {
        EXPECT_TRUE(!names_one_of(name, products) || names_one_of(name, foreign)) << name;
    }
}

}  // namespace
}  // namespace derate::benchmarks
