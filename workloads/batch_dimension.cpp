#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "workloads/exported_program.hpp"
#include "workloads/node_shapes.hpp"
#include "workloads/operator_table.hpp"

namespace derate {
namespace {

/// Where the inputs' first dimension is in a tensor: dimension `axis` counts `inner` elements to
/// each step of it.
struct Place {
    std::int64_t axis = 0;
    std::int64_t inner = 1;
    friend bool operator==(Place const&, Place const&) = default;
};

using Extents = std::vector<std::int64_t>;

std::int64_t rank(TensorValue const& value) {
    return static_cast<std::int64_t>(value.sizes.size());
}

std::int64_t product_after(Extents const& sizes, std::int64_t axis) {
    std::int64_t product = 1;
    for (auto i = static_cast<std::size_t>(axis) + 1; i < sizes.size(); ++i) product *= sizes[i];
    return product;
}

/// What a decode step is told of where it is: one number for all of the batch.
bool is_position(TensorValue const& value) {
    return value.sizes == Extents{1} && !is_floating_point(value.dtype);
}

/// Follows the first dimension of the inputs through the graph, as far as its operators are known,
/// and finds whether any of them mixes its entries. Those of a batch are independent of each other;
/// time steps, tokens and the nodes of a graph are not.
class FirstDimension {
  public:
    FirstDimension(ExportedProgram const& program, std::int64_t size)
        : program_{program}, size_{size}, places_(program.values.size()) {
        for (auto const& input : program.inputs) {
            if (input.kind != InputKind::user_input) continue;
            if (is_position(value_of(program, input.value))) continue;
            place_of(input.value) = Place{};
        }
        for (auto const& node : program.nodes) {
            if (is_mixed_) return;
            follow(node);
        }
    }

    [[nodiscard]] bool is_mixed() const { return is_mixed_; }

  private:
    std::optional<Place>& place_of(ValueId id) { return places_[static_cast<std::size_t>(id)]; }

    [[nodiscard]] std::int64_t whole_axis(std::int64_t axis, TensorValue const& value) const {
        return axis < 0 ? axis + rank(value) : axis;
    }

    /// The operator goes along this dimension. Where it holds more than the followed one, who is
    /// mixed with whom is not known.
    void mix(Place const& place, TensorValue const& value) {
        is_mixed_ |= value.sizes[static_cast<std::size_t>(place.axis)] == size_ && place.inner == 1;
    }

    /// The same elements in the same order under other sizes.
    [[nodiscard]] std::optional<Place> reshaped(Place const& place, TensorValue const& from,
                                                TensorValue const& to) const {
        if (from.element_count() != to.element_count()) return std::nullopt;
        auto const stride = place.inner * product_after(from.sizes, place.axis);
        for (std::int64_t axis = 0; axis < rank(to); ++axis) {
            auto const size = to.sizes[static_cast<std::size_t>(axis)];
            auto const after = product_after(to.sizes, axis);
            if (size < size_ || after == 0 || stride % after != 0) continue;
            if (stride >= after && stride * size_ <= after * size) {
                return Place{.axis = axis, .inner = stride / after};
            }
        }
        return std::nullopt;
    }

    /// Dimensions are aligned at the last, as broadcasting does.
    [[nodiscard]] static std::optional<Place> aligned(Place place, TensorValue const& from,
                                                      TensorValue const& to) {
        auto const axis = static_cast<std::size_t>(place.axis);
        place.axis += rank(to) - rank(from);
        if (place.axis < 0 || place.axis >= rank(to)) return std::nullopt;
        if (to.sizes[static_cast<std::size_t>(place.axis)] != from.sizes[axis]) return std::nullopt;
        return place;
    }

    void follow(ProgramNode const& node) {
        auto const returned = tensors_returned(node);
        if (returned.empty()) return;
        for (auto const& argument : node.arguments) {
            auto const* const tensor = std::get_if<TensorArgument>(&argument.value);
            if (tensor == nullptr || !place_of(tensor->value)) continue;
            auto const place = *place_of(tensor->value);
            auto const& from = value_of(program_, tensor->value);
            for (auto const id : returned) {
                auto const next = passed(node, argument.name, place, from, value_of(program_, id));
                if (!next) continue;
                auto& known = place_of(id);
                // Each entry meets each other: the rows of `x[:, None] - x[None]`.
                if (known && *known != *next) mix(*next, value_of(program_, id));
                if (!known) known = next;
            }
        }
    }

