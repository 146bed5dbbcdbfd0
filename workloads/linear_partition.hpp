#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/kernel_features.hpp"
#include "core/subgraph.hpp"
#include "workloads/operator_table.hpp"
#include "workloads/partition.hpp"
#include "workloads/symbolic_program.hpp"

namespace derate {

/// A number that follows from one size: at_zero + per_step * size, all of them whole and below 2^53
/// where per_step is not 0, so that a double holds each exactly.
struct LinearNumber {
    double at_zero = 0;
    double per_step = 0;

    [[nodiscard]] double at(double size) const { return at_zero + per_step * size; }
    friend bool operator==(LinearNumber const&, LinearNumber const&) = default;
};

/// The partition of a symbolic program at any value of one of its sizes, mostly the batch, cut
/// once.
///
/// Its numbers are linear in that size, which is proven, not guessed, and only of programs where it
/// can be:
///
///  1. Every size, stride, offset and argument that follows from the symbol is c * size by the
///     export's own expressions (c > 0 whole), no guard depends on it, and it stays within the
///     ranges.
///  2. Every call is of a kind whose counts are sums of products of sizes, of at most degree 4 in
///     the symbol, or the lesser of such sums: convolutions, plain products and attention, norms,
///     pools, look-ups, what goes element by element, views; or, of attention under a mask, the
///     greater of two products of sizes. Scatters, recurrences and decompositions are not, unless
///     nothing of them follows from the symbol.
///  3. What else counts depend on are comparisons: of sizes with 0 and 1 and of strides with 0,
///     which no size of 2 or more changes; of the extents of operands, which are equal, 1, or the
///     partition is not made; of strides with products of sizes, which may be equal at single sizes
///     only, and these are found and left out; and whether a reshape is a view, which holds() asks
///     anew for each size.
///  4. A polynomial of degree 4 that takes five values of a line is that line; so is the lesser of
///     lines that takes three, and the greater of products of sizes that does: it is convex, and
///     the first and last of the three are the least size and the greatest. Each number of each
///     subgraph is compared at five sizes, from 2 to the greatest, and everything that is no number
///     must be the same at all of them.
class LinearPartition {
  public:
    /// \param requested   the other sizes
    /// \param dimension   what RequestedDimensions::named calls the size
    /// \param most        greatest value that will be asked for
    /// \return  empty where the proof does not hold, and where bind() or partition() refuses one of
    /// the five sizes: then each size is cut for itself
    [[nodiscard]] static std::optional<LinearPartition> of(SymbolicProgram const& program,
                                                           RequestedDimensions const& requested,
                                                           std::string const& dimension,
                                                           std::int64_t most,
                                                           RequestedDimensions const& defaults);

    LinearPartition(LinearPartition&&) = default;
    LinearPartition& operator=(LinearPartition&&) = default;

    /// Whether this partition is that of the program at `size`.
    [[nodiscard]] bool holds(std::int64_t size);

    /// Different kernels in the order in which they occur first, with traits at some size.
    [[nodiscard]] std::vector<KernelTraits> const& kernels() const { return kernels_; }
    /// Of each subgraph in the program's order, an index into kernels().
    [[nodiscard]] std::vector<int> const& kernel_of_subgraph() const { return kernel_of_; }
    /// The kernels' traits at `size`, as traits_of() gives them for each subgraph of the partition.
    /// Allocates nothing. \param size  that holds() is true of
    [[nodiscard]] std::vector<KernelTraits> const& kernels_at(std::int64_t size);

    /// The subgraphs of the partition at `size`, but for their descriptors, which are those at 2:
    /// of them only which inputs' values decide the time is the same. \param size  that holds() is
    /// true of
    [[nodiscard]] std::vector<Subgraph> const& subgraphs_at(std::int64_t size);

  private:
    LinearPartition() = default;

    struct KernelNumbers {
        LinearNumber flops, bytes, activation_bytes, joined_flops;
        std::array<LinearNumber, feature_count> sizes;
        friend bool operator==(KernelNumbers const&, KernelNumbers const&) = default;
    };
    struct SubgraphNumbers {
        LinearNumber work, input, weights, output;
    };
    /// A number of `subgraphs_` that is no constant.
    struct Moving {
        std::variant<double*, std::int64_t*> place;
        LinearNumber number;
    };
    /// Calls that are a view or a copy, depending on sizes, with their tensors alone.
    struct Reshapes {
        ExportedProgram program;
        std::vector<OperatorKind> kinds;
        std::vector<std::pair<std::int64_t*, std::int64_t>> moving;  ///< number, per step
    };

    using Sizes = std::vector<std::int64_t>;
    using Samples = std::vector<std::vector<Subgraph>>;  // one for each of the sizes
    [[nodiscard]] bool learn_kernels(Samples const& samples, Sizes const& sizes);
    [[nodiscard]] bool learn_subgraphs(Samples& samples, Sizes const& sizes);
    [[nodiscard]] bool learn_reshapes(ExportedProgram const& at_two,
                                      ExportedProgram const& at_three);

    std::int64_t most_ = 0;
    std::set<std::int64_t> left_out_;
    Reshapes reshapes_;
    std::vector<KernelTraits> kernels_;
    std::vector<KernelNumbers> numbers_;
    std::vector<int> kernel_of_;
    std::vector<Subgraph> subgraphs_;
    std::vector<SubgraphNumbers> counts_;
    std::vector<Moving> moving_;
};

}  // namespace derate
