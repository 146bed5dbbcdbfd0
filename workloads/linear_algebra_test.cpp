#include "workloads/linear_algebra.hpp"

#include <gtest/gtest.h>

#include "workloads/descriptor.hpp"
#include "workloads/partition.hpp"

namespace derate {
namespace {

double work(std::string const& descriptor) {
    auto const program = parse_descriptor(descriptor);
    EXPECT_TRUE(unknown_operators(program).empty()) << descriptor;
    EXPECT_EQ(work_of(program, program.nodes.back()).value(),
              decomposition_work(program, program.nodes.back()));
    return decomposition_work(program, program.nodes.back());
}

double of_square(std::string const& call, std::string const& sizes = "6,6") {
    return work("x0:float32[" + sizes + "] | t0:float32[" + sizes + "]=aten." + call + " | t0");
}

TEST(DecompositionWork, OfASquareMatrixIsATextbookShareOfItsCube) {
    EXPECT_EQ(of_square("linalg_cholesky(self=x0)"), 72) << "n^3 / 3";
    EXPECT_EQ(of_square("linalg_inv(A=x0)"), 432) << "2 n^3";
    EXPECT_EQ(of_square("cholesky_inverse(self=x0)"), 144) << "2/3 n^3";
    EXPECT_EQ(of_square("linalg_det(A=x0)"), 144) << "2/3 n^3: LU";
    EXPECT_EQ(of_square("linalg_eigvalsh(self=x0)"), 288) << "4/3 n^3";
    EXPECT_EQ(of_square("linalg_inv(A=x0)", "5,4,6,6"), 20 * 432) << "of each in a batch";
}

TEST(DecompositionWork, OfASolutionGrowsWithItsRightSides) {
    auto const solved = [](std::string const& call, std::string const& right) {
        return work("x0:float32[6,6] x1:float32[" + right + "] | t0:float32[" + right +
                    "]=aten." + call + " | t0");
    };
    EXPECT_EQ(solved("linalg_solve(A=x0,B=x1)", "6,5"), 144 + 2 * 36 * 5);
    EXPECT_EQ(solved("linalg_solve(A=x0,B=x1)", "6"), 144 + 2 * 36);
    EXPECT_EQ(solved("linalg_solve(A=x0,B=x1,left=false)", "5,6"), 144 + 2 * 36 * 5);
    EXPECT_EQ(solved("linalg_solve_triangular(self=x0,B=x1,upper=true)", "6,5"), 36 * 5);
    EXPECT_EQ(solved("triangular_solve(self=x1,A=x0)", "6,5"), 36 * 5);
    EXPECT_EQ(solved("cholesky_solve(self=x1,input2=x0)", "6,5"), 2 * 36 * 5);
}

TEST(DecompositionWork, OfATallMatrixIsThatOfLapack) {
    // LAPACK Working Note 41 for m = 9, n = 3: geqrf 2 m n^2 - 2/3 n^3 = 144; orgqr of three columns
    // the same; of all nine 4 m m n - 4 m n^2 + 4/3 n^3 = 684.
    auto const qr = [](std::string const& mode) {
        return work("x0:float32[9,3] | t0:float32[9,3],t1:float32[3,3]=aten.linalg_qr(A=x0" + mode +
                    ") | t0,t1");
    };
    EXPECT_EQ(qr(""), 144 + 144);
    EXPECT_EQ(qr(",mode=\"r\""), 144);
    EXPECT_EQ(qr(",mode=\"complete\""), 144 + 684);
    EXPECT_EQ(work("x0:float32[9,3] | t0:float32[9,3],t1:int32[3]=aten.linalg_lu_factor(A=x0) | t0"),
              81 - 9);
}

TEST(DecompositionWork, OfSingularValuesIsThatOfGolubAndVanLoan) {
    // m = 9, n = 3: 4 m n^2 - 4/3 n^3 values alone; 14 m n^2 + 8 n^3 thin; all vectors
    // 4 m^2 n + 8 m n^2 + 9 n^3.
    auto const svd = [](std::string const& name, std::string const& arguments) {
        return work("x0:float32[9,3] | t0:float32[9,3],t1:float32[3],t2:float32[3,3]=aten." + name +
                    arguments + " | t0");
    };
    EXPECT_EQ(svd("linalg_svdvals", "(A=x0)"), 324 - 36);
    EXPECT_EQ(svd("linalg_svd", "(A=x0,full_matrices=false)"), 1134 + 216);
    EXPECT_EQ(svd("svd", "(self=x0)"), 1134 + 216);
    EXPECT_EQ(svd("linalg_svd", "(A=x0)"), 972 + 648 + 243);
    EXPECT_EQ(svd("_linalg_svd", "(A=x0,compute_uv=false)"), 324 - 36);
}

// Spectral and nuclear norms are singular values (NumPy's and PyTorch's own definition), others sums.
TEST(DecompositionWork, OfNormsThatAreOfSingularValues) {
    auto const norm_of = [](std::string const& call) {
        auto const program =
            parse_descriptor("x0:float32[5,7] | t0:float32[]=aten." + call + " | t0");
        return work_of(program, program.nodes.back()).value();
    };
    double const values = 4 * 7 * 25 - 4.0 * 125 / 3;
    for (auto const* call : {"linalg_matrix_norm(self=x0,ord=2)", "linalg_matrix_norm(self=x0,ord=-2)",
                             "linalg_matrix_norm.str_ord(self=x0,ord=\"nuc\")",
                             "linalg_norm(self=x0,ord=2)",
                             "linalg_norm.ord_str(self=x0,ord=\"nuc\")"}) {
        EXPECT_NEAR(norm_of(call), values, 1e-9 * values) << call;
    }
    for (auto const* call : {"linalg_matrix_norm(self=x0,ord=1)", "linalg_norm(self=x0)",
                             "linalg_norm(self=x0,ord=2,dim=[1])"}) {
        EXPECT_EQ(norm_of(call), 35) << call;
    }
}

TEST(DecompositionWork, OfConditionNumbersDependsOnTheNorm) {
    double const values = 8.0 / 3 * 216;  // 4 n^3 - 4/3 n^3
    EXPECT_EQ(of_square("linalg_cond(self=x0)"), values);
    EXPECT_EQ(of_square("linalg_cond(self=x0,p=-2)"), values);
    EXPECT_EQ(of_square("linalg_cond(self=x0,p=1)"), 432 + 2 * 36) << "inverse and two norms";
    EXPECT_EQ(of_square("linalg_cond.p_str(self=x0,p=\"fro\")"), 432 + 2 * 36);
    EXPECT_EQ(of_square("linalg_cond.p_str(self=x0,p=\"nuc\")"), 432 + 2 * values);
}

TEST(DecompositionWork, OfAHermitianMatrixIsThatOfItsEigenvalues) {
    EXPECT_EQ(of_square("linalg_pinv(self=x0,hermitian=true)"), 9 * 216 + 2 * 216);
    EXPECT_EQ(of_square("linalg_pinv(self=x0)"), 22 * 216 + 2 * 216) << "thin SVD";
    EXPECT_EQ(of_square("linalg_matrix_rank(input=x0,hermitian=true)"), 288);
}

TEST(DecompositionWork, OfReflectorsTimesAMatrixIsThatOfLapack) {
    // LAPACK Working Note 41, ormqr: 4 m n k - 2 n k^2 from the left with m = 9, n = 5, k = 3.
    auto const applied = [](std::string const& other, std::string const& side) {
        return work("x0:float32[9,3] x1:float32[3] x2:float32[" + other + "] | t0:float32[" + other +
                    "]=aten.ormqr(self=x0,input2=x1,input3=x2" + side + ") | t0");
    };
    EXPECT_EQ(applied("9,5", ""), 540 - 90);
    EXPECT_EQ(applied("5,9", ",left=false"), 540 - 90);
}

TEST(DecompositionWork, IsOfTheTypeMatmul) {
    auto const subgraph =
        partition(parse_descriptor("x0:float32[6,6] | t0:float32[6,6]=aten.linalg_cholesky(self=x0) "
                                   "| t0"))
            .subgraphs.at(0)
            .subgraph;
    EXPECT_EQ(subgraph.type, OperationType::matmul);
    EXPECT_EQ(subgraph.fusion_pattern, "linalg_cholesky");
}

}  // namespace
}  // namespace derate
