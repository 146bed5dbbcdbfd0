#include "workloads/exported_program.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zip.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "core/input_error.hpp"
#include "storage/file.hpp"
#include "workloads/model_set.hpp"
#include "workloads/partition.hpp"
#include "workloads/symbolic_program.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

fs::path test_data(std::string const& name) { return fs::path{DERATE_TEST_DATA} / name; }

/// A file of its own for each test, gone with it.
class TemporaryFile {
  public:
    explicit TemporaryFile(std::string const& ending = ".pt2") {
        auto const* test = testing::UnitTest::GetInstance()->current_test_info();
        path_ = fs::path{testing::TempDir()} /
                (std::string{"derate_"} + test->name() + "_" + std::to_string(::getpid()) + ending);
    }
    ~TemporaryFile() { fs::remove(path_); }
    TemporaryFile(TemporaryFile const&) = delete;
    TemporaryFile& operator=(TemporaryFile const&) = delete;

    [[nodiscard]] fs::path const& path() const { return path_; }
    void write(std::string const& bytes) const { std::ofstream{path_, std::ios::binary} << bytes; }
    /// A zip with these entries.
    void write_zip(std::map<std::string, std::string> const& entries) const {
        int code = 0;
        zip_t* archive = zip_open(path_.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
        for (auto const& [name, content] : entries) {
            auto* source = zip_source_buffer(archive, content.data(), content.size(), 0);
            zip_file_add(archive, name.c_str(), source, ZIP_FL_OVERWRITE);
        }
        ASSERT_EQ(zip_close(archive), 0);
    }

  private:
    fs::path path_;
};

std::string message_of_reading(fs::path const& file) {
    try {
        static_cast<void>(read_exported_program(file));
    } catch (InputError const& error) {
        return error.what();
    }
    return "no InputError";
}

std::string message_of_parsing(std::string_view json) {
    try {
        static_cast<void>(parse_exported_program(json, "graph"));
    } catch (InputError const& error) {
        return error.what();
    }
    return "no InputError";
}

/// A graph of one relu; `patch` replaces the first occurrence of its first string by its second.
std::string relu_graph(std::pair<std::string, std::string> const& patch = {}) {
    std::string text = R"({"schema_version": {"major": 8, "minor": 20}, "torch_version": "2.15.0",
        "graph_module": {
          "graph": {
            "nodes": [{"target": "torch.ops.aten.relu.default", "name": "relu",
              "inputs": [{"name": "self", "arg": {"as_tensor": {"name": "x"}}, "kind": 1}],
              "outputs": [{"as_tensor": {"name": "relu"}}], "metadata": {}}],
            "tensor_values": {
              "x": {"dtype": 7, "sizes": [{"as_int": 2}, {"as_int": 3}],
                    "strides": [{"as_int": 3}, {"as_int": 1}],
                    "storage_offset": {"as_int": 0}, "layout": 7},
              "relu": {"dtype": 7, "sizes": [{"as_int": 2}, {"as_int": 3}],
                    "strides": [{"as_int": 3}, {"as_int": 1}],
                    "storage_offset": {"as_int": 0}, "layout": 7}}},
          "signature": {
            "input_specs": [{"user_input": {"arg": {"as_tensor": {"name": "x"}}}}],
            "output_specs": [{"user_output": {"arg": {"as_tensor": {"name": "relu"}}}}]}}})";
    if (!patch.first.empty()) {
        auto const at = text.find(patch.first);
        EXPECT_NE(at, std::string::npos) << patch.first;
        text.replace(at, patch.first.size(), patch.second);
    }
    return text;
}

TensorValue const& value_named(ExportedProgram const& program, std::string const& name) {
    for (auto const& value : program.values) {
        if (value.name == name) return value;
    }
    throw std::out_of_range{name};
}

template <class T>
std::vector<T> constant_named(ExportedProgram const& program, std::string const& name) {
    for (auto const& input : program.inputs) {
        if (input.name != name) continue;
        auto const& bytes = program.constants.at(input.value);
        std::vector<T> elements(bytes.size() / sizeof(T));
        std::memcpy(elements.data(), bytes.data(), bytes.size());
        return elements;
    }
    throw std::out_of_range{name};
}

