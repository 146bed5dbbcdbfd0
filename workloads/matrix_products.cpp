#include "workloads/matrix_products.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "workloads/node_shapes.hpp"
#include "workloads/operator_table.hpp"

namespace derate {
namespace {

using Sizes = std::vector<std::int64_t>;

double to_double(std::int64_t value) { return static_cast<double>(value); }

double count(Sizes const& sizes) {
    double product = 1;
    for (auto const size : sizes) product *= to_double(size);
    return product;
}

double extent(Sizes const& sizes, std::size_t from_end) {
    return to_double(sizes[sizes.size() - from_end]);
}

/// All tensors of a list argument.
std::vector<TensorValue const*> tensor_list(ExportedProgram const& program, ProgramNode const& node,
                                            std::string_view name) {
    std::vector<TensorValue const*> tensors;
    auto const* argument = node.find_argument(name);
    auto const* list =
        argument == nullptr ? nullptr : std::get_if<TensorListArgument>(argument);
    if (list == nullptr) return tensors;
    for (auto const id : list->values) tensors.push_back(&value_of(program, id));
    return tensors;
}

/// As torch.matmul reads two shapes: a vector in front is a row, one behind a column.
ProductWork matmul_work(TensorValue const* a, TensorValue const* b) {
    if (a == nullptr || b == nullptr || a->sizes.empty() || b->sizes.empty()) return {};
    auto const outer = [](Sizes const& sizes) {
        return Sizes(sizes.begin(), sizes.end() - std::min<std::ptrdiff_t>(2, std::ssize(sizes)));
    };
    bool const is_row = a->sizes.size() == 1;
    bool const is_column = b->sizes.size() == 1;
    return {.products = {{.batch = broadcast_count(outer(a->sizes), outer(b->sizes)),
                          .m = is_row ? 1 : extent(a->sizes, 2),
                          .n = is_column ? 1 : extent(b->sizes, 1),
                          .k = extent(a->sizes, 1)}}};
}

/// Rows of the input times a matrix whose own shape may be a packed one: the result has the width.
ProductWork rows_times_weight(TensorValue const* input, TensorValue const* result) {
    if (input == nullptr || result == nullptr || input->sizes.empty()) return {};
    // A weight that is a vector leaves no dimension: the result is the rows.
    bool const is_vector = result->sizes.size() < input->sizes.size();
    return {.products = {{.batch = 1,
                          .m = count({input->sizes.begin(), input->sizes.end() - 1}),
                          .n = is_vector ? 1 : extent(result->sizes, 1),
                          .k = extent(input->sizes, 1)}}};
}

// ---------------------------------------------------------------------------------------------
// einsum

/// Extents by label: letters by their code, the dimensions of "..." from the right below zero.
using Extents = std::map<int, std::int64_t>;

struct EinsumCall {
    std::vector<Extents> operands;
    std::set<int> result;
    std::vector<std::int64_t> path;  ///< pairs of positions; empty: from left to right
};

int ellipsis_label(std::size_t from_right) { return -1 - static_cast<int>(from_right); }

/// Empty where the equation does not fit its tensors.
std::optional<EinsumCall> read_einsum(ExportedProgram const& program, ProgramNode const& node) {
    auto const* argument = node.find_argument("equation");
    auto const* equation = argument == nullptr ? nullptr : std::get_if<std::string>(argument);
    auto const tensors = tensor_list(program, node, "tensors");
    if (equation == nullptr || tensors.empty()) return std::nullopt;
    std::string text;
    std::ranges::copy_if(*equation, std::back_inserter(text), [](char c) { return c != ' '; });
    auto const arrow = text.find("->");
    auto const left = text.substr(0, arrow);

    EinsumCall call{.path = integers_argument(node, "path")};
    std::map<int, int> occurrences;
    std::set<int> of_ellipsis;
    std::size_t begin = 0;
    for (auto const* tensor : tensors) {
        if (begin > left.size()) return std::nullopt;
        auto const end = std::min(left.find(',', begin), left.size());
        auto term = left.substr(begin, end - begin);
        begin = end + 1;
        auto const& sizes = tensor->sizes;
        auto const dots = term.find("...");
        auto const before = std::min(dots, term.size());
        if (dots != std::string::npos) term.erase(dots, 3);
        if (term.size() > sizes.size()) return std::nullopt;
        auto const hidden = sizes.size() - term.size();
        if (hidden > 0 && dots == std::string::npos) return std::nullopt;
        Extents extents;
        for (std::size_t d = 0; d < sizes.size(); ++d) {
            int label = 0;
            if (d >= before && d < before + hidden) {
                label = ellipsis_label(before + hidden - 1 - d);
                of_ellipsis.insert(label);
            } else {
                label = term[d < before ? d : d - hidden];
                ++occurrences[label];
            }
            auto const [place, is_new] = extents.emplace(label, sizes[d]);
            if (!is_new) place->second = std::max(place->second, sizes[d]);  // a diagonal
        }
        call.operands.push_back(std::move(extents));
    }
    if (begin <= left.size()) return std::nullopt;  // more terms than tensors
    if (arrow == std::string::npos) {
        call.result = of_ellipsis;
        for (auto const& [label, times] : occurrences) {
            if (times == 1) call.result.insert(label);
        }
    } else {
        auto right = text.substr(arrow + 2);
        if (auto const dots = right.find("..."); dots != std::string::npos) {
            right.erase(dots, 3);
            call.result = of_ellipsis;
        }
        for (char const label : right) call.result.insert(label);
    }
    return call;
}

std::int64_t extent_of(Extents const& extents, int label) {
    auto const found = extents.find(label);
    return found == extents.end() ? 1 : found->second;
}

double elements_of(Extents const& extents) {
    double product = 1;
    for (auto const& [label, extent] : extents) product *= to_double(extent);
    return product;
}

/// Contracts as at::einsum does (aten/src/ATen/native/Linear.cpp): what only one of two tensors has
/// and nobody needs later is summed first; what both have is summed by a batched matrix product; if
/// nothing is left to sum, the two are multiplied element by element.
class EinsumContraction {
  public:
    explicit EinsumContraction(EinsumCall call) : call_{std::move(call)} {
        for (auto const& operand : call_.operands) {
            for (auto const& [label, extent] : operand) {
                if (extent != 1) ++uses_[label];
            }
        }
    }

