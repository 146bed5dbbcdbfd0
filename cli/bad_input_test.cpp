// Wrong input ends in one clear line on standard error, nothing on standard output, and exit
// code 2.
//
// A row is a command line and what its message must hold. "{data}" is workloads/testdata, "{tmp}" a
// folder of the test's own with the files that SetUp writes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "ctest/program_run.hpp"

namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

struct BadInput {
    std::string name;
    std::string arguments;
    std::vector<std::string> message_holds;
};

// One row a case, grouped by command.
std::vector<BadInput> const& rows() {
    static std::vector<BadInput> const all{
        {"UnknownCommand", "inspct", {"inspct: no such command", "did you mean 'inspect'?"}},
        {"UnknownFlag", "inspect --modle resnet18", {"no such flag", "did you mean '--model'?"}},

        {"EstimateWithoutHardware", "estimate --model resnet18", {"no hardware is named"}},
        {"EstimateOfMisspeltHardware",
         "estimate --model resnet18 --hardware i7_12700K",
         {"no registry knows \"i7_12700K\"", "did you mean \"i7-12700K\"?"}},
        {"EstimateOfUnknownSource",
         "estimate --model resnet18 --hardware i7-12700K --source guess",
         {"--source: got 'guess'", "measured, imported, legacy or default"}},
        {"EstimateByMissingFile",
         "estimate --model resnet18 --calibration {tmp}/none.json",
         {"none.json"}},
        {"EstimateInAMissingRegistry",
         "estimate --model resnet18 --hardware i7-12700K --registry {tmp}/none",
         {"--registry", "is not a folder"}},

        {"AggregateIntoAFile",
         "aggregate --quiet --input {data}/../../docs/examples/resnet18_orin.json --output "
         "{tmp}/text.pt2/staged",
         {"text.pt2/staged"}},
        {"AggregateIntoAFolderThatIsNotWritable",
         "aggregate --quiet --input {data}/../../docs/examples/resnet18_orin.json --output "
         "/proc/staged",
         {"/proc/staged"}},
        {"AggregateOfSomethingElse",
         "aggregate --input {tmp}/text.pt2 --output {tmp}/staged",
         {"text.pt2"}},
        {"MeasureIntoAFolderThatIsNotWritable",  // said before anything is measured
         "measure --quiet --model resnet18 --output /proc/measured/m.json",
         {"/proc/measured/m.json", "cannot write"}},
        {"CalibrateIntoAFile",
         "calibrate --quiet --quick --output {tmp}/text.pt2",
         {"text.pt2", "a folder"}},

        {"MeasureIntoATextFile",
         "measure --quiet --model resnet18 --output {tmp}/z.txt",
         {"--output: got '{tmp}/z.txt'", "a file X.json, or a folder"}},
        {"AggregateIntoATextFile",
         "aggregate --quiet --input {data}/../../docs/examples/resnet18_orin.json --output "
         "{tmp}/z.txt",
         {"--output: got '{tmp}/z.txt'", "a file X.json, or a folder"}},
        {"CalibrateIntoAJsonFile",
         "calibrate --quiet --quick --output {tmp}/z.json",
         {"--output: got '{tmp}/z.json'", "a folder"}},
        {"CalibrateWithProbesOfNoDefaultModels",
         "calibrate --models resnet18 --no-probes --dry-run",
         {"--no-probes: goes with the default models"}},
        {"ListOfNothing", "list", {"nothing is named", "models or hardware"}},
        {"EstimateByAModel",
         "estimate --model resnet18 --calibration {data}/tiny_cnn.pt2",
         {"tiny_cnn.pt2: is a model", "derate inspect"}},
        {"EstimateBySamples",
         "estimate --model resnet18 --calibration {tmp}/raw/x.samples.jsonl",
         {"samples", "derate aggregate"}},
        {"EstimateOfPartOfAnId",
         "estimate --model resnet18 --hardware EPYC",
         {"did you mean \"kvm-amd-epyc-zen5-2c\"?"}},
        {"EstimateOfAnIdThatTwoGoOnFrom",
         "estimate --model resnet18 --hardware jetson-orin-agx",
         {"\"jetson_orin_agx\" or \"jetson-orin-agx-maxn\""}},
        {"InspectMeasurementInAnotherBatch",
         "inspect --batch 2 --model {data}/../../docs/examples/resnet18_orin.json",
         {"--batch: a measurement file has its own"}},
        {"InspectWithoutModel", "inspect", {"--model"}},
        {"InspectUnknownModel",
         "inspect --model resnet81x",
         {"resnet81x: no such model", "derate list models"}},
        {"InspectMisspeltModel",
         "inspect --model mobilnet_v2",
         {"no such model", "did you mean 'mobilenet_v2'?"}},
        {"InspectMissingFile", "inspect --model {tmp}/none.pt2", {"none.pt2: no such file"}},
        {"InspectFolder", "inspect --model {tmp}/", {"not a file"}},
        {"InspectEmptyFile", "inspect --model {tmp}/empty.pt2", {"empty.pt2: not a zip file"}},
        {"InspectTextFile", "inspect --model {tmp}/text.pt2", {"text.pt2: not a zip file"}},
        {"InspectTruncatedZip", "inspect --model {tmp}/truncated.pt2", {"damaged zip file"}},
        {"InspectZipWithoutModel",
         "inspect --model {tmp}/no_model.pt2",
         {"zip without an exported program", "torch.export.save"}},
        {"InspectDamagedGzip", "inspect --model {tmp}/damaged.json.gz", {"damaged.json.gz"}},
        {"InspectFloat64",
         "inspect --model {data}/tiny_cnn_float64.pt2",
         {"dtype float64 is not supported", "model.float()"}},
        {"InspectComplex",
         "inspect --model {data}/complex_signal.pt2",
         {"dtype complex64 is not supported"}},
        {"InspectDynamicShape",
         "inspect --model {data}/dynamic_batch.pt2",
         {"no value is given for s", "--dim x[0]=8"}},
        {"InspectControlFlow",
         "inspect --model {data}/branch.pt2",
         {"nodes/", "without control flow"}},
        {"InspectOtherBatchOfAFile",
         "inspect --model {data}/tiny_cnn.pt2 --batch 7",
         {"was exported with batch 2", "torch.export.save(", "dynamic_shapes=({0: batch},)"}},
        {"InspectOtherPrecisionOfAFile",
         "inspect --model {data}/tiny_cnn.pt2 --precision bf16",
         {"in FP32, not", "torch.bfloat16"}},
        {"InspectBatchThatIsNotShipped",
         "inspect --model resnet34 --batch 7 --precision bf16",
         {"is not shipped with batch 7 in BF16", "FP32"}},
        {"EstimateSweepTooManySizes",
         "estimate --model resnet18 --hardware kvm-amd-epyc-zen5-2c "
         "--dim batch=1..9223372036854775807",
         {"sizes or more", "at most 100000"}},
        {"EstimateSweepAtTheEndOfIntegers",
         "estimate --model resnet18 --hardware kvm-amd-epyc-zen5-2c "
         "--dim batch=9223372036854775806..9223372036854775807..9223372036854775807",
         {"tensor "}},
        {"EstimateSweepBackwards",
         "estimate --model resnet18 --hardware kvm-amd-epyc-zen5-2c --dim batch=4..1",
         {"--dim batch: got '4..1'", "a range that grows"}},
        {"EstimateBatchBackwards",
         "estimate --model resnet18 --hardware kvm-amd-epyc-zen5-2c --batch 4..1",
         {"derate: --batch: got '4..1'", "a range that grows"}},
        {"EstimateSequenceThatIsNoNumber",
         "estimate --model gpt2_small --hardware kvm-amd-epyc-zen5-2c --seq 4,x",
         {"derate: --seq: got '4,x'", "whole numbers from 0"}},
        {"EstimateSweepOfRefusedSizesAlone",
         "estimate --model {data}/any_batch_cnn.pt2 --hardware kvm-amd-epyc-zen5-2c --batch 65,66",
         {"65"}},
        {"EstimateSweepTwice",
         "estimate --model resnet18 --hardware kvm-amd-epyc-zen5-2c --dim batch=1,2 --dim batch=4",
         {"--dim batch", "is given twice"}},
        {"EstimateThreadsZero",
         "estimate --model resnet18 --hardware kvm-amd-epyc-zen5-2c --threads 0",
         {"--threads", "1 or more"}},
        {"EstimateThreadsNotCalibrated",
         "estimate --model resnet18 --hardware kvm-amd-epyc-zen5-2c --threads 8",
         {"--threads 8", "is not calibrated for it", "one of 1, 2"}},
        {"InspectUnknownPrecision",
         "inspect --model resnet18 --precision fp8",
         {"got 'fp8'", "bf16"}},
        {"InspectInt8", "inspect --model resnet18 --precision int8", {"INT8 is not supported"}},
        {"InspectBatchZero", "inspect --model resnet18 --batch 0", {"1 or more"}},
        {"InspectBatchWord", "inspect --model resnet18 --batch many", {"--batch"}},

        {"AuditOfNothing", "audit", {"nothing is named", "--hardware ID or --calibration FILE"}},
        {"AuditOfMisspeltHardware",
         "audit --hardware i7_12700K",
         {"no registry knows \"i7_12700K\"", "did you mean \"i7-12700K\"?"}},
        {"AuditOfMissingFile", "audit --calibration {tmp}/none.json", {"none.json"}},
        {"AuditOfABrokenFile",
         "audit --calibration {tmp}/broken.json",
         {"broken.json#", "is missing"}},
        {"ValidateOfABrokenFile",
         "validate --calibration {tmp}/broken.json",
         {"broken.json#", "is missing"}},
        {"AuditOfAnotherFile",
         "audit --calibration {tmp}/other.json",
         {"other.json", "efficiency_calibration_v1.json"}},
    };
    return all;
}