TEST(ReadExportedProgram, TakesShapesArgumentsAndSignatureOfATorchFile) {
    auto const program = read_exported_program(test_data("tiny_cnn.pt2"));
    EXPECT_EQ(program.torch_version.substr(0, 2), "2.");
    EXPECT_EQ(batch_of(program), 2);
    EXPECT_EQ(precision_of(program), Precision::fp32);

    auto const& conv = program.nodes.front();
    EXPECT_EQ(operator_namespace(conv), "aten");
    EXPECT_EQ(operator_name(conv), "conv2d");
    EXPECT_EQ(operator_overload(conv), "default");
    EXPECT_EQ(std::get<std::vector<std::int64_t>>(*conv.find_argument("stride")),
              (std::vector<std::int64_t>{2, 2}));
    EXPECT_TRUE(std::holds_alternative<std::monostate>(*conv.find_argument("bias")));
    EXPECT_EQ(conv.find_argument("no_such"), nullptr);

    EXPECT_EQ(program.inputs.front().kind, InputKind::parameter);
    EXPECT_EQ(program.inputs.front().name, "stem.0.weight");
    EXPECT_EQ(program.inputs.back().kind, InputKind::user_input);
    EXPECT_THAT(value_named(program, "conv2d").sizes, ElementsAre(2, 8, 8, 8));
    EXPECT_THAT(value_named(program, "conv2d").strides, ElementsAre(512, 64, 8, 1));
    ASSERT_EQ(program.outputs.size(), 1U);
    EXPECT_THAT(program.values[static_cast<std::size_t>(program.outputs[0])].sizes,
                ElementsAre(2, 10));
}

TEST(ReadExportedProgram, TakesIntegerTablesAndLiteralsButNoWeights) {
    auto const program = read_exported_program(test_data("tiny_cnn.pt2"));
    EXPECT_THAT(constant_named<std::int64_t>(program, "column_order"),
                ElementsAre(3, 2, 1, 0, 7, 6, 5, 4));
    EXPECT_THAT(constant_named<std::int64_t>(program, "row_order"),  // not in the state dict
                ElementsAre(7, 6, 5, 4, 3, 2, 1, 0));
    EXPECT_THAT(constant_named<float>(program, "lifted_tensor_0"), ElementsAre(0.5F, 0.25F));
    EXPECT_EQ(program.constants.size(), 3U) << "num_batches_tracked is read by no node";
}

TEST(ReadExportedProgram, KnowsBfloat16) {
    auto const program = read_exported_program(test_data("tiny_cnn_bf16.pt2"));
    EXPECT_EQ(precision_of(program), Precision::bf16);
    EXPECT_EQ(value_named(program, "conv2d").dtype, ScalarType::bfloat16);
}

TEST(ReadExportedProgram, TakesTheShippedWeightFreeFormWithItsTables) {
    auto const program = load_model("swin_t").program;
    auto const table =
        constant_named<std::int64_t>(program, "features.1.0.attn.relative_position_index");
    ASSERT_EQ(table.size(), 49U * 49U);
    EXPECT_THAT((std::vector(table.begin(), table.begin() + 3)), ElementsAre(84, 83, 82));
}

TEST(ReadExportedProgram, RefusesWhatCannotBeTimedSayingWhy) {
    EXPECT_THAT(message_of_reading(test_data("tiny_cnn_float64.pt2")),
                HasSubstr("dtype float64 is not supported"));
    EXPECT_THAT(message_of_reading(test_data("complex_signal.pt2")),
                HasSubstr("dtype complex64 is not supported"));
    EXPECT_THAT(message_of_reading(test_data("dynamic_batch.pt2")),
                HasSubstr("no value is given for s"));
    EXPECT_THAT(message_of_reading(test_data("branch.pt2")), HasSubstr("control flow"));
}

TEST(ReadExportedProgram, RefusesWhatIsNoExport) {
    EXPECT_THAT(message_of_reading(test_data("no_such.pt2")), HasSubstr("no such file"));
    EXPECT_THAT(message_of_reading(test_data("")), HasSubstr("not a file"));
    EXPECT_THAT(message_of_reading(test_data("make_pt2.py")), HasSubstr("not a zip file"));
    TemporaryFile file;
    file.write("");
    EXPECT_THAT(message_of_reading(file.path()), HasSubstr("not a zip file"));
    file.write_zip({{"m/data/weights/weight_0", "1234"}});
    EXPECT_THAT(message_of_reading(file.path()), HasSubstr("zip without an exported program"));
    file.write_zip({{"serialized_exported_program.json", "{}"}});
    EXPECT_THAT(message_of_reading(file.path()), HasSubstr("no member \"schema_version\""));
    file.write_zip({{"m/data/aotinductor/model/model.wrapper.so", "ELF"}, {"m/version", "1"}});
    EXPECT_THAT(message_of_reading(file.path()), HasSubstr("is a package of AOTInductor"));
    file.write_zip({{"m/code/__torch__.py", ""}, {"m/constants.pkl", ""}, {"m/data.pkl", ""}});
    EXPECT_THAT(message_of_reading(file.path()), HasSubstr("is TorchScript"));
    file.write_zip({{"m/data.pkl", ""}, {"m/data/0", ""}});
    EXPECT_THAT(message_of_reading(file.path()), HasSubstr("written by torch.save"));
    file.write_zip({{"m/models/a.json", relu_graph()}, {"m/models/b.json", relu_graph()}});
    EXPECT_THAT(message_of_reading(file.path()), HasSubstr("several exported programs"));
    file.write_zip({{"m/models/model.json", "[1, 2"}});
    EXPECT_THAT(message_of_reading(file.path()), HasSubstr("not JSON"));
}

