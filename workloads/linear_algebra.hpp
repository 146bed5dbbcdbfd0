#pragma once
#include "workloads/exported_program.hpp"

namespace derate {

/// FLOP of a call that factorises matrices, solves with them, or finds their values: of an operator
/// of the kind `decomposition`.
///
/// Leading terms of the textbook counts, 1 multiply-add = 2 FLOP, for each matrix of the batch:
/// factorisations and solutions of LAPACK Working Note 41 (Blackford and Dongarra, Installation
/// Guide for LAPACK, 1999, appendix C: potrf, getrf, getri, getrs, potrs, potri, geqrf, orgqr,
/// ormqr, sytrf), values and vectors of Golub and Van Loan, Matrix Computations, 4th edition
/// (singular values 8.6.3, symmetric 8.3.3, unsymmetric 7.5.6, least squares 5.3.3). What iterates
/// until it converges depends on the values: there the book's count is a typical one.
[[nodiscard]] double decomposition_work(ExportedProgram const& program, ProgramNode const& node);

}  // namespace derate
