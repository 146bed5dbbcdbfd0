#include "workloads/pickle.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "core/input_error.hpp"

namespace derate {
namespace {

using namespace std::string_literals;
using testing::HasSubstr;
using testing::StartsWith;

std::string short_text(std::string const& text) {
    return "\x8c"s + static_cast<char>(text.size()) + text;
}

/// A storage of torch.save, protocol 2: ("storage", torch.<type>, key, "cpu", 6) as persistent id.
std::string storage(std::string const& type, std::string const& key) {
    return "(" + short_text("storage") + "ctorch\n" + type + "\n" + short_text(key) +
           short_text("cpu") + "K\x06tQ";
}

/// A tensor of sizes (2, 3), strides (1, 0) and offset 4 over that storage.
std::string tensor(std::string const& of = storage("LongStorage", "7")) {
    return "ctorch._utils\n_rebuild_tensor_v2\n(" + of + "K\x04K\x02K\x03\x86K\x01K\0\x86\x89}tR"s;
}

/// {"ids": value}
std::string dictionary(std::string const& value) {
    return "\x80\x02}" + short_text("ids") + value + "s.";
}

PickledTensor const expected{.storage = "7",
                             .layout = {.name = {},
                                        .dtype = ScalarType::int64,
                                        .sizes = {2, 3},
                                        .strides = {1, 0},
                                        .storage_offset = 4}};

PickledValue value_of(std::string const& pickle) {
    return read_pickled_tensors(pickle, "p").at("ids");
}

std::string refusal_of(std::string const& pickle) {
    try {
        static_cast<void>(read_pickled_tensors(pickle, "p"));
    } catch (InputError const& error) {
        return error.what();
    }
    return "none";
}

TEST(ReadPickledTensors, KnowsWhereATensorsElementsLie) {
    EXPECT_EQ(std::get<PickledTensor>(value_of(dictionary(tensor()))), expected);
    auto const alone = read_pickled_tensors("\x80\x02" + tensor() + ".", "p");
    EXPECT_EQ(std::get<PickledTensor>(alone.at("")), expected);
    EXPECT_TRUE(read_pickled_tensors("\x80\x02}.", "p").empty());
}

TEST(ReadPickledTensors, LooksThroughParametersAndAttributes) {
    auto const parameter = "ctorch._utils\n_rebuild_parameter\n(" + tensor() + "\x88" +
                           "ccollections\nOrderedDict\n)RtR";
    EXPECT_EQ(std::get<PickledTensor>(value_of(dictionary(parameter))), expected);
    auto const call = tensor();  // without its R: the function and its arguments
    auto const buffer = "ctorch._tensor\n_rebuild_from_type_v2\n("s +
                        call.substr(0, call.find('(')) + "ctorch.nn.parameter\nBuffer\n" +
                        call.substr(call.find('('), call.size() - call.find('(') - 1) + "}" +
                        short_text("_is_buffer") + "\x88stR";
    EXPECT_EQ(std::get<PickledTensor>(value_of(dictionary(buffer))), expected);
}

TEST(ReadPickledTensors, TakesADtypeBesideAnUntypedStorage) {
    auto v3 = tensor(storage("UntypedStorage", "7"));
    v3.replace(v3.find("_v2"), 3, "_v3");
    v3.replace(v3.size() - 2, 2, "ctorch\nint64\ntR");
    EXPECT_EQ(std::get<PickledTensor>(value_of(dictionary(v3))), expected);
}

TEST(ReadPickledTensors, ReadsEveryProtocolsWayOfWriting) {
    // Protocol 1: numbers and names as lines, the memo by line. Protocol 4: frames, names on the
    // stack, the memo by count, lengths of eight bytes.
    auto const first =
        "}X\x03\0\0\0idsp0\nctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\n"
        "LongStorage\nV7\nX\x03\0\0\0cpuI6\ntQL4L\n(I2\nI3\ntp1\n(I1\nI0\ntI00\n}tRs."s;
    EXPECT_EQ(std::get<PickledTensor>(value_of(first)), expected);
    auto const fourth = "\x80\x04\x95\0\0\0\0\0\0\0\0}\x94"s + short_text("ids") + "\x94" +
                        short_text("torch._utils") + "\x94" + short_text("_rebuild_tensor_v2") +
                        "\x94\x93\x94((\x8d\x07\0\0\0\0\0\0\0storage"s + "\x94" +
                        short_text("torch") + short_text("LongStorage") + "\x93" + short_text("7") +
                        short_text("cpu") +
                        "\x8a\x01\x06tQK\x04K\x02K\x03\x86K\x01K\0\x86\x89NtRs."s;
    EXPECT_EQ(std::get<PickledTensor>(value_of(fourth)), expected);
}

TEST(ReadPickledTensors, CallsNothing) {
    EXPECT_THAT(refusal_of(dictionary("cos\nsystem\n(" + short_text("true") + "tR")),
                StartsWith("p: calls os.system, which is not run"));
    EXPECT_THAT(refusal_of(dictionary("cbuiltins\neval\n(" + short_text("1") + "t\x81")),
                HasSubstr("calls builtins.eval"));
    EXPECT_THAT(refusal_of("(ios\nsystem\n."), HasSubstr("pickle instruction 105"));
}

TEST(ReadPickledTensors, SaysWhatStandsInPlaceOfAPlainTensor) {
    auto const meta = "ctorch._utils\n_rebuild_meta_tensor_no_storage\n(ctorch\nint64\nK\x02\x85tR";
    EXPECT_EQ(std::get<NotPlain>(value_of(dictionary(meta))).what,
              "torch._utils._rebuild_meta_tensor_no_storage");
    EXPECT_EQ(std::get<NotPlain>(value_of(dictionary("K\x01"))).what, "an object");
    auto negative = tensor();
    negative.replace(negative.find("K\x04"), 2, "J\xff\xff\xff\xff");
    EXPECT_TRUE(std::holds_alternative<NotPlain>(value_of(dictionary(negative))));
}

TEST(ReadPickledTensors, RefusesDamage) {
    auto const whole = dictionary(tensor());
    for (std::size_t kept = 0; kept + 1 < whole.size(); ++kept) {
        EXPECT_THAT(refusal_of(whole.substr(0, kept)), StartsWith("p: ")) << kept;
    }
    EXPECT_THAT(refusal_of("h\x05."), HasSubstr("recalls what it never kept"));
    EXPECT_THAT(refusal_of("t."), HasSubstr("a mark is missing"));
    EXPECT_THAT(refusal_of("."), HasSubstr("its stack is empty"));
    EXPECT_THAT(refusal_of("}(K\x01u."), HasSubstr("a key without a value"));
    EXPECT_THAT(refusal_of("X\xff\xff\xff\xff"), HasSubstr("ends too early"));
    EXPECT_THAT(refusal_of("K\x01Q."), HasSubstr("names a storage in another way"));
}

TEST(ReadPickledTensors, NeitherNestingNorRepetitionCostsMuch) {
    std::string const deep(1'000'000, ']');
    EXPECT_TRUE(read_pickled_tensors(deep + std::string(999'999, 'a') + ".", "p").contains(""));
    auto const itself = "]q\0h\0a."s;
    EXPECT_TRUE(read_pickled_tensors(itself, "p").contains(""));
    EXPECT_THAT(refusal_of(std::string(4'000'000, 'N') + "."), HasSubstr("3,000,000 values"));
}

TEST(ReadPickledTensors, SurvivesRandomDamage) {
    auto const whole = dictionary("ctorch._utils\n_rebuild_parameter\n(" + tensor() + "\x88}tR");
    std::mt19937_64 random{15};
    int read = 0;
    for (int round = 0; round < 20'000; ++round) {
        auto damaged = whole;
        for (auto edits = 1 + random() % 3; edits > 0; --edits) {
            damaged[random() % damaged.size()] = static_cast<char>(random());
        }
        if (refusal_of(damaged) == "none") ++read;
    }
    EXPECT_GT(read, 100) << "some damage leaves a pickle";
    EXPECT_LT(read, 15'000) << "most is seen";
}

}  // namespace
}  // namespace derate