TEST(ReadExportedProgram, RefusesEveryTruncation) {
    auto const whole = read_text(test_data("tiny_cnn.pt2"));
    TemporaryFile file;
    for (std::size_t kept = 2; kept < whole.size(); kept += whole.size() / 50) {
        file.write(whole.substr(0, kept));
        EXPECT_THAT(message_of_reading(file.path()), HasSubstr("damaged zip")) << kept;
    }
}

// libzip 1.7.3 (Debian 12) reads past its buffers on some of these: they are refused before.
TEST(ReadExportedProgram, StoredEntriesOfTwoSizesAreDamage) {
    auto bytes = read_text(test_data("tiny_cnn.pt2"));
    for (auto at = bytes.find("PK\x01\x02"); at != bytes.npos; at = bytes.find("PK\x01\x02", at + 1)) {
        auto& size = bytes.at(at + 24);  // the low byte of the size outside, in the directory
        size = static_cast<char>(static_cast<unsigned char>(size) / 2);
    }
    TemporaryFile file;
    file.write(bytes);
    EXPECT_THAT(message_of_reading(file.path()), HasSubstr("an uncompressed entry has two sizes"));
}

TEST(ReadExportedProgram, RefusesAZipBombBeforeItFillsTheMemory) {
    TemporaryFile file;
    std::string const blanks(std::size_t{65} << 20, ' ');  // about 64 KiB compressed
    file.write_zip({{"m/models/model.json", blanks}});
    EXPECT_THAT(message_of_reading(file.path()), HasSubstr("expands to more than 64 MiB"));
    file.write(gzip_compress(blanks));
    EXPECT_THAT(message_of_reading(file.path()), HasSubstr(file.path().string()));
}

TEST(ParseExportedProgram, ReadsTheSmallestGraph) {
    auto const program = parse_exported_program(relu_graph(), "graph");
    ASSERT_EQ(program.nodes.size(), 1U);
    EXPECT_EQ(program.nodes[0].name, "relu");
    EXPECT_EQ(tensors_read(program.nodes[0]), (std::vector<ValueId>{0}));
    EXPECT_EQ(tensors_returned(program.nodes[0]), program.outputs);
}

