#include "workloads/model_set.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "core/input_error.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsSupersetOf;

std::string const tiny = std::string{DERATE_TEST_DATA} + "/tiny_cnn.pt2";

template <class Load>
std::string message_of(Load load) {
    try {
        static_cast<void>(load());
    } catch (InputError const& error) {
        return error.what();
    }
    return "no InputError";
}

TEST(Catalogue, HasTheDefaultSetsAndFilesThatAreThere) {
    std::set<std::string> calibration;
    std::set<std::string> held_out;
    for (auto const& entry : read_catalogue(models_directory())) {
        if (entry.role == CatalogueRole::calibration) calibration.insert(entry.name);
        if (entry.role == CatalogueRole::held_out) held_out.insert(entry.name);
        for (auto const& file : entry.files) {
            EXPECT_LE(std::filesystem::file_size(file.path), 80U * 1024) << file.path;
            EXPECT_FALSE(file.batch) << file.path << " is of any batch";
        }
        EXPECT_NE(entry.find(24, Precision::fp32), nullptr) << entry.name;
        if (entry.role == CatalogueRole::calibration) {
            EXPECT_NE(entry.find(1, Precision::bf16), nullptr) << entry.name;
        }
    }
    EXPECT_THAT(calibration,
                IsSupersetOf({"resnet18", "resnet50", "vgg16", "mobilenet_v2", "vit_b_16"}));
    EXPECT_THAT(held_out, IsSupersetOf({"efficientnet_b0", "efficientnet_b1", "maxvit_t"}));
}

TEST(LoadModel, FindsShippedModelsByNameBatchAndPrecision) {
    auto const plain = load_model("resnet18");
    EXPECT_EQ(plain.name, "resnet18");
    EXPECT_EQ(plain.family, "resnet");
    EXPECT_EQ(plain.batch, 1);
    EXPECT_EQ(plain.precision, Precision::fp32);
    EXPECT_EQ(batch_of(load_model("resnet18", 16).program), 16);
    EXPECT_EQ(precision_of(load_model("resnet18", std::nullopt, Precision::bf16).program),
              Precision::bf16);
}

TEST(LoadModel, TakesAFileWithTheBatchAndPrecisionItHas) {
    auto const model = load_model(tiny);
    EXPECT_EQ(model.name, "tiny_cnn");
    EXPECT_EQ(model.family, "tiny_cnn") << "nothing is known of its relatives";
    EXPECT_EQ(model.batch, 2);
    EXPECT_EQ(load_model(tiny, 2, Precision::fp32).batch, 2);
}

TEST(LoadModel, AnswersAnotherBatchWithTheLineThatExportsIt) {
    EXPECT_THAT(message_of([] { return load_model(tiny, 8); }),
                AllOf(HasSubstr("was exported with batch 2 in FP32 alone, not for batch 8"),
                      HasSubstr("batch = torch.export.Dim(\"batch\"); "
                                "torch.export.save(torch.export.export(model.eval()"
                                ".to(torch.float32), (torch.randn(2, 3, 16, 16, "
                                "dtype=torch.float32),), dynamic_shapes=({0: batch},)), "
                                "\"tiny_cnn_any_batch.pt2\")")));
    EXPECT_THAT(message_of([] { return load_model(tiny, std::nullopt, Precision::bf16); }),
                HasSubstr("model.eval().to(torch.bfloat16)"));
    EXPECT_THAT(message_of([] { return load_model("resnet34", 3, Precision::bf16); }),
                AllOf(HasSubstr("is not shipped with batch 3 in BF16"),
                      HasSubstr("torch.randn(3, 3, 224")));
    EXPECT_THAT(message_of([] { return load_model("bert_base", 2, Precision::bf16); }),
                HasSubstr("torch.zeros(2, 128, dtype=torch.int64)"));
    EXPECT_THAT(message_of([] { return load_model("resnet18", std::nullopt, Precision::int8); }),
                HasSubstr("INT8 is not supported"));
    EXPECT_THAT(message_of([] { return load_model("resnet18", 0); }), HasSubstr("1 or more"));
}

TEST(LoadModel, ReadsShippedModelsAtAnyBatchAndLength) {
    EXPECT_EQ(load_model("resnet18", 24).batch, 24);
    auto const bert = load_model("bert_base", RequestedDimensions{.batch = 3, .sequence = 64});
    EXPECT_EQ(bert.batch, 3);
    EXPECT_EQ(bert.name, "bert_base@input_ids[1]=64");
    EXPECT_EQ(load_model("bert_base").name, "bert_base");
    EXPECT_THAT(
        message_of([] { return load_model("bert_base", RequestedDimensions{.sequence = 513}); }),
        HasSubstr("to 512, not 513"));
}

TEST(LoadModel, NamesTheNearestModel) {
    EXPECT_THAT(message_of([] { return load_model("resnet-18"); }),
                AllOf(HasSubstr("no such model"), HasSubstr("did you mean 'resnet18'?")));
    EXPECT_THAT(message_of([] { return load_model("zzzz"); }),
                AllOf(HasSubstr("no such model"), testing::Not(HasSubstr("did you mean"))));
}

TEST(Catalogue, IsReadFromWhereTheEnvironmentSays) {
    auto const folder =
        std::filesystem::path{testing::TempDir()} / ("derate_models_" + std::to_string(::getpid()));
    auto const catalogue = folder / "catalogue.json";
    ::setenv("DERATE_MODELS", folder.c_str(), 1);
    EXPECT_THAT(message_of(models_directory), HasSubstr("no catalogue.json"));
    write_atomically(catalogue, R"([{"name": "mine", "family": "own", "role": "extra",
        "files": [{"file": "mine.pt2", "batch": 2, "precision": "fp16"}]}])");
    auto const entries = read_catalogue(models_directory());
    ASSERT_EQ(entries.size(), 1U);
    EXPECT_EQ(entries[0].files.at(0).path, folder / "mine.pt2");
    EXPECT_EQ(entries[0].files.at(0).precision, Precision::fp16);

    for (auto const& [json, message] : std::map<std::string, std::string>{
             {R"({})", "not a list"},
             {R"([3])", "not an object"},
             {R"([{"name": 3}])", "#/0/name: has the wrong type"},
             {R"([{"name": "a", "family": "b"}])", "no member \"role\""},
             {R"([{"name": "a", "family": "b", "role": "best", "files": []}])", "\"best\""},
             {R"([{"name": "a", "family": "b", "role": "extra", "files": []}])", "is empty"},
             {R"([{"name": "a", "family": "b", "role": "extra",
                   "files": [{"file": "f", "batch": 0, "precision": "fp32"}]}])",
              "#/0/files/0: batch 0"},
         }) {
        write_atomically(catalogue, json);
        EXPECT_THAT(message_of([] { return read_catalogue(models_directory()); }),
                    HasSubstr(message));
    }
    ::unsetenv("DERATE_MODELS");
    std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace derate