    [[nodiscard]] std::optional<Place> passed(ProgramNode const& node, std::string_view argument,
                                              Place const& place, TensorValue const& from,
                                              TensorValue const& to) {
        auto name = operator_name(node);
        if (name.ends_with('_')) name.remove_suffix(1);
        auto const last = rank(from) - 1;
        auto const goes_along = [&](std::int64_t axis) -> std::optional<Place> {
            if (place.axis != axis) return aligned(place, from, to);
            mix(place, from);
            return std::nullopt;
        };
        auto const dimension = [&](std::string_view key, std::int64_t otherwise) {
            return whole_axis(static_cast<std::int64_t>(
                                  number_argument(node, key, static_cast<double>(otherwise))),
                              from);
        };

        static std::set<std::string_view> const reshapes{"view",      "reshape",    "flatten",
                                                         "unflatten", "squeeze",    "view_as",
                                                         "unsqueeze", "reshape_as", "_unsafe_view"};
        if (reshapes.contains(name)) return reshaped(place, from, to);
        if (name == "transpose" || name == "swapaxes" || name == "t") {
            auto const a = name == "t" ? 0 : dimension(name == "transpose" ? "dim0" : "axis0", 0);
            auto const b =
                name == "t" ? last : dimension(name == "transpose" ? "dim1" : "axis1", 1);
            auto moved = place;
            if (place.axis == a) moved.axis = b;
            if (place.axis == b) moved.axis = a;
            return moved;
        }
        if (name == "permute") {
            auto const dims = integers_argument(node, "dims");
            for (std::size_t i = 0; i < dims.size(); ++i) {
                if (whole_axis(dims[i], from) != place.axis) continue;
                return Place{.axis = static_cast<std::int64_t>(i), .inner = place.inner};
            }
            return std::nullopt;
        }
        if (name == "select" || name == "unbind") {
            auto const axis = dimension("dim", 0);
            if (place.axis == axis) return goes_along(axis);
            return Place{.axis = place.axis - (axis < place.axis ? 1 : 0), .inner = place.inner};
        }
        if (name == "index_select" || name == "index_add" || name == "scatter_add" ||
            name == "scatter_reduce" || name == "cumsum") {
            return goes_along(dimension("dim", 0));
        }
        if (name == "softmax" || name == "_softmax" || name == "log_softmax") {
            return goes_along(dimension("dim", 0));
        }
        if (name == "index") return indexed(node, place, from, to);
        if (name == "embedding") {
            if (argument != "indices") return std::nullopt;
            return place;
        }

        if (name == "roll" || name == "flip") {
            auto moved = integers_argument(node, "dims");
            for (auto& dimension_moved : moved) {
                if (dimension_moved < 0) dimension_moved += rank(from);
            }
            if (!moved.empty() && std::ranges::count(moved, place.axis) == 0) return place;
            mix(place, from);
            return std::nullopt;
        }
        if (name == "cdist") {
            bool const is_first = argument == "x1";
            if (place.axis != rank(from) - 2) return std::nullopt;
            return Place{.axis = rank(to) - (is_first ? 2 : 1), .inner = place.inner};
        }
        static std::set<std::string_view> const not_followed{
            "movedim", "moveaxis", "swapdims", "mT",     "mH",
            "adjoint", "numpy_T",  "diagonal", "unfold", "as_strided"};
        if (not_followed.contains(name)) return std::nullopt;

        switch (kind_of(program_, node)) {
            case OperatorKind::attention:
                if (argument == "key" || argument == "value") return goes_along(last - 1);
                return argument == "query" ? aligned(place, from, to) : std::nullopt;
            case OperatorKind::recurrent: {
                if (argument != "input" || rank(from) != 3) return std::nullopt;
                bool const is_batch_first = flag_argument(node, "batch_first", false);
                return goes_along(is_batch_first ? 1 : 0);
            }
            case OperatorKind::linear:
                return argument == "input" ? goes_along(last) : std::nullopt;
            case OperatorKind::matmul: {
                static std::set<std::string_view> const left{"self", "mat1", "batch1", "input"};
                static std::set<std::string_view> const right{"mat2", "batch2", "other"};
                bool const is_added = name.starts_with("add") || name == "baddbmm";
                if (argument == "self" && is_added) return aligned(place, from, to);
                if (left.contains(argument)) return goes_along(last);
                if (right.contains(argument))
                    return goes_along(std::max<std::int64_t>(last - 1, 0));
                return std::nullopt;
            }
            case OperatorKind::reduction:
                return reduced(node, place, from);
            case OperatorKind::convolution:
                if (auto const* const weight = tensor_argument(program_, node, "weight");
                    weight != nullptr && rank(from) < rank(*weight)) {
                    mix(place, from);  // one image without a batch: the first are its channels
                    return std::nullopt;
                }
                [[fallthrough]];
            case OperatorKind::pool:
                if (argument != "input" && argument != "self") return std::nullopt;
                if (place.axis == 0) return place;
                mix(place, from);
                return std::nullopt;
            case OperatorKind::activation:
            case OperatorKind::elementwise:
            case OperatorKind::view:
            case OperatorKind::maybe_view:
            case OperatorKind::dropout:
            case OperatorKind::copy:
                if (find_operator(node) == nullptr) return std::nullopt;
                return aligned(place, from, to);
            case OperatorKind::norm:
                return rank(from) == rank(to) ? std::optional{place} : std::nullopt;
            default:
                return std::nullopt;
        }
    }