TEST(ParseExportedProgram, RefusesDeepNesting) {
    std::string const opened(100'000, '[');
    std::string const brackets = opened + std::string(100'000, ']');
    EXPECT_THAT(message_of_parsing(opened), HasSubstr("not JSON"));
    EXPECT_THAT(message_of_parsing(brackets), HasSubstr("nested deeper than 100 levels"));
    auto const inside = relu_graph({R"("metadata": {})", "\"metadata\": " + brackets});
    EXPECT_THAT(message_of_parsing(inside), HasSubstr("nested deeper than 100 levels"));
}

TEST(ParseExportedProgram, RefusesFaultyGraphsWithTheirPlace) {
    struct Case {
        std::pair<std::string, std::string> patch;
        std::string message;
    };
    std::vector<Case> const cases{
        {{R"("major": 8)", R"("major": 9)"}, "graph: export schema 9 is not supported"},
        {{R"("major": 8)", R"("major": "8")"}, "schema_version/major is not an integer"},
        {{R"("graph_module")", R"("module")"}, "no member \"graph_module\""},
        {{R"("x"}}, "kind")", R"("y"}}, "kind")"}, "nodes/0: reads \"y\", which nothing before it"},
        {{R"("relu": {"dtype")", R"("other": {"dtype")"}, "no shape of tensor \"relu\""},
        {{R"("dtype": 7)", R"("dtype": 29)"}, "tensor x: dtype float8_e4m3fn is not supported"},
        {{R"("dtype": 7)", R"("dtype": 8)"}, "tensor x: dtype float64 is not supported"},
        {{R"({"as_int": 2})", R"({"as_expr": {"expr_str": "s0"}})"},
         "no value is given for s0 (x[0])"},
        {{R"({"as_int": 2})", R"({"as_int": -2})"}, "has size or stride -2"},
        {{R"({"as_int": 2})", R"({"as_int": 99999999999999999999})"}, "not JSON"},
        {{R"({"as_int": 2}, )", ""}, "has 1 sizes and 2 strides"},
        {{R"({"as_int": 2}, {"as_int": 3})", R"({"as_int": 281474976710656}, {"as_int": 3})"},
         "too large"},
        {{R"("layout": 7)", R"("layout": 2)"}, "tensor x is sparse"},
        {{"torch.ops.aten.relu.default", "_operator.mul"}, "returns no number here"},
        {{"torch.ops.aten.relu.default", "torch.ops.aten.relu default"}, "letters, digits"},
        {{R"({"as_tensor": {"name": "x"}}, "kind")", R"({"as_magic": 1}, "kind")"},
         "argument of kind as_magic is not supported"},
        {{R"({"as_tensor": {"name": "x"}}, "kind")", R"({}, "kind")"}, "arg is empty"},
        {{R"({"as_tensor": {"name": "x"}}, "kind")", R"(3, "kind")"}, "arg is not an object"},
        {{R"([{"as_tensor": {"name": "relu"}}])", R"([{"as_tensor": {"name": "x"}}])"},
         "tensor \"x\" is made twice"},
        {{R"([{"as_tensor": {"name": "relu"}}])", R"([{"as_sym_int": {"as_name": "u0"}}])"},
         "no value of number \"u0\""},
        {{R"("user_input": )", R"("token": )"}, "input of kind token is not supported"},
        {{R"("user_output": )", R"("loss_output": )"}, "output of kind loss_output"},
    };
    for (auto const& [patch, message] : cases) {
        EXPECT_THAT(message_of_parsing(relu_graph(patch)), HasSubstr(message)) << patch.second;
    }
}

TEST(ParseExportedProgram, ReadsEveryKindOfArgument) {
    struct Case {
        std::string json;
        ArgumentValue value;
    };
    std::vector<Case> const cases{
        {R"({"as_none": true})", std::monostate{}},
        {R"({"as_int": -3})", std::int64_t{-3}},
        {R"({"as_ints": [1, 2]})", std::vector<std::int64_t>{1, 2}},
        {R"({"as_float": 2})", 2.0},
        {R"({"as_float": "-Infinity"})", -std::numeric_limits<double>::infinity()},
        {R"({"as_floats": [0.5]})", std::vector<double>{0.5}},
        {R"({"as_bool": true})", true},
        {R"({"as_bools": [true, false]})", std::vector<bool>{true, false}},
        {R"({"as_string": "tanh"})", std::string{"tanh"}},
        {R"({"as_strings": ["a"]})", std::vector<std::string>{"a"}},
        {R"({"as_sym_int": {"as_int": 4}})", std::int64_t{4}},
        {R"({"as_sym_ints": [{"as_int": 4}]})", std::vector<std::int64_t>{4}},
        {R"({"as_scalar_type": 12})", ScalarType::boolean},  // 11 in c10
        {R"({"as_memory_format": 2})", MemoryFormat::channels_last},
        {R"({"as_layout": 7})", Layout::strided},
        {R"({"as_device": {"type": "cuda", "index": 1}})", Device{.type = "cuda", .index = 1}},
        {R"({"as_device": {"type": "cpu", "index": null}})", Device{.type = "cpu", .index = {}}},
        {R"({"as_tensors": [{"name": "x"}, {"name": "x"}]})", TensorListArgument{{0, 0}}},
        {R"({"as_optional_tensor": {"as_tensor": {"name": "x"}}})", TensorArgument{0}},
        {R"({"as_optional_tensors": [{"as_none": true}, {"as_tensor": {"name": "x"}}]})",
         OptionalTensorListArgument{{std::nullopt, 0}}},
    };
    for (auto const& [json, value] : cases) {
        auto const program = parse_exported_program(
            relu_graph({R"({"as_tensor": {"name": "x"}}, "kind")", json + R"(, "kind")"}), json);
        EXPECT_EQ(program.nodes[0].arguments[0].value, value) << json;
    }
}

/// The relu inside `with torch.no_grad():`, as torch.export writes it.
std::string region_graph(std::string const& target, std::string const& flags) {
    auto const meta = R"({"dtype": 7, "sizes": [], "strides": [],
                          "storage_offset": {"as_int": 0}, "layout": 7})";
    auto const relu = relu_graph();
    auto const from = relu.find("\"nodes\": [") + 10;
    auto const to = relu.find("],\n            \"tensor_values\"");
    auto const inner = R"({"inputs": [{"as_tensor": {"name": "y"}}],
        "outputs": [{"as_tensor": {"name": "cos"}}],
        "nodes": [{"target": "torch.ops.aten.cos.default", "name": "cos",
            "inputs": [{"name": "self", "arg": {"as_tensor": {"name": "y"}}, "kind": 1}],
            "outputs": [{"as_tensor": {"name": "cos"}}], "metadata": {}}],
        "tensor_values": {"y": )" +
                       std::string{meta} + R"(, "cos": )" + meta + "}}";
    return relu.substr(0, from) + R"({"target": ")" + target + R"(", "inputs": [)" + flags +
           R"({"name": "", "arg": {"as_graph": {"name": "submod_1", "graph": )" + inner +
           R"(}}, "kind": 1}, {"name": "", "arg": {"as_tensor": {"name": "x"}}, "kind": 1}],
            "outputs": [{"as_tensors": [{"name": "relu"}]}], "metadata": {}})" +
           relu.substr(to);
}