class BadInputTest : public testing::TestWithParam<BadInput> {
  protected:
    void SetUp() override {
        folder_ = fs::path{testing::TempDir()} / ("derate_bad_input_" + std::to_string(::getpid()));
        fs::create_directories(folder_);
        write("empty.pt2", "");
        write("text.pt2", "not a model\n");
        // The end record of a zip without entries.
        write("no_model.pt2", std::string{"PK\5\6", 4} + std::string(18, '\0'));
        std::ifstream whole{std::string{DERATE_TEST_DATA} + "/tiny_cnn.pt2", std::ios::binary};
        std::string bytes(1000, '\0');
        whole.read(bytes.data(), 1000);
        write("truncated.pt2", bytes);
        write("other.json", "{}");
        fs::create_directories(folder_ / "raw");  // audit reads samples beside a curve file
        write("raw/x.samples.jsonl", "{}\n{}\n");
        write("broken.json", R"({"$schema": "efficiency_calibration_v1.json"})");
        write("damaged.json.gz", std::string{"\x1f\x8b\x08\0\0", 5} + "nonsense");
    }
    void TearDown() override { fs::remove_all(folder_); }

    void write(std::string const& name, std::string const& bytes) const {
        std::ofstream{folder_ / name, std::ios::binary} << bytes;
    }
    [[nodiscard]] std::string expand(std::string text) const {
        for (auto const& [word, value] :
             {std::pair{std::string{"{data}"}, std::string{DERATE_TEST_DATA}},
              std::pair{std::string{"{tmp}"}, folder_.string()}}) {
            for (auto at = text.find(word); at != std::string::npos; at = text.find(word)) {
                text.replace(at, word.size(), value);
            }
        }
        return text;
    }
    [[nodiscard]] std::string read(char const* name) const {
        std::ifstream file{folder_ / name};
        return {std::istreambuf_iterator<char>{file}, {}};
    }

    fs::path folder_;
};

TEST_P(BadInputTest, IsOneClearLineAndExitCodeTwo) {
    auto const& row = GetParam();
    auto const command = std::string{DERATE_PROGRAM} + " " + expand(row.arguments) + " 2> " +
                         (folder_ / "err").string() + " < /dev/null";
    auto const ran = derate::run_program(command);
    ASSERT_NE(ran.code, -1) << command;
    auto const message = read("err");
    EXPECT_EQ(ran.code, 2) << message;
    EXPECT_EQ(ran.output, "");
    EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 1) << message;
    for (auto const& part : row.message_holds) EXPECT_THAT(message, HasSubstr(expand(part)));
    EXPECT_THAT(message, testing::Not(HasSubstr("internal error")));
}

INSTANTIATE_TEST_SUITE_P(Program, BadInputTest, testing::ValuesIn(rows()),
                         [](auto const& tested) { return tested.param.name; });

}  // namespace
