#include "workloads/operand_ranges.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "workloads/moved_values.hpp"
#include "workloads/node_shapes.hpp"
#include "workloads/operator_table.hpp"

namespace derate {
namespace {

std::set<std::string_view> const bounded_by_themselves{"argmax",       "argmin",
                                                       "argsort",      "nonzero",
                                                       "searchsorted", "bucketize",
                                                       "multinomial",  "eq",
                                                       "ne",           "lt",
                                                       "le",           "gt",
                                                       "ge",           "isnan",
                                                       "isfinite",     "isinf",
                                                       "logical_and",  "logical_or",
                                                       "logical_not",  "logical_xor",
                                                       "any",          "all",
                                                       "isin",         "equal",
                                                       "arange",       "zeros",
                                                       "ones",         "full",
                                                       "zeros_like",   "ones_like",
                                                       "full_like",    "new_zeros",
                                                       "new_ones",     "new_full",
                                                       "empty",        "empty_like",
                                                       "new_empty",    "scalar_tensor",
                                                       "eye",          "linspace",
                                                       "rand",         "randn",
                                                       "randint",      "sign",
                                                       "sgn",          "sigmoid",
                                                       "tanh",         "softmax",
                                                       "_softmax",     "hardsigmoid",
                                                       "sin",          "cos",
                                                       "one_hot",      "meshgrid",
                                                       "tril_indices", "triu_indices"};

using Operands = std::optional<std::vector<OperandRange>>;

/// Follows one call back.
class Inversion {
  public:
    Inversion(ExportedProgram const& program, TensorMemory const& memory, KnownValues const& known,
              ProgramNode const& node, ValueRange const& range)
        : program_{program},
          memory_{memory},
          known_{known},
          node_{node},
          range_{range},
          name_{functional_name(node)},
          self_{tensor_id(node, "self")},
          other_{tensor_id(node, "other")},
          known_self_{known.of_argument(node, "self")},
          known_other_{known.of_argument(node, "other")} {}

    [[nodiscard]] Operands operands() const {
        auto const is_one_of = [&](std::initializer_list<std::string_view> names) {
            return std::ranges::find(names, name_) != names.end();
        };
        if (is_one_of({"add", "sub"})) return of_sum();
        if (name_ == "rsub") return of_reversed_difference();
        if (is_one_of({"neg", "negative"})) {
            return give(self_,
                        combined(range_, range_, [](double low, double high, double, double) {
                            return std::pair{-high, -low};
                        }));
        }
        if (is_one_of({"abs", "relu"})) {
            return give(self_,
                        combined(range_, range_, [](double low, double high, double, double) {
                            return std::pair{std::max(low, 0.0), high};
                        }));
        }
        if (name_ == "mul") return of_product();
        if (is_one_of({"floor_divide", "div", "bitwise_right_shift", "__rshift__"})) {
            return of_quotient();
        }
        if (is_one_of({"bitwise_left_shift", "__lshift__"})) {
            if (!known_other_ || !is_one_number(*known_other_)) return std::nullopt;
            auto const by = std::exp2(known_other_->least());
            return give(self_, each(ValueRange::of(by, by), divided));
        }
        if (is_one_of({"remainder", "fmod", "bitwise_and", "__and__"})) return of_remainder();
        if (is_one_of({"clamp", "clip", "clamp_min", "clamp_max", "hardtanh"})) return of_clamp();
        if (is_one_of({"maximum", "minimum"})) {
            if (!self_ || !other_) return std::nullopt;
            std::vector<OperandRange> operands;
            if (!known_self_) operands.push_back({*self_, range_});
            if (!known_other_) operands.push_back({*other_, range_});
            return operands;
        }
        if (is_one_of({"cumsum", "sum"})) return of_running_sum();
        return std::nullopt;
    }

  private:
    static bool is_one_number(ValueRange const& range) { return range.least() == range.greatest(); }

    static Operands give(std::optional<ValueId> id, std::optional<ValueRange> allowed) {
        if (!id || !allowed) return std::nullopt;
        return std::vector<OperandRange>{{*id, *std::move(allowed)}};
    }

    /// `combine` of the range and of what is known of the other operand, element by element where
    /// their shapes go together.
    template <class Combine>
    [[nodiscard]] std::optional<ValueRange> each(ValueRange const& by,
                                                 Combine const& combine) const {
        auto exact = combined(range_, by, combine);
        return exact ? exact : combined(range_.in_one(), by.hull(), combine);
    }

    static std::pair<double, double> divided(double low, double high, double c, double d) {
        return c > 0 ? std::pair{low / (low < 0 ? d : c), high / d} : std::pair{high / c, low / d};
    }

    /// Of a constant that something is subtracted from.
    static std::pair<double, double> missing(double low, double high, double c, double d) {
        return {d - high, c - low};
    }

