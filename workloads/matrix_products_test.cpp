#include "workloads/matrix_products.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "workloads/descriptor.hpp"
#include "workloads/operator_table.hpp"
#include "workloads/partition.hpp"

namespace derate {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// What the descriptor's last call consists of.
ProductWork products(std::string const& descriptor) {
    auto const program = parse_descriptor(descriptor);
    return product_work(program, program.nodes.back());
}

ProductWork einsum(std::string const& equation, std::vector<std::string> const& shapes,
                   std::string const& path = "") {
    std::string inputs;
    std::string list;
    for (std::size_t i = 0; i < shapes.size(); ++i) {
        auto const name = "x" + std::to_string(i);
        inputs += name + ":float32[" + shapes[i] + "] ";
        list += (i == 0 ? "" : ",") + name;
    }
    return products(inputs + "| t0:float32[1]=aten.einsum(equation=\"" + equation +
                    "\",tensors={" + list + "}" + (path.empty() ? "" : ",path=[" + path + "]") +
                    ") | t0");
}

TEST(Einsum, IsTheProductThatItsLettersSay) {
    MatrixProduct const product{.batch = 1, .m = 8, .n = 4, .k = 16};
    EXPECT_THAT(einsum("ij,jk->ik", {"8,16", "16,4"}).products, ElementsAre(product));
    EXPECT_THAT(einsum("ij,jk", {"8,16", "16,4"}).products, ElementsAre(product));
    EXPECT_THAT(einsum("...j,jk->...k", {"2,4,16", "16,4"}).products, ElementsAre(product));
    EXPECT_THAT(einsum(" i j , j k -> k i ", {"8,16", "16,4"}).products, ElementsAre(product));
    EXPECT_THAT(einsum("bij,bjk->bik", {"3,8,16", "3,16,4"}).products,
                ElementsAre(MatrixProduct{.batch = 3, .m = 8, .n = 4, .k = 16}));
    EXPECT_THAT(einsum("bij,bjk->bik", {"1,8,16", "3,16,4"}).products,
                ElementsAre(MatrixProduct{.batch = 1, .m = 8, .n = 12, .k = 16}))
        << "an extent of one is no batch";
}

TEST(Einsum, ContractsFromTheLeftOrAlongItsPath) {
    // (4x2 2x8) 8x1: 64 + 32 multiply-adds. 4x2 (2x8 8x1): 16 + 8.
    EXPECT_EQ(einsum("ij,jk,kl->il", {"4,2", "2,8", "8,1"}).total(), 2 * (64 + 4 * 8));
    EXPECT_EQ(einsum("ij,jk,kl->il", {"4,2", "2,8", "8,3"}, "1,2,0,1").total(), 2 * (48 + 24));
    EXPECT_EQ(einsum("ij,jk,kl->il", {"4,2", "2,8", "8,3"}, "0,1,0,1").total(), 2 * (64 + 96));
}

TEST(Einsum, WithoutAProductCountsItsMultiplicationsOrSums) {
    EXPECT_EQ(einsum("bij->bji", {"2,4,8"}).total(), 0) << "another order of dimensions";
    EXPECT_EQ(einsum("ii->i", {"4,4"}).total(), 0) << "a diagonal";
    EXPECT_EQ(einsum("ii", {"4,4"}).total(), 4) << "its sum";
    EXPECT_EQ(einsum("ij->i", {"4,6"}).total(), 24);
    EXPECT_EQ(einsum("i,j->ij", {"4", "6"}).total(), 24);
    EXPECT_EQ(einsum("ij,ij->ij", {"4,6", "4,6"}).total(), 24);
}

TEST(Einsum, WithoutAProductIsNoMatmul) {
    auto const type_of = [](std::string const& inputs, std::string const& call) {
        auto const program =
            parse_descriptor(inputs + " | t0:float32[1]=aten.einsum(" + call + ") | t0");
        return operation_type_of(program, program.nodes.back());
    };
    EXPECT_EQ(type_of("x0:float32[3,4,5]", "equation=\"ijk->ki\",tensors={x0}"),
              OperationType::pool);
    EXPECT_EQ(type_of("x0:float32[4,4]", "equation=\"ii->\",tensors={x0}"), OperationType::pool);
    EXPECT_EQ(type_of("x0:float32[4,5] x1:float32[4,5]", "equation=\"ij,ij->ij\",tensors={x0,x1}"),
              OperationType::elementwise);
    EXPECT_EQ(type_of("x0:float32[4,5] x1:float32[5,6]", "equation=\"ij,jk->ik\",tensors={x0,x1}"),
              OperationType::matmul);
}

TEST(Einsum, ThatOnlyOrdersDimensionsAnewIsAView) {
    auto const type_of = [](std::string const& descriptor) {
        return partition(parse_descriptor(descriptor)).subgraphs.at(0).subgraph.type;
    };
    EXPECT_EQ(type_of("x0:float32[2,4,16] | t0:float32[2,16,4]/[64,1,16]="
                      "aten.einsum(equation=\"bij->bji\",tensors={x0}) | t0"),
              OperationType::meta);
    EXPECT_EQ(type_of("x0:float32[2,4,16] | t0:float32[2,4]="
                      "aten.einsum(equation=\"bij->bi\",tensors={x0}) | t0"),
              OperationType::pool);
}

TEST(Einsum, WhoseEquationDoesNotFitItsTensorsIsNoProduct) {
    for (auto const* equation : {"ij", "ij,jk,kl->il", "ijk,kl->ijl", "i,jk->ik", "", "->", ",,,"}) {
        EXPECT_THAT(einsum(equation, {"8,16", "16,4"}).products, IsEmpty()) << equation;
    }
    EXPECT_THAT(einsum("ij,jk->ik", {"8,16", "16,4"}, "7,9").products, testing::SizeIs(1))
        << "a path that leads nowhere is not followed";
}

TEST(ProductWork, OfAChainIsItsCheapestOrder) {
    // (10x3 3x20) 20x2 would need 600 + 400 multiply-adds, 10x3 (3x20 20x2) 120 + 60.
    EXPECT_EQ(products("x0:float32[10,3] x1:float32[3,20] x2:float32[20,2] | "
                       "t0:float32[10,2]=aten.linalg_multi_dot(tensors={x0,x1,x2}) | t0")
                  .total(),
              2 * (120 + 60));
    EXPECT_EQ(products("x0:float32[6] x1:float32[6,5] x2:float32[5] | "
                       "t0:float32[]=aten.linalg_multi_dot(tensors={x0,x1,x2}) | t0")
                  .total(),
              2 * (30 + 5));
}

TEST(ProductWork, OfAPowerIsByHalving) {
    auto const count = [](int exponent) {
        return products("x0:float32[6,6] | t0:float32[6,6]=aten.matrix_power(self=x0,n=" +
                        std::to_string(exponent) + ") | t0")
            .products.size();
    };
    EXPECT_EQ(count(0), 0U);
    EXPECT_EQ(count(1), 0U);
    EXPECT_EQ(count(2), 1U);
    EXPECT_EQ(count(3), 2U);
    EXPECT_EQ(count(15), 6U);
    EXPECT_EQ(count(16), 4U);
    EXPECT_EQ(count(-2), 2U) << "its inverse first";
}

TEST(ProductWork, OfABilinearLayerIsTheSameDecomposed) {
    // 3 rows, 4 features, 5 x 6: 2 x 3 x 4 x (30 + 6).
    EXPECT_EQ(products("x0:float32[3,5] x1:float32[3,6] w0:float32[4,5,6] | t0:float32[3,4]="
                       "aten.bilinear(input1=x0,input2=x1,weight=w0) | t0")
                  .total(),
              864);
    EXPECT_EQ(products("x0:float32[3,5] x1:float32[3,6] w0:float32[4,5,6] | t0:float32[3,4]="
                       "aten._trilinear(i1=x0,i2=w0,i3=x1,expand1=[1,3],expand2=[0],expand3=[1,2],"
                       "sumdim=[2,3]) | t0")
                  .total(),
              864);
}

TEST(ProductWork, OfPointsAmongThemselves) {
    EXPECT_EQ(products("x0:float32[5,8] | t0:float32[10]=aten.pdist(self=x0) | t0").total(),
              3 * 10 * 8);
    EXPECT_EQ(products("x0:float32[5,8] | t0:float32[5,5]=aten.cov(self=x0) | t0").total(),
              2 * 5 * 5 * 8);
}

TEST(ProductWork, OfAHugeExtentStaysANumber) {
    EXPECT_GT(einsum("ab,cb->ac", {"3000000000,3", "3000000000,3"}).total(), 1e19);
    EXPECT_GT(products("x0:float32[4000000000,2] x1:float32[4000000000,2] | "
                       "t0:float32[1]=aten.inner(self=x0,other=x1) | t0")
                  .total(),
              1e19);
}

TEST(ProductWork, EqualsTheFlopCounterOfPytorchAndHandCountsElsewhere) {
    std::ifstream file{std::string{DERATE_TEST_DATA} + "/contraction_golden.json"};
    auto const golden = nlohmann::json::parse(file);
    for (auto const& call : golden.at("calls")) {
        auto const name = call.at("name").get<std::string>();
        auto const program = parse_descriptor(call.at("descriptor").get<std::string>());
        EXPECT_THAT(unknown_operators(program), IsEmpty()) << name;
        double work = 0;
        double of_subgraphs = 0;
        for (auto const& node : program.nodes) work += work_of(program, node).value();
        for (auto const& item : partition(program).subgraphs) {
            of_subgraphs += item.subgraph.work.value();
        }
        EXPECT_EQ(work, call.at("flops").get<double>()) << name << ' ' << call.at("counted_by");
        EXPECT_EQ(of_subgraphs, work) << name;
    }
    EXPECT_GT(golden.at("calls").size(), 90U);
}

}  // namespace
}  // namespace derate