    [[nodiscard]] std::optional<Place> reduced(ProgramNode const& node, Place place,
                                               TensorValue const& from) {
        auto const dims = integers_argument(node, "dim");
        std::int64_t before = 0;
        for (auto const dim : dims) {
            auto const axis = whole_axis(dim, from);
            if (axis == place.axis) mix(place, from);
            if (axis < place.axis) ++before;
        }
        if (dims.empty()) mix(place, from);  // over everything
        if (is_mixed_ || dims.empty()) return std::nullopt;
        if (!flag_argument(node, "keepdim", false)) place.axis -= before;
        return place;
    }

    /// aten.index.Tensor: an absent index keeps its dimension.
    [[nodiscard]] std::optional<Place> indexed(ProgramNode const& node, Place const& place,
                                               TensorValue const& from, TensorValue const& to) {
        auto const indices = tensors_with_gaps(node, "indices");
        if (!indices) return std::nullopt;
        auto const axis = static_cast<std::size_t>(place.axis);
        if (axis < indices->size() && (*indices)[axis]) {
            mix(place, from);
            return std::nullopt;
        }
        auto const before = indices->begin() +
                            static_cast<std::ptrdiff_t>(std::min(axis, indices->size()));
        bool const is_first = std::none_of(indices->begin(), before,
                                           [](auto const& index) { return index.has_value(); });
        if (!is_first || place.axis >= rank(to)) return std::nullopt;
        return place;
    }

    ExportedProgram const& program_;
    std::int64_t size_;
    std::vector<std::optional<Place>> places_;
    bool is_mixed_ = false;
};

}  // namespace

std::optional<int> batch_of(ExportedProgram const& program) {
    std::optional<std::int64_t> batch;
    bool has_position = false;
    for (auto const& input : program.inputs) {
        if (input.kind != InputKind::user_input) continue;
        auto const& value = value_of(program, input.value);
        if (is_position(value)) {
            has_position = true;
            continue;
        }
        auto const& sizes = value.sizes;
        if (sizes.empty() || (batch && *batch != sizes.front())) return std::nullopt;
        batch = sizes.front();
    }
    if (!batch && has_position) batch = 1;
    if (!batch || *batch < 1 || *batch > std::numeric_limits<int>::max()) return std::nullopt;
    // What has one entry cannot be told apart by how it is used.
    if (*batch > 1 && FirstDimension{program, *batch}.is_mixed()) return std::nullopt;
    return static_cast<int>(*batch);
}

}  // namespace derate
