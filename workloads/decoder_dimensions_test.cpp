#include "workloads/decoder_dimensions.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "storage/file.hpp"
#include "workloads/model_set.hpp"

namespace derate {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

/// Of make_symbolic_graphs.py.
SymbolicProgram symbolic(std::string const& name) {
    auto const file = std::filesystem::path{DERATE_TEST_DATA} / "symbolic_graphs.json.gz";
    constexpr std::size_t limit = std::size_t{64} << 20;
    auto const all =
        nlohmann::json::parse(gzip_expand(read_text(file, limit), file.string(), limit));
    return parse_symbolic_program(all.at(name).at("symbolic").dump(), name);
}

/// The axis that a symbol is, of those that decide.
std::string axis_of(SymbolicProgram const& program, std::string const& symbol) {
    for (auto const& dimension : free_dimensions(program)) {
        if (dimension.symbol == symbol) return dimension.axes.front();
    }
    return "none";
}

TEST(DecoderDimensions, OfAShippedDecodeStepAreBatchAndCache) {
    for (auto const* name : {"llama_small_decode", "gpt2_small_decode"}) {
        auto const program = read_model(name).program;
        auto const found = decoder_dimensions(program);
        ASSERT_THAT(found.cache, SizeIs(1)) << name;
        EXPECT_EQ(axis_of(program, found.cache[0]), "caches_0[2]");
        ASSERT_THAT(found.batch, SizeIs(1)) << name;
        EXPECT_EQ(axis_of(program, found.batch[0]), "ids[0]");
        EXPECT_THAT(found.tokens, IsEmpty());
        EXPECT_EQ(found.fixed_tokens, 1);
        EXPECT_FALSE(found.fixed_batch);
        EXPECT_FALSE(found.appends);
    }
}

TEST(DecoderDimensions, OfAShippedPrefillAreBatchAndPrompt) {
    for (auto const* name : {"llama_small_prefill", "gpt2_small_prefill"}) {
        auto const program = read_model(name).program;
        auto const found = decoder_dimensions(program);
        ASSERT_THAT(found.tokens, SizeIs(1)) << name;
        EXPECT_EQ(axis_of(program, found.tokens[0]), "ids[1]");
        EXPECT_THAT(found.batch, SizeIs(1));
        EXPECT_THAT(found.cache, IsEmpty());
    }
}

// Its cache is a buffer; ids and positions have a length each.
TEST(DecoderDimensions, OfAnExportOfTransformersAreTheTokensAlone) {
    for (auto const* name : {"transformers_llama", "transformers_gpt2"}) {
        auto const program = symbolic(name);
        auto const found = decoder_dimensions(program);
        EXPECT_THAT(found.tokens, SizeIs(2)) << name;
        EXPECT_THAT(found.cache, IsEmpty());
        EXPECT_THAT(found.batch, IsEmpty()) << "positions have none";
        EXPECT_EQ(found.fixed_batch, 1);
        EXPECT_FALSE(found.fixed_tokens);
    }
}

// Exported with Dim.AUTO: nothing that PyTorch traces says that keys and values are as long.
TEST(DecoderDimensions, TellAGrowingCacheFromAStaticOne) {
    for (auto const* name : {"growing_cache", "grouped_cache"}) {
        auto const program = symbolic(name);
        auto const found = decoder_dimensions(program);
        EXPECT_EQ(found.appends, std::string{name} == "growing_cache");
        ASSERT_THAT(found.cache, SizeIs(2)) << name;
        EXPECT_EQ(axis_of(program, found.cache[0]), "keys[2]");
        EXPECT_EQ(axis_of(program, found.cache[1]), "values[2]");
        EXPECT_THAT(found.batch, SizeIs(1));
    }
}

}  // namespace
}  // namespace derate