TEST(ParseExportedProgram, RunsTheNodesOfANoGradRegionInPlace) {
    auto const program = parse_exported_program(
        region_graph("torch.ops.higher_order.wrap_with_set_grad_enabled",
                     R"({"name": "", "arg": {"as_bool": false}, "kind": 1}, )"),
        "graph");
    ASSERT_EQ(program.nodes.size(), 1U);
    EXPECT_EQ(operator_name(program.nodes[0]), "cos");
    EXPECT_EQ(program.nodes[0].name, "submod_1.cos");
    EXPECT_EQ(tensors_read(program.nodes[0]), (std::vector<ValueId>{0})) << "y is x";
    EXPECT_EQ(tensors_returned(program.nodes[0]), program.outputs) << "relu is cos";
}

TEST(ParseExportedProgram, RefusesAnAutocastRegionThatIsOn) {
    auto const flags = [](std::string const& enabled) {
        return R"({"name": "", "arg": {"as_string": "cpu"}, "kind": 1},
                  {"name": "", "arg": {"as_scalar_type": 13}, "kind": 1},
                  {"name": "", "arg": {"as_bool": )" +
               enabled + R"(}, "kind": 1},
                  {"name": "", "arg": {"as_bool": true}, "kind": 1}, )";
    };
    auto const target = "torch.ops.higher_order.wrap_with_autocast";
    EXPECT_THAT(message_of_parsing(region_graph(target, flags("true"))), HasSubstr("autocast"));
    EXPECT_EQ(parse_exported_program(region_graph(target, flags("false")), "graph").nodes.size(),
              1U);
}

TEST(ParseExportedProgram, SurvivesRandomDamage) {
    std::string const whole =
        gzip_expand(read_text(load_model("squeezenet1_1").file), "squeezenet1_1");
    TemporaryFile file;
    std::mt19937_64 random{20240611};
    int read = 0;
    for (int round = 0; round < 1000; ++round) {
        auto text = whole;
        auto const edits = 1 + random() % 4;
        for (std::uint64_t edit = 0; edit < edits; ++edit) {
            auto const at = random() % text.size();
            switch (random() % 4) {
                case 0:
                    text[at] = static_cast<char>(random());
                    break;
                case 1:
                    text.erase(at, 1 + random() % 64);
                    break;
                case 2:
                    text.insert(at, text.substr(random() % text.size(), random() % 64));
                    break;
                default: {  // numbers are where arithmetic can go wrong
                    auto const digit = text.find_first_of("0123456789", at);
                    if (digit == std::string::npos) break;
                    static char const* const numbers[] = {"0",  "1", "9223372036854775807", "-1",
                                                          "12", "7", "281474976710656",     "1e9"};
                    text.replace(digit, 1, numbers[random() % 8]);
                }
            }
        }
        try {
            auto const program = bind(parse_symbolic_program(text, "damaged"), {.batch = 2}).program;
            static_cast<void>(partition(program));
            ++read;
        } catch (InputError const&) {
        }
    }
    EXPECT_GT(read, 20) << "some damage leaves a graph that can be cut";
    EXPECT_LT(read, 480) << "most damage is seen";

    auto const archive = read_text(test_data("tiny_cnn.pt2"));
    for (int round = 0; round < 200; ++round) {
        auto bytes = archive;
        for (int edit = 0; edit < 8; ++edit) {
            bytes[random() % bytes.size()] = static_cast<char>(random());
        }
        file.write(bytes);
        try {
            static_cast<void>(partition(read_exported_program(file.path())));
        } catch (InputError const&) {
        }
    }
}

}  // namespace
}  // namespace derate
