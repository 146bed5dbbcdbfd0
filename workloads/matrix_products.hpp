#pragma once
#include <vector>

#include "workloads/exported_program.hpp"

namespace derate {

/// `batch` products of a matrix m x k with a matrix k x n. Whole numbers; the extents of several
/// tensors multiplied need not fit an integer.
struct MatrixProduct {
    double batch = 1;
    double m = 1;
    double n = 1;
    double k = 1;

    /// FLOP: 2 a multiply-add.
    [[nodiscard]] double work() const { return 2 * batch * m * n * k; }
    friend bool operator==(MatrixProduct const&, MatrixProduct const&) = default;
};

/// What a call that multiplies matrices does.
struct ProductWork {
    /// In the order in which LibTorch 2.15 carries them out.
    std::vector<MatrixProduct> products;
    /// FLOP of a call without any product (an einsum that only multiplies element by element or
    /// sums, the distances of few points); what a call does beside its products counts nothing.
    double elementwise = 0;

    [[nodiscard]] double total() const;
};

/// Of operators of the kind `matmul` or `linear`: linear, addmm, mm, bmm, mv, dot, inner,
/// tensordot, einsum in all its forms, multi_dot, matrix_power, bilinear, cdist, grouped, int8 and
/// weight-only products. Nothing where the shapes are not those of a product.
///
/// An einsum of three and more tensors is contracted from left to right, or along its `path`, as
/// LibTorch does; multi_dot in the cheapest order.
[[nodiscard]] ProductWork product_work(ExportedProgram const& program, ProgramNode const& node);

/// The einsum returns its one tensor under another order of dimensions: nothing is summed.
[[nodiscard]] bool is_view_einsum(ExportedProgram const& program, ProgramNode const& node);

}  // namespace derate