    ProductWork work() {
        auto& operands = call_.operands;
        if (operands.size() == 1) {
            sum_out_alone(operands.front());
            return std::move(work_);
        }
        for (std::size_t step = 0; operands.size() > 1; ++step) {
            auto [first, second] = next_pair(step);
            auto a = operands[first];
            auto b = operands[second];
            if (first < second) std::swap(first, second);
            operands.erase(operands.begin() + static_cast<std::ptrdiff_t>(first));
            operands.erase(operands.begin() + static_cast<std::ptrdiff_t>(second));
            auto joined = contract(a, b);
            operands.insert(call_.path.empty() ? operands.begin() : operands.end(),
                            std::move(joined));
        }
        if (!work_.products.empty()) work_.elementwise = 0;
        return std::move(work_);
    }

  private:
    [[nodiscard]] std::pair<std::size_t, std::size_t> next_pair(std::size_t step) const {
        if (2 * step + 1 < call_.path.size()) {
            auto const first = static_cast<std::size_t>(call_.path[2 * step]);
            auto const second = static_cast<std::size_t>(call_.path[2 * step + 1]);
            if (first != second && std::max(first, second) < call_.operands.size()) {
                return {first, second};
            }
        }
        return {0, 1};
    }

    void sum_out_alone(Extents const& operand) {
        bool const sums = std::ranges::any_of(operand, [this](auto const& entry) {
            return entry.second != 1 && !call_.result.contains(entry.first);
        });
        if (sums) work_.elementwise += elements_of(operand);
    }