    [[nodiscard]] Operands of_sum() const {
        auto const alpha = number_argument(node_, "alpha", 1);
        auto const factor = name_ == "add" ? alpha : -alpha;
        auto const less = [factor](double low, double high, double c, double d) {
            return factor >= 0 ? std::pair{low - factor * c, high - factor * d}
                               : std::pair{low - factor * d, high - factor * c};
        };
        auto const without = [&](ValueRange const& added) {
            bool const starts = factor == 1 && added.low == added.high;
            auto const sum = starts ? within_fields(range_, added, added.low) : range_;
            auto const exact = combined(sum, added, less);
            return exact ? exact : combined(range_.in_one(), added.hull(), less);
        };
        if (known_other_) return give(self_, without(*known_other_));
        if (factor == 0) return give(self_, range_);
        if (known_self_ && name_ == "add" && factor == 1)
            return give(other_, without(*known_self_));
        if (known_self_ && name_ == "sub" && factor == -1) {
            return give(other_, each(*known_self_, missing));
        }
        if (!self_ || !other_ || std::abs(factor) != 1) return std::nullopt;
        // A constant whose values are not known leaves nothing to choose.
        if (is_fixed(*self_) || is_fixed(*other_)) return std::nullopt;
        auto const whole = range_.in_one();
        auto const low = whole.least();
        auto const high = whole.greatest();
        if (low > 0 || high < 0) return std::nullopt;
        if (factor > 0) {
            auto const half = ValueRange::of(std::ceil(low / 2), std::floor(high / 2));
            return std::vector<OperandRange>{{*self_, half}, {*other_, half}};
        }
        auto const middle = std::floor((low + high) / 2);
        return std::vector<OperandRange>{{*self_, ValueRange::of(middle, high)},
                                         {*other_, ValueRange::of(0, middle - low)}};
    }

    [[nodiscard]] Operands of_reversed_difference() const {
        if (!known_other_ || number_argument(node_, "alpha", 1) != 1) return std::nullopt;
        return give(self_, each(*known_other_, missing));
    }

    [[nodiscard]] Operands of_product() const {
        if (known_other_ || known_self_) {
            auto const& by = known_other_ ? *known_other_ : *known_self_;
            auto const target = known_other_ ? self_ : other_;
            if (by.least() == 0 && by.greatest() == 0) return give(target, range_);
            // A factor that may be 0 makes 0, which must be allowed.
            if (by.least() < 0 && by.greatest() > 0) return std::nullopt;
            if (by.least() == 0) {
                return give(target, each(ValueRange::of(1, by.greatest()), divided));
            }
            return give(target, each(by, divided));
        }
        if (!self_ || !other_) return std::nullopt;
        auto const whole = range_.in_one();
        if (whole.least() > 0) return std::nullopt;
        // A mask leaves ids or makes them 0.
        if (comes_from_mask(*other_)) return give(self_, range_);
        if (comes_from_mask(*self_)) return give(other_, range_);
        auto const root = ValueRange::of(0, std::floor(std::sqrt(whole.greatest())));
        return std::vector<OperandRange>{{.operand = *self_, .range = root, .is_term = true},
                                         {.operand = *other_, .range = root, .is_term = true}};
    }

    [[nodiscard]] Operands of_quotient() const {
        if (!known_other_ || !is_one_number(*known_other_)) return std::nullopt;
        bool const shifts = name_.find("shift") != std::string_view::npos;
        auto const by = shifts ? std::exp2(known_other_->least()) : known_other_->least();
        auto const* mode = node_.find_argument("rounding_mode");
        bool const rounds =
            name_ != "div" || (mode != nullptr && std::holds_alternative<std::string>(*mode));
        if (by <= 0) return std::nullopt;
        return give(self_, combined(range_, range_, [&](double low, double high, double, double) {
                        return rounds
                                   ? std::pair{std::ceil(low) * by, std::floor(high) * by + by - 1}
                                   : std::pair{low * by, high * by};
                    }));
    }

    [[nodiscard]] Operands of_remainder() const {
        if (!known_other_ || known_other_->least() <= 0) return std::nullopt;
        bool const masks = name_.find("and") != std::string_view::npos;
        bool folds = self_ && name_ != "fmod" && is_hash(*self_);
        (void)combined(range_, *known_other_, [&](double low, double high, double c, double d) {
            folds = folds && low <= 0 && high >= (masks ? d : d - 1);
            return std::pair{c, d};
        });
        if (folds) {
            return std::vector<OperandRange>{
                {.operand = *self_, .range = any_hashed(), .is_folded = true}};
        }
        // Within the divisor nothing is folded back, so that every row is reached evenly.
        return give(self_, each(*known_other_, [masks](double low, double high, double c, double) {
                        return std::pair{std::max(low, 0.0), std::min(high, masks ? c : c - 1)};
                    }));
    }

