#pragma once
#include <string>
#include <string_view>

#include "core/operation_type.hpp"
#include "workloads/exported_program.hpp"
#include "workloads/partition.hpp"

namespace derate {

/// A subgraph alone, as a program of its own: activations become its user inputs (x0, x1, ...),
/// weights its parameters (w0, w1, ...), other tensors t0, t1, ...; node names are empty, so equal
/// kernels of different models are equal values.
[[nodiscard]] ExportedProgram extract_subgraph(ExportedProgram const& program,
                                               ProgramSubgraph const& subgraph);

/// Canonical text of an extracted subgraph: operators, arguments, shapes, strides and dtypes, which
/// inputs are weights, and of inputs whose values decide its time what kind these are of
/// ("x0:int64[8,20]~ids:30522", ProgramValues::words). So that the text alone tells kernels apart,
/// wherever kernels are compared. Holds no values themselves.
///
/// Example, a convolution without bias and its ReLU:
/// `x0:float32[1,3,8,8] w0:float32[4,3,1,1] | t0:float32[1,4,8,8]=aten.conv2d(input=x0,weight=w0) |
///  t1:float32[1,4,8,8]=aten.relu_(self=t0) | t1` (on one line). Strides follow as `/[..]` where
///  the
/// tensor is not contiguous.
[[nodiscard]] std::string format_descriptor(ExportedProgram const& extracted);

/// The program that format_descriptor() wrote: parse_descriptor(format_descriptor(x)) == x.
/// \throws InputError
[[nodiscard]] ExportedProgram parse_descriptor(std::string_view descriptor);

/// Short name of a case: "conv2d/<16 hexadecimal digits of the descriptor's FNV-1a hash>".
[[nodiscard]] std::string case_name(OperationType type, std::string_view descriptor);

}  // namespace derate