    Extents contract(Extents a, Extents b) {
        std::set<int> labels;
        for (auto const* extents : {&a, &b}) {
            for (auto const& [label, extent] : *extents) labels.insert(label);
        }
        std::set<int> summed;
        std::vector<int> only_a;
        std::vector<int> only_b;
        for (int const label : labels) {
            if (call_.result.contains(label)) continue;
            bool const in_a = extent_of(a, label) != 1;
            bool const in_b = extent_of(b, label) != 1;
            auto& uses = uses_[label];
            if (in_a && in_b) {
                if (--uses == 1) {
                    summed.insert(label);
                    uses = 0;
                }
            } else if (uses == 1 && (in_a || in_b)) {
                (in_a ? only_a : only_b).push_back(label);
                uses = 0;
            }
        }
        sum_first(a, only_a);
        sum_first(b, only_b);

        MatrixProduct product;
        Extents joined;
        for (int const label : labels) {
            auto const in_a = extent_of(a, label);
            auto const in_b = extent_of(b, label);
            if (summed.contains(label)) {
                product.k *= to_double(in_a);
                continue;
            }
            auto const kept = in_a == 1 ? in_b : in_a;
            joined[label] = kept;
            auto& side = in_a == 1 ? product.n : in_b == 1 ? product.m : product.batch;
            side *= to_double(kept);
        }
        if (summed.empty()) {
            work_.elementwise += elements_of(joined);
        } else {
            work_.products.push_back(product);
        }
        return joined;
    }

    void sum_first(Extents& operand, std::vector<int> const& labels) {
        if (labels.empty()) return;
        work_.elementwise += elements_of(operand);
        for (int const label : labels) operand[label] = 1;
    }