    [[nodiscard]] Operands of_clamp() const {
        constexpr double infinity = std::numeric_limits<double>::infinity();
        auto const bound = [&](std::string_view argument, std::string_view second) {
            auto const found = known_.of_argument(node_, argument);
            return found ? found : known_.of_argument(node_, second);
        };
        ValueRange allowed = range_;
        if (auto const least = bound("min", "min_val"); least && name_ != "clamp_max") {
            allowed = intersection(allowed, ValueRange::of(least->greatest(), infinity));
        }
        if (auto const most = bound("max", "max_val"); most && name_ != "clamp_min") {
            allowed = intersection(allowed, ValueRange::of(-infinity, most->least()));
        }
        return give(self_, allowed);
    }

    [[nodiscard]] Operands of_running_sum() const {
        if (!self_) return std::nullopt;
        auto const& from = value_of(program_, *self_);
        if (is_boolean(from) || comes_from_mask(*self_)) return std::vector<OperandRange>{};
        auto const* result = first_result(program_, node_);
        auto const terms =
            name_ == "cumsum"
                ? extent(from, integer_argument(node_, "dim", 0))
                : from.element_count() /
                      std::max<std::int64_t>(result == nullptr ? 1 : result->element_count(), 1);
        auto const whole = range_.in_one();
        auto const count = static_cast<double>(std::max<std::int64_t>(terms, 1));
        // The first term alone reaches the least of running sums.
        auto const least = std::max(whole.least(), 0.0);
        auto const low = name_ == "cumsum" ? least : std::ceil(least / count);
        auto const high = std::floor(whole.greatest() / count);
        if (low != 0 && !(low <= high)) return std::nullopt;
        return std::vector<OperandRange>{
            {.operand = *self_, .range = ValueRange::of(low, high), .is_term = true}};
    }

    [[nodiscard]] bool is_fixed(ValueId id) const {
        return known_.fixed[static_cast<std::size_t>(id)];
    }

    /// More was done to ids than moving and shifting them.
    [[nodiscard]] bool is_hash(ValueId id) const {
        auto const* node = memory_.maker(id).node;
        if (node == nullptr || forgets_operands(*node)) return false;
        auto const name = functional_name(*node);
        bool const shifts = (name == "add" || name == "sub") && known_.of_argument(*node, "other");
        if (!moves_values(*node) && !shifts) return true;
        return std::ranges::any_of(moved_tensors(program_, *node),
                                   [&](ValueId source) { return is_hash(source); });
    }

    /// A mask under another dtype: its elements are 0 and 1.
    [[nodiscard]] bool comes_from_mask(ValueId id) const {
        if (is_boolean(value_of(program_, id))) return true;
        auto const* node = memory_.maker(id).node;
        if (node == nullptr || tensors_returned(*node).size() != 1) return false;
        auto const read = tensors_read(*node);
        return read.size() == 1 && moves_values(*node) && comes_from_mask(read.front());
    }

    ExportedProgram const& program_;
    TensorMemory const& memory_;
    KnownValues const& known_;
    ProgramNode const& node_;
    ValueRange const& range_;
    std::string_view name_;
    std::optional<ValueId> self_;
    std::optional<ValueId> other_;
    std::optional<ValueRange> known_self_;
    std::optional<ValueRange> known_other_;
};

}  // namespace

std::optional<std::vector<OperandRange>> operand_ranges(ExportedProgram const& program,
                                                        TensorMemory const& memory,
                                                        KnownValues const& known,
                                                        ProgramNode const& node,
                                                        ValueRange const& range) {
    return Inversion{program, memory, known, node, range}.operands();
}

ValueRange any_hashed() {
    constexpr double identifiers = 2147483648;  // 2^31
    return ValueRange::of(0, identifiers - 1);
}

bool forgets_operands(ProgramNode const& node) {
    return bounded_by_themselves.contains(functional_name(node));
}

ValueRange within_fields(ValueRange const& range, ValueRange const& start,
                         std::vector<double> starts) {
    constexpr double least_field = 2;
    std::ranges::sort(starts);
    starts.erase(std::ranges::unique(starts).begin(), starts.end());
    auto const fields = static_cast<double>(starts.size());
    if (fields < 2 || starts.front() < 0 ||
        starts.back() - starts.front() < least_field * (fields - 1)) {
        return range;
    }
    auto const inside = combined(range, start, [&](double low, double high, double c, double) {
        auto const next = std::ranges::upper_bound(starts, c);
        return std::pair{std::max(low, c), next == starts.end() ? high : std::min(high, *next - 1)};
    });
    return inside && !inside->is_empty(false) ? *inside : range;
}

}  // namespace derate
