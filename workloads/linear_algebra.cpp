#include "workloads/linear_algebra.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "workloads/node_shapes.hpp"
#include "workloads/operator_table.hpp"

namespace derate {
namespace {

/// One matrix rows x columns and what it is solved for.
struct Problem {
    double rows = 0;
    double columns = 0;
    double right_sides = 1;
    ProgramNode const* node = nullptr;

    [[nodiscard]] double longer() const { return std::max(rows, columns); }
    [[nodiscard]] double shorter() const { return std::min(rows, columns); }
};

double cube(double n) { return n * n * n; }

// LAPACK Working Note 41, leading terms.
double cholesky(Problem const& p) { return cube(p.rows) / 3; }
double lu(Problem const& p) {
    return p.longer() * p.shorter() * p.shorter() - cube(p.shorter()) / 3;
}
double triangular(Problem const& p) { return p.rows * p.rows * p.right_sides; }
double two_triangular(Problem const& p) { return 2 * triangular(p); }
double solve(Problem const& p) { return lu(p) + two_triangular(p); }
double inverse(Problem const& p) { return 2 * cube(p.rows); }
double cholesky_inverse(Problem const& p) { return 2 * cube(p.rows) / 3; }
double householder(Problem const& p) {
    return 2 * p.longer() * p.shorter() * p.shorter() - 2 * cube(p.shorter()) / 3;
}
/// orgqr: m x n columns of Q from k reflectors.
double form_q(double m, double n, double k) {
    return 4 * m * n * k - 2 * (m + n) * k * k + 4 * cube(k) / 3;
}
/// ormqr: k reflectors of length m times a matrix of as many rows, n columns.
double times_q(Problem const& p) {
    return 4 * p.rows * p.right_sides * p.columns - 2 * p.right_sides * p.columns * p.columns;
}
double orthogonal_columns(Problem const& p) { return form_q(p.rows, p.columns, p.columns); }
double qr(Problem const& p) {
    auto const* argument = p.node->find_argument("mode");
    auto const* mode = argument == nullptr ? nullptr : std::get_if<std::string>(argument);
    std::string_view const name = mode == nullptr ? "reduced" : std::string_view{*mode};
    bool const keeps_all =
        name == "complete" || !flag_argument(*p.node, "some", true);  // torch.qr
    if (name == "r") return householder(p);
    return householder(p) + form_q(p.rows, keeps_all ? p.rows : p.shorter(), p.shorter());
}

// Golub and Van Loan.
double singular_values(Problem const& p) {
    return 4 * p.longer() * p.shorter() * p.shorter() - 4 * cube(p.shorter()) / 3;
}
double thin_svd(Problem const& p) {
    return 14 * p.longer() * p.shorter() * p.shorter() + 8 * cube(p.shorter());
}
double svd(Problem const& p) {
    if (!flag_argument(*p.node, "compute_uv", true)) return singular_values(p);
    // torch.svd is thin unless told otherwise, linalg.svd full.
    bool const is_full = operator_name(*p.node) == "svd"
                             ? !flag_argument(*p.node, "some", true)
                             : flag_argument(*p.node, "full_matrices",
                                             operator_name(*p.node) == "linalg_svd");
    if (!is_full || p.rows == p.columns) return thin_svd(p);
    auto const m = p.longer();
    auto const n = p.shorter();
    return 4 * m * m * n + 8 * m * n * n + 9 * cube(n);
}
double symmetric_values(Problem const& p) { return 4 * cube(p.rows) / 3; }
double symmetric_vectors(Problem const& p) { return 9 * cube(p.rows); }
bool is_hermitian(Problem const& p) { return flag_argument(*p.node, "hermitian", false); }
double rank(Problem const& p) { return is_hermitian(p) ? symmetric_values(p) : singular_values(p); }
/// Of the norms 2 and -2 from singular values; of others the norms of the matrix and its inverse.
double condition_number(Problem const& p) {
    auto const* order = p.node->find_argument("p");
    auto const* name = order == nullptr ? nullptr : std::get_if<std::string>(order);
    if (name == nullptr && std::abs(number_argument(*p.node, "p", 2)) == 2) {
        return singular_values(p);
    }
    bool const is_nuclear = name != nullptr && *name == "nuc";
    return inverse(p) + 2 * (is_nuclear ? singular_values(p) : p.rows * p.columns);
}
double pseudo_inverse(Problem const& p) {
    return (is_hermitian(p) ? symmetric_vectors(p) : thin_svd(p)) + 2 * p.rows * p.columns * p.shorter();
}
double general_values(Problem const& p) { return 10 * cube(p.rows); }
double general_vectors(Problem const& p) { return 25 * cube(p.rows); }
double least_squares(Problem const& p) {
    return householder(p) + p.right_sides * (4 * p.longer() * p.shorter() - p.shorter() * p.shorter());
}
/// A Taylor polynomial of degree 18 in five products (Bader, Blanes and Casas 2019), as LibTorch
/// takes for all but small norms; no squaring.
double exponential(Problem const& p) { return 5 * 2 * cube(p.rows); }

struct DecompositionRow {
    std::string_view name;
    double (*work)(Problem const&);
    std::string_view matrix;     ///< argument that is factorised, or holds the factors
    std::string_view right = {};  ///< argument with the right sides
};

constexpr auto decompositions = std::to_array<DecompositionRow>({
    {"cholesky", cholesky, "self"},
    {"linalg_cholesky", cholesky, "self"},
    {"linalg_cholesky_ex", cholesky, "self"},
    {"cholesky_solve", two_triangular, "input2", "self"},
    {"cholesky_inverse", cholesky_inverse, "self"},
    {"linalg_lu", lu, "A"},
    {"linalg_lu_factor", lu, "A"},
    {"linalg_lu_factor_ex", lu, "A"},
    {"_lu_with_info", lu, "self"},
    {"linalg_det", lu, "A"},
    {"_linalg_det", lu, "A"},
    {"det", lu, "self"},
    {"logdet", lu, "self"},
    {"slogdet", lu, "self"},
    {"linalg_slogdet", lu, "A"},
    {"_linalg_slogdet", lu, "A"},
    {"linalg_lu_solve", two_triangular, "LU", "B"},
    {"lu_solve", two_triangular, "LU_data", "self"},
    {"linalg_solve", solve, "A", "B"},
    {"linalg_solve_ex", solve, "A", "B"},
    {"_linalg_solve_ex", solve, "A", "B"},
    {"linalg_tensorsolve", solve, "self", "other"},
    {"linalg_solve_triangular", triangular, "self", "B"},
    {"triangular_solve", triangular, "A", "self"},
    {"inverse", inverse, "self"},
    {"linalg_inv", inverse, "A"},
    {"linalg_inv_ex", inverse, "A"},
    {"linalg_tensorinv", inverse, "self"},
    {"linalg_ldl_factor", cholesky, "self"},
    {"linalg_ldl_factor_ex", cholesky, "self"},
    {"linalg_ldl_solve", two_triangular, "LD", "B"},
    {"geqrf", householder, "self"},
    {"orgqr", orthogonal_columns, "self"},
    {"linalg_householder_product", orthogonal_columns, "input"},
    {"ormqr", times_q, "self", "input3"},
    {"qr", qr, "self"},
    {"linalg_qr", qr, "A"},
    {"svd", svd, "self"},
    {"linalg_svd", svd, "A"},
    {"_linalg_svd", svd, "A"},
    {"linalg_svdvals", singular_values, "A"},
    {"linalg_cond", condition_number, "self"},
    {"linalg_matrix_rank", rank, "input"},
    {"nuclear_norm", singular_values, "self"},
    {"linalg_norm", singular_values, "self"},
    {"linalg_matrix_norm", singular_values, "self"},
    {"pinverse", pseudo_inverse, "self"},
    {"linalg_pinv", pseudo_inverse, "self"},
    {"linalg_eigh", symmetric_vectors, "self"},
    {"_linalg_eigh", symmetric_vectors, "A"},
    {"linalg_eigvalsh", symmetric_values, "self"},
    {"linalg_eig", general_vectors, "self"},
    {"linalg_eigvals", general_values, "self"},
    {"_linalg_eigvals", general_values, "self"},
    {"linalg_lstsq", least_squares, "self", "b"},
    {"linalg_matrix_exp", exponential, "self"},
    {"matrix_exp", exponential, "self"},
});

}  // namespace

double decomposition_work(ExportedProgram const& program, ProgramNode const& node) {
    auto const name = operator_name(node);
    auto const row =
        std::ranges::find_if(decompositions, [name](auto const& one) { return one.name == name; });
    if (row == decompositions.end()) return 0;
    auto const read = tensors_read(node);
    auto const* matrix = tensor_argument(program, node, row->matrix);
    if (matrix == nullptr && !read.empty()) matrix = &value_of(program, read.front());
    if (matrix == nullptr || matrix->sizes.size() < 2) return 0;
    auto const size_from_end = [](TensorValue const& tensor, std::size_t i) {
        return static_cast<double>(tensor.sizes[tensor.sizes.size() - i]);
    };
    Problem problem{.rows = size_from_end(*matrix, 2),
                    .columns = size_from_end(*matrix, 1),
                    .node = &node};
    double matrices = 1;
    for (std::size_t i = 0; i + 2 < matrix->sizes.size(); ++i) {
        matrices *= static_cast<double>(matrix->sizes[i]);
    }
    if (name == "linalg_tensorinv" || name == "linalg_tensorsolve") {
        // The tensor is a square matrix of its first dimensions by all others.
        auto const* other = tensor_argument(program, node, "other");
        double rows = 1;
        auto const index = static_cast<std::size_t>(number_argument(node, "ind", 2));
        auto const first = other == nullptr ? std::min(index, matrix->sizes.size())
                                            : std::min(other->sizes.size(), matrix->sizes.size());
        for (std::size_t i = 0; i < first; ++i) rows *= static_cast<double>(matrix->sizes[i]);
        problem.rows = problem.columns = rows;
        return row->work(problem);
    }
    if (auto const* right =
            row->right.empty() ? nullptr : tensor_argument(program, node, row->right)) {
        // A right side is a column a matrix, or a matrix of them.
        bool const is_vector = right->sizes.size() + 1 == matrix->sizes.size();
        bool const from_right = !flag_argument(node, "left", true);
        problem.right_sides = is_vector || right->sizes.size() < 2
                                  ? 1
                                  : size_from_end(*right, from_right ? 2 : 1);
        if (!is_vector && right->sizes.size() > matrix->sizes.size()) {
            matrices = 1;
            for (std::size_t i = 0; i + 2 < right->sizes.size(); ++i) {
                matrices *= static_cast<double>(right->sizes[i]);
            }
        }
    }
    return matrices * row->work(problem);
}

}  // namespace derate