    EinsumCall call_;
    std::map<int, int> uses_;  ///< tensors left that have the label with an extent other than 1
    ProductWork work_;
};

ProductWork einsum_work(ExportedProgram const& program, ProgramNode const& node) {
    auto call = read_einsum(program, node);
    return call ? EinsumContraction{std::move(*call)}.work() : ProductWork{};
}

/// What a bilinear layer decomposes into: three tensors, dimensions of one inserted at `expand<i>`,
/// multiplied and summed over `sumdim`.
ProductWork trilinear_work(ExportedProgram const& program, ProgramNode const& node) {
    EinsumCall call;
    for (auto const* index : {"1", "2", "3"}) {
        auto const* tensor = tensor_argument(program, node, std::string{"i"} + index);
        if (tensor == nullptr) return {};
        auto const inserted = integers_argument(node, std::string{"expand"} + index);
        auto const rank = tensor->sizes.size() + inserted.size();
        Extents extents;
        auto size = tensor->sizes.begin();
        for (std::size_t label = 0; label < rank && size != tensor->sizes.end(); ++label) {
            if (std::ranges::count(inserted, static_cast<std::int64_t>(label)) > 0) continue;
            extents[static_cast<int>(label)] = *size++;
            call.result.insert(static_cast<int>(label));
        }
        call.operands.push_back(std::move(extents));
    }
    for (auto const summed : integers_argument(node, "sumdim")) {
        call.result.erase(static_cast<int>(summed));
    }
    return EinsumContraction{std::move(call)}.work();
}

// ---------------------------------------------------------------------------------------------
// Several products in one call

/// Matrices one behind the other in the order that needs the fewest multiplications (as
/// at::linalg_multi_dot: Cormen et al., Introduction to Algorithms, 15.2).
ProductWork chain_work(std::vector<TensorValue const*> const& tensors) {
    if (tensors.size() < 2) return {};
    Sizes border;  // matrix i is border[i] x border[i + 1]
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        auto const& sizes = tensors[i]->sizes;
        if (sizes.empty() || sizes.size() > 2) return {};
        bool const is_row = sizes.size() == 1 && i == 0;
        if (i == 0) border.push_back(is_row ? 1 : sizes.front());
        border.push_back(sizes.size() == 1 && !is_row ? 1 : sizes.back());
    }
    auto const n = tensors.size();
    std::vector<std::vector<double>> cost(n, std::vector<double>(n, 0));
    std::vector<std::vector<std::size_t>> cut(n, std::vector<std::size_t>(n, 0));
    for (std::size_t length = 1; length < n; ++length) {
        for (std::size_t i = 0; i + length < n; ++i) {
            auto const j = i + length;
            cost[i][j] = std::numeric_limits<double>::infinity();
            for (std::size_t k = i; k < j; ++k) {
                double const here =
                    cost[i][k] + cost[k + 1][j] +
                    to_double(border[i]) * to_double(border[k + 1]) * to_double(border[j + 1]);
                if (here < cost[i][j]) {
                    cost[i][j] = here;
                    cut[i][j] = k;
                }
            }
        }
    }
    ProductWork work;
    std::function<void(std::size_t, std::size_t)> const multiply = [&](std::size_t i,
                                                                      std::size_t j) {
        if (i == j) return;
        auto const k = cut[i][j];
        multiply(i, k);
        multiply(k + 1, j);
        work.products.push_back(
            {.batch = 1, .m = to_double(border[i]), .n = to_double(border[j + 1]), .k = to_double(border[k + 1])});
    };
    multiply(0, n - 1);
    return work;
}

/// By squaring: a product for each bit of the exponent below the highest, one more for each further
/// bit that is set. A negative exponent inverts first (2 n^3, as linear_algebra.hpp counts it).
ProductWork power_work(TensorValue const* matrix, double exponent) {
    if (matrix == nullptr || matrix->sizes.size() < 2) return {};
    auto const n = extent(matrix->sizes, 1);
    MatrixProduct const product{
        .batch = count({matrix->sizes.begin(), matrix->sizes.end() - 2}), .m = n, .n = n, .k = n};
    auto const power = static_cast<std::uint64_t>(std::abs(exponent));
    ProductWork work;
    if (exponent < 0) work.products.push_back(product);
    if (power >= 2) {
        auto const products = std::bit_width(power) - 1 + std::popcount(power) - 1;
        work.products.insert(work.products.end(), static_cast<std::size_t>(products), product);
    }
    return work;
}

ProductWork tensordot_work(ExportedProgram const& program, ProgramNode const& node) {
    auto const* a = tensor_argument(program, node, "self");
    auto const* b = tensor_argument(program, node, "other");
    auto const dims_a = integers_argument(node, "dims_self");
    auto const dims_b = integers_argument(node, "dims_other");
    if (a == nullptr || b == nullptr || dims_a.size() != dims_b.size()) return {};
    auto left = a->sizes;
    auto right = b->sizes;
    MatrixProduct product;
    auto const place = [](Sizes& sizes, std::int64_t dim) -> std::int64_t* {
        if (dim < 0) dim += std::ssize(sizes);
        if (dim < 0 || dim >= std::ssize(sizes)) return nullptr;
        return &sizes[static_cast<std::size_t>(dim)];
    };
    for (std::size_t i = 0; i < dims_a.size(); ++i) {
        auto* const from_a = place(left, dims_a[i]);
        auto* const from_b = place(right, dims_b[i]);
        if (from_a == nullptr || from_b == nullptr) return {};
        product.k *= to_double(std::min(*from_a, *from_b));  // against an extent of 1 the other is summed
        *from_a = *from_b = 1;
    }
    product.m = count(left);
    product.n = count(right);
    return {.products = {product}};
}

/// Inner product over the last dimensions of both.
ProductWork inner_work(TensorValue const* a, TensorValue const* b, TensorValue const* result) {
    if (a == nullptr || b == nullptr || result == nullptr) return {};
    if (a->sizes.empty() || b->sizes.empty()) {
        return {.elementwise = count(result->sizes)};
    }
    auto const rows = [](TensorValue const& tensor) {
        return count({tensor.sizes.begin(), tensor.sizes.end() - 1});
    };
    return {.products = {{.batch = 1, .m = rows(*a), .n = rows(*b), .k = extent(a->sizes, 1)}}};
}

/// x1 W_o x2 for each feature o: a matrix product, then a row by column each.
ProductWork bilinear_work(ExportedProgram const& program, ProgramNode const& node) {
    auto const* a = tensor_argument(program, node, "input1");
    auto const* weight = tensor_argument(program, node, "weight");
    if (a == nullptr || weight == nullptr || weight->sizes.size() != 3 || a->sizes.empty()) {
        return {};
    }
    auto const rows = count({a->sizes.begin(), a->sizes.end() - 1});
    auto const features = extent(weight->sizes, 3);
    auto const width = extent(weight->sizes, 1);
    return {.products = {{.batch = features, .m = rows, .n = width, .k = extent(weight->sizes, 2)},
                         {.batch = rows * features, .m = 1, .n = 1, .k = width}}};
}

/// Groups of rows meet a matrix each; all rows are taken to lie in a group.
ProductWork grouped_work(TensorValue const* a, TensorValue const* b) {
    if (a == nullptr || b == nullptr || a->sizes.size() < 2 || b->sizes.size() < 2) return {};
    bool const one_each = a->sizes.size() == 3 && b->sizes.size() == 3;
    return {.products = {{.batch = one_each ? extent(a->sizes, 3) : 1,
                          .m = extent(a->sizes, 2),
                          .n = extent(b->sizes, 1),
                          .k = extent(a->sizes, 1)}}};
}

/// Euclidean distances of more than 25 points are a product with two columns more (the squared
/// norms); of fewer, and in other norms, three operations for each pair and coordinate.
ProductWork distance_work(ExportedProgram const& program, ProgramNode const& node) {
    auto const* a = tensor_argument(program, node, "x1");
    auto const* b = tensor_argument(program, node, "x2");
    auto const* result = first_result(program, node);
    if (a == nullptr || b == nullptr || result == nullptr || result->sizes.size() < 2 ||
        a->sizes.empty()) {
        return {};
    }
    constexpr int always = 1;
    constexpr int never = 2;
    constexpr double few = 25;
    auto const mode = static_cast<int>(number_argument(node, "compute_mode", 0));
    auto const rows = extent(result->sizes, 2);
    auto const columns = extent(result->sizes, 1);
    auto const width = extent(a->sizes, 1);
    bool const is_euclidean = number_argument(node, "p", 2) == 2;
    bool const by_product =
        operator_name(node) == "_euclidean_dist" ||
        (is_euclidean && mode != never && (mode == always || rows > few || columns > few));
    if (!by_product) {
        return {.elementwise = 3 * count(result->sizes) * width};
    }
    return {.products = {{.batch = count({result->sizes.begin(), result->sizes.end() - 2}),
                          .m = rows,
                          .n = columns,
                          .k = width + 2}}};
}

/// Names of the two arguments that are multiplied as torch.matmul does.
struct Factors {
    std::string_view name;
    std::string_view left;
    std::string_view right;
};
constexpr auto factors = std::to_array<Factors>({
    {"mm", "self", "mat2"},
    {"bmm", "self", "mat2"},
    {"_int_mm", "self", "mat2"},
    {"_scaled_mm", "self", "mat2"},
    {"_scaled_mm_v2", "self", "mat2"},
    {"matmul", "self", "other"},
    {"linalg_matmul", "self", "other"},
    {"mv", "self", "vec"},
    {"dot", "self", "tensor"},
    {"vdot", "self", "other"},
    {"addmm", "mat1", "mat2"},
    {"_addmm_activation", "mat1", "mat2"},
    {"_scaled_addmm", "mat1", "mat2"},
    {"addmv", "mat", "vec"},
    {"baddbmm", "batch1", "batch2"},
    {"addbmm", "batch1", "batch2"},
});

}  // namespace

