#include "workloads/partition.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "core/input_error.hpp"
#include "workloads/descriptor.hpp"
#include "workloads/model_set.hpp"

namespace derate {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// Descriptors are the shortest way to write a program down.
Partition cut(std::string const& descriptor) { return partition(parse_descriptor(descriptor)); }

Subgraph only_subgraph(std::string const& descriptor) {
    auto const result = cut(descriptor);
    EXPECT_EQ(result.subgraphs.size(), 1U) << descriptor;
    return result.subgraphs.at(0).subgraph;
}

std::vector<std::string> patterns(Partition const& result) {
    std::vector<std::string> names;
    for (auto const& item : result.subgraphs) names.push_back(item.subgraph.fusion_pattern);
    return names;
}

double work_of_only(std::string const& descriptor) {
    return only_subgraph(descriptor).work.value();
}

std::string const conv_bn_relu =
    "x0:float32[1,3,8,8] w0:float32[4,3,3,3] w1:float32[4] w2:float32[4] w3:float32[4] "
    "w4:float32[4]"
    " | t0:float32[1,4,8,8]=aten.conv2d(input=x0,weight=w0,bias=none,stride=[1,1],padding=[1,1])"
    " | t1:float32[1,4,8,8]=aten.batch_norm(input=t0,weight=w1,bias=w2,running_mean=w3,"
    "running_var=w4,training=false,momentum=0.1,eps=1e-05,cudnn_enabled=false)"
    " | t2:float32[1,4,8,8]=aten.relu_(self=t1) | t2";

TEST(Partition, JoinsNormAndActivationToTheirConvolution) {
    auto const subgraph = only_subgraph(conv_bn_relu);
    EXPECT_EQ(subgraph.fusion_pattern, "Conv2d_BatchNorm2d_ReLU");
    EXPECT_EQ(subgraph.type, OperationType::conv2d);
    // 256 outputs: 2 * 27 of the convolution, 2 of the norm, 1 of the ReLU.
    EXPECT_EQ(subgraph.work.value(), 256 * (54 + 2 + 1));
    EXPECT_EQ(subgraph.traffic.input.value(), 4 * 3 * 64);
    EXPECT_EQ(subgraph.traffic.weights.value(), 4 * (108 + 4 * 4));
    EXPECT_EQ(subgraph.traffic.output.value(), 4 * 256) << "the norm's result stays inside";
}

TEST(Partition, RecordsWhatDecidesTheKernel) {
    auto const subgraph = only_subgraph(conv_bn_relu);
    ASSERT_EQ(subgraph.nodes.size(), 3U);
    auto const& conv = subgraph.nodes[0];
    EXPECT_EQ(conv.op, "conv2d");
    EXPECT_THAT(conv.input_shape, ElementsAre(1, 3, 8, 8));
    EXPECT_THAT(conv.output_shape, ElementsAre(1, 4, 8, 8));
    EXPECT_EQ(conv.attributes.at("in_channels"), AttributeValue{3.0});
    EXPECT_EQ(conv.attributes.at("out_channels"), AttributeValue{4.0});
    EXPECT_EQ(conv.attributes.at("kernel"), AttributeValue{(std::vector<double>{3, 3})});
    EXPECT_EQ(conv.attributes.at("stride"), AttributeValue{1.0});
    EXPECT_EQ(conv.attributes.at("padding"), AttributeValue{1.0});
    EXPECT_EQ(conv.attributes.at("groups"), AttributeValue{1.0});
    EXPECT_EQ(conv.attributes.at("layout"), AttributeValue{std::string{"contiguous"}});
    EXPECT_EQ(subgraph.nodes[1].attributes.at("training"), AttributeValue{false});
    EXPECT_EQ(subgraph.nodes[2].attributes.at("in_place"), AttributeValue{true});
}

TEST(Partition, TakesOneActivationOnly) {
    EXPECT_THAT(patterns(cut("x0:float32[4,8] w0:float32[8,8] | "
                             "t0:float32[4,8]=aten.linear(input=x0,weight=w0) | "
                             "t1:float32[4,8]=aten.gelu(self=t0) | "
                             "t2:float32[4,8]=aten.tanh(self=t1) | t2")),
                ElementsAre("Linear_GELU", "Tanh"));
}

TEST(Partition, JoinsOnlyWhatReadsTheRun) {
    EXPECT_THAT(patterns(cut("x0:float32[4,8] x1:float32[4,8] w0:float32[8,8] | "
                             "t0:float32[4,8]=aten.linear(input=x0,weight=w0) | "
                             "t1:float32[4,8]=aten.relu(self=x1) | t0,t1")),
                ElementsAre("Linear", "ReLU"));
    EXPECT_THAT(patterns(cut("x0:float32[4,8] x1:float32[4,8] | "
                             "t0:float32[4,8]=aten.mul.Tensor(self=x0,other=x1) | "
                             "t1:float32[4,8]=aten.relu(self=t0) | t1")),
                ElementsAre("mul", "ReLU"))
        << "an activation joins an addition, not a product";
}

TEST(Partition, ViewsJoinWhatTheyReadFromOrElseLead) {
    auto const result =
        cut("x0:float32[4,8] x1:float32[4,2,4] w0:float32[8,8] | "
            "t0:float32[4,8]=aten.linear(input=x0,weight=w0) | "
            "t1:float32[4,2,4]=aten.view(self=t0,size=[4,2,4]) | "  // reads the linear
            "t2:float32[4,4,2]/[8,1,4]=aten.transpose.int(self=x1,dim0=1,dim1=2) | "  // does not
            "t3:float32[4,2,2]=aten.bmm(self=t1,mat2=t2) | t3");
    EXPECT_THAT(patterns(result), ElementsAre("Linear", "matmul"));
    EXPECT_THAT(result.subgraphs[0].nodes, ElementsAre(0, 1));
    EXPECT_THAT(result.subgraphs[1].nodes, ElementsAre(2, 3));
    EXPECT_EQ(result.subgraphs[1].subgraph.nodes[0].attributes.at("view"), AttributeValue{true});
    EXPECT_EQ(result.subgraphs[0].subgraph.traffic.output.value(), 4 * 32);
}

TEST(Partition, AReshapeIsAViewOnlyWhereTheStridesAllowIt) {
    EXPECT_THAT(patterns(cut("x0:float32[2,3,4] | t0:float32[6,4]=aten.reshape(self=x0,shape=[6,4])"
                             " | t1:float32[6,4]=aten.relu(self=t0) | t1")),
                ElementsAre("ReLU"));
    auto const copied =
        cut("x0:float32[2,3,4]/[12,1,3] | t0:float32[6,4]=aten.reshape(self=x0,shape=[6,4])"
            " | t1:float32[6,4]=aten.relu(self=t0) | t1");
    EXPECT_THAT(patterns(copied), ElementsAre("reshape", "ReLU"));
    EXPECT_EQ(copied.subgraphs[0].subgraph.type, OperationType::copy);
    EXPECT_EQ(copied.subgraphs[0].subgraph.traffic.total().value(), 2 * 4 * 24);
}

TEST(Partition, AViewAloneIsMetaAndMovesNothing) {
    auto const subgraph =
        only_subgraph("x0:float32[2,3] | t0:float32[3,2]/[1,3]=aten.t(self=x0) | t0");
    EXPECT_EQ(subgraph.type, OperationType::meta);
    EXPECT_EQ(subgraph.fusion_pattern, "transpose");
    EXPECT_EQ(subgraph.traffic.total().value(), 0);
    EXPECT_EQ(subgraph.work.value(), 0);
}

TEST(Partition, CountsAnInPlaceChangeOfAnExternalTensorAsReadAndWritten) {
    auto const result =
        cut("x0:float32[10] x1:float32[10] | t0:float32[10]=aten.add_.Tensor(self=x0,other=x1) | "
            "t1:float32[10]=aten.relu_(self=t0) | t1");
    ASSERT_EQ(result.subgraphs.size(), 1U);
    EXPECT_EQ(result.subgraphs[0].subgraph.fusion_pattern, "add_ReLU");
    EXPECT_EQ(result.subgraphs[0].subgraph.traffic.input.value(), 80);
    EXPECT_EQ(result.subgraphs[0].subgraph.traffic.output.value(), 40);
    EXPECT_EQ(result.subgraphs[0].outputs.size(), 1U);
}

TEST(Partition, KeepsAliveWhatIsChangedThroughAnotherName) {
    // fill_ writes a slice of t0; only t0 is read afterwards.
    auto const result =
        cut("x0:float32[4] | t0:float32[8]=aten.zeros(size=[8]) | "
            "t1:float32[4]=aten.slice.Tensor(self=t0,dim=0,start=0,end=4) | "
            "t2:float32[4]=aten.fill_.Scalar(self=t1,value=1) | "
            "t3:float32[8]=aten.exp(self=t0) | t3");
    ASSERT_THAT(patterns(result), ElementsAre("fill", "fill", "exp"));
    EXPECT_EQ(result.subgraphs[1].outputs.size(), 1U);
    EXPECT_EQ(result.subgraphs[1].subgraph.traffic.input.value(), 0) << "fill reads nothing";
    EXPECT_EQ(result.subgraphs[1].subgraph.traffic.output.value(), 16);
}

TEST(Partition, CountsPartsAndRepetitionsOfATensorOnce) {
    EXPECT_EQ(
        only_subgraph("x0:float32[10] | t0:float32[10]=aten.mul.Tensor(self=x0,other=x0) | t0")
            .traffic.input.value(),
        40);
    EXPECT_EQ(only_subgraph("x0:float32[8,1]/[1,0] x1:float32[8,100]/[1,0] | "
                            "t0:float32[8,100]=aten.mul.Tensor(self=x0,other=x1) | t0")
                  .traffic.input.value(),
              2 * 32)
        << "an expanded dimension is one element in memory";
    EXPECT_EQ(only_subgraph("x0:float32[1,197,768] w0:float32[10,768] | "
                            "t0:float32[1,768]/[151296,1]=aten.select.int(self=x0,dim=1,index=0) | "
                            "t1:float32[1,10]=aten.linear(input=t0,weight=w0) | t1")
                  .traffic.input.value(),
              4 * 768)
        << "only what is read of the tensor";
    EXPECT_EQ(only_subgraph("x0:int64[1,6] w0:float32[30522,768] | "
                            "t0:float32[1,6,768]=aten.embedding(weight=w0,indices=x0) | t0")
                  .traffic.weights.value(),
              4 * 6 * 768)
        << "only the rows that are looked up";
}

TEST(Partition, TellsTypesByAttributesNotNames) {
    auto const type_of = [](std::string const& weight, std::string const& arguments) {
        return only_subgraph("x0:float32[1,8,6,6] w0:float32" + weight +
                             " | t0:float32[1,8,6,6]=aten.conv2d(input=x0,weight=w0" + arguments +
                             ") | t0")
            .type;
    };
    EXPECT_EQ(type_of("[8,8,3,3]", ",padding=[1,1]"), OperationType::conv2d);
    EXPECT_EQ(type_of("[8,8,1,1]", ""), OperationType::conv2d_pointwise);
    EXPECT_EQ(type_of("[8,1,3,3]", ",padding=[1,1],groups=8"), OperationType::conv2d_depthwise);
    EXPECT_EQ(type_of("[8,1,1,1]", ",groups=8"), OperationType::conv2d_depthwise);
    EXPECT_EQ(type_of("[8,4,3,3]", ",padding=[1,1],groups=2"), OperationType::conv2d_grouped);
    EXPECT_EQ(type_of("[8,4,1,1]", ",groups=2"), OperationType::conv2d_grouped);
    EXPECT_EQ(only_subgraph("x0:float32[1,8,6,6] w0:float32[16,1,3,3] | t0:float32[1,16,4,4]="
                            "aten.conv2d(input=x0,weight=w0,groups=8) | t0")
                  .type,
              OperationType::conv2d_depthwise)
        << "with a channel multiplier";
}

TEST(Work, OfContractionsIsTwoFlopPerMultiplyAdd) {
    EXPECT_EQ(work_of_only("x0:float32[2,3,5] w0:float32[7,5] | "
                           "t0:float32[2,3,7]=aten.linear(input=x0,weight=w0) | t0"),
              2 * 6 * 7 * 5);
    EXPECT_EQ(work_of_only("x0:float32[3,5] w0:float32[7] w1:float32[5,7] | "
                           "t0:float32[3,7]=aten.addmm(self=w0,mat1=x0,mat2=w1) | t0"),
              2 * 3 * 7 * 5);
    EXPECT_EQ(work_of_only("x0:float32[4,1,3,5] x1:float32[2,5,7] | "
                           "t0:float32[4,2,3,7]=aten.matmul(self=x0,other=x1) | t0"),
              2 * 8 * 3 * 7 * 5);
    EXPECT_EQ(work_of_only("x0:float32[2,6,3,5] x1:float32[2,6,4,5] | t0:float32[2,6,3,4]="
                           "aten.einsum(equation=\"B H I D, B H J D -> B H I J\",tensors={x0,x1}) "
                           "| t0"),
              2 * 12 * 3 * 4 * 5);
    EXPECT_EQ(work_of_only("x0:float32[2,4,3,8] x1:float32[2,4,5,8] x2:float32[2,4,5,6] | "
                           "t0:float32[2,4,3,6]=aten.scaled_dot_product_attention("
                           "query=x0,key=x1,value=x2) | t0"),
              2 * 8 * 3 * 5 * (8 + 6));
    EXPECT_EQ(work_of_only("x0:float32[2,8,6,6] w0:float32[4,2,3,3] | t0:float32[2,4,4,4]="
                           "aten.conv2d(input=x0,weight=w0,groups=4) | t0"),
              2 * (2 * 4 * 16) * (2 * 9));
    EXPECT_EQ(work_of_only("x0:float32[1,3,5,5] w0:float32[3,4,2,2] | t0:float32[1,4,10,10]="
                           "aten.conv_transpose2d.input(input=x0,weight=w0,stride=[2,2]) | t0"),
              2 * (3 * 25) * (4 * 4))
        << "each input element meets every weight of its channel";
}

TEST(Work, OfAdaptivePoolsIsTheSumOfTheirWindows) {
    for (std::int64_t in = 1; in <= 20; ++in) {
        for (std::int64_t out = 1; out <= 20; ++out) {
            double expected = 0;
            for (std::int64_t o = 0; o < out; ++o) {
                expected += static_cast<double>(((o + 1) * in + out - 1) / out - o * in / out);
            }
            auto const descriptor = "x0:float32[2,3," + std::to_string(in) +
                                    ",4] | t0:float32[2,3," + std::to_string(out) +
                                    ",1]=aten.adaptive_avg_pool2d(self=x0,output_size=[" +
                                    std::to_string(out) + ",1]) | t0";
            EXPECT_EQ(work_of_only(descriptor), 6 * 4 * expected) << descriptor;
        }
    }
}

TEST(Work, OfEveryShippedModelEqualsTheFlopCounterOfPytorch) {
    std::ifstream file{std::string{DERATE_TEST_DATA} + "/flop_golden.json"};
    auto const golden = nlohmann::json::parse(file).at("files");
    std::size_t compared = 0;
    std::set<std::string> names;
    std::regex const label{"(.*)_b([0-9]+)(_bf16)?\\.json\\.gz"};
    for (auto const& [name, expected] : golden.items()) {
        std::smatch parts;
        ASSERT_TRUE(std::regex_match(name, parts, label)) << name;
        names.insert(parts.str(1));
        auto const precision = parts[3].matched ? Precision::bf16 : Precision::fp32;
        auto const program = load_model(parts.str(1), std::stoi(parts.str(2)), precision).program;
        double total = 0;
        double convolutions = 0;
        for (auto const& node : program.nodes) {
            if (!is_contraction(node)) continue;
            auto const work = work_of(program, node).value();
            total += work;
            if (operator_name(node).starts_with("conv")) convolutions += work;
        }
        EXPECT_EQ(total, expected.at("total").get<double>()) << name;
        EXPECT_EQ(convolutions, expected.at("operators").value("convolution", 0.0)) << name;
        ++compared;
    }
    EXPECT_EQ(compared, golden.size());
    std::set<std::string> catalogued;
    for (auto const& entry : read_catalogue(models_directory())) catalogued.insert(entry.name);
    EXPECT_EQ(names, catalogued) << "a model without its count, or a count without its model";
}

TEST(Partition, OfEveryShippedModelHoldsEveryNodeOnceInOrder) {
    for (auto const& entry : read_catalogue(models_directory())) {
        for (auto const& file : entry.files) {
            auto const program = load_model(entry.name, 2, file.precision).program;
            EXPECT_EQ(batch_of(program), 2) << file.path;
            EXPECT_EQ(precision_of(program), file.precision) << file.path;
            EXPECT_THAT(unknown_operators(program), IsEmpty()) << file.path;
            int next = 0;
            double work = 0;
            for (auto const& [subgraph, nodes, activations, weights, values, outputs] :
                 partition(program).subgraphs) {
                ASSERT_FALSE(nodes.empty());
                for (auto const node : nodes) ASSERT_EQ(node, next++) << file.path;
                EXPECT_EQ(subgraph.nodes.size(), nodes.size());
                EXPECT_FALSE(subgraph.fusion_pattern.empty());
                work += subgraph.work.value();
            }
            EXPECT_EQ(next, static_cast<int>(program.nodes.size())) << file.path;
            double node_work = 0;
            for (auto const& node : program.nodes) node_work += work_of(program, node).value();
            EXPECT_DOUBLE_EQ(work, node_work) << file.path;
        }
    }
}

TEST(UnknownOperators, AreNamedAndCountedPerElement) {
    auto const program =
        parse_descriptor("x0:float32[10] | t0:float32[10]=custom.wavelet(self=x0) | t0");
    EXPECT_THAT(unknown_operators(program), ElementsAre("custom.wavelet"));
    auto const subgraph = partition(program).subgraphs.at(0).subgraph;
    EXPECT_EQ(subgraph.type, OperationType::elementwise);
    EXPECT_EQ(subgraph.work.value(), 10);
}

TEST(Partition, RefusesCallsWhoseTensorsDoNotFitThem) {
    for (auto const* descriptor :
         {"x0:float32[4] w0:float32[4] | t0:float32[4]=aten.conv2d(input=x0,weight=w0) | t0",
          "x0:float32[4] | t0:float32[4]=aten.conv2d(input=x0) | t0",
          "x0:float32[4] | t0:float32[4]=aten.max_pool2d(self=x0,kernel_size=[2]) | t0",
          "x0:float32[1,1,4,4] | t0:float32[1,1,2,2]=aten.max_pool2d(self=x0,kernel_size=[2,2,2]) "
          "| t0",
          "x0:float32[4] | "
          "t0:float32[4]=aten.scaled_dot_product_attention(query=x0,key=x0,value=x0)"
          " | t0"}) {
        EXPECT_THROW(static_cast<void>(cut(descriptor)), InputError) << descriptor;
    }
}

}  // namespace
}  // namespace derate