double ProductWork::total() const {
    double sum = elementwise;
    for (auto const& product : products) sum += product.work();
    return sum;
}

ProductWork product_work(ExportedProgram const& program, ProgramNode const& node) {
    auto name = operator_name(node);
    if (is_in_place(node)) name.remove_suffix(1);
    auto const tensor = [&](std::string_view argument) {
        return tensor_argument(program, node, argument);
    };
    auto const* result = first_result(program, node);
    auto const factor =
        std::ranges::find_if(factors, [name](auto const& row) { return row.name == name; });
    if (factor != factors.end()) return matmul_work(tensor(factor->left), tensor(factor->right));
    if (name == "einsum") return einsum_work(program, node);
    if (name == "linalg_vecdot" || name == "vecdot") {
        auto const* x = tensor("x");
        auto const* y = tensor("y");
        if (x == nullptr || y == nullptr || result == nullptr) return {};
        auto dim = static_cast<std::int64_t>(number_argument(node, "dim", -1));
        auto const& longer = x->sizes.size() >= y->sizes.size() ? x->sizes : y->sizes;
        if (dim < 0) dim += std::ssize(longer);
        if (dim < 0 || dim >= std::ssize(longer)) return {};
        return {.products = {{.batch = count(result->sizes),
                              .m = 1,
                              .n = 1,
                              .k = to_double(longer[static_cast<std::size_t>(dim)])}}};
    }
    if (name == "inner") return inner_work(tensor("self"), tensor("other"), result);
    if (name == "tensordot") return tensordot_work(program, node);
    if (name == "linalg_multi_dot") return chain_work(tensor_list(program, node, "tensors"));
    if (name == "chain_matmul") return chain_work(tensor_list(program, node, "matrices"));
    if (name == "matrix_power" || name == "linalg_matrix_power") {
        return power_work(tensor("self"), number_argument(node, "n", 1));
    }
    if (name == "bilinear") return bilinear_work(program, node);
    if (name == "_trilinear") return trilinear_work(program, node);
    if (name == "_grouped_mm" || name == "_scaled_grouped_mm" || name == "_scaled_grouped_mm_v2") {
        return grouped_work(tensor("self"), tensor("mat2"));
    }
    if (name == "cdist" || name == "_cdist_forward" || name == "_euclidean_dist") {
        return distance_work(program, node);
    }
    if (name == "pdist" || name == "_pdist_forward") {
        auto const* points = tensor("self");
        if (points == nullptr || points->sizes.empty() || result == nullptr) return {};
        return {.elementwise = 3 * count(result->sizes) * extent(points->sizes, 1)};
    }
    if (name == "cov" || name == "corrcoef") {  // variables by observations
        auto const* self = tensor("self");
        if (self == nullptr || self->sizes.size() != 2) return {};
        auto const variables = extent(self->sizes, 2);
        return {.products = {
                    {.batch = 1, .m = variables, .n = variables, .k = extent(self->sizes, 1)}}};
    }
    if (name == "_compute_linear_combination") {  // of tensors that lie along the first dimension
        auto const* input = tensor("input");
        auto const* coefficients = tensor("coefficients");
        if (input == nullptr || input->sizes.empty() || coefficients == nullptr ||
            coefficients->sizes.size() != 2) {
            return {};
        }
        return {.products = {{.batch = 1,
                              .m = extent(coefficients->sizes, 2),
                              .n = count({input->sizes.begin() + 1, input->sizes.end()}),
                              .k = extent(coefficients->sizes, 1)}}};
    }
    if (name == "kron" || name == "linalg_kron") {
        return {.elementwise = result == nullptr ? 0 : count(result->sizes)};
    }
    // linear, and products with weights in a packed form
    for (auto const* argument : {"input", "self", "inp"}) {
        if (auto const* input = tensor(argument)) return rows_times_weight(input, result);
    }
    return {};
}

bool is_view_einsum(ExportedProgram const& program, ProgramNode const& node) {
    if (operator_name(node) != "einsum") return false;
    auto const call = read_einsum(program, node);
    return call && call->operands.size() == 1 && product_work(program, node).total() == 0;
}

}  // namespace derate
