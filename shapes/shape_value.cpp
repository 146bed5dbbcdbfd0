#include "shapes/shape_value.hpp"

#include <cmath>
#include <utility>

namespace derate {
namespace {

using Wide = ShapeValue::Wide;

Wide greatest_common_divisor(Wide a, Wide b) {
    while (b != 0) a = std::exchange(b, a % b);
    return a < 0 ? -a : a;
}

constexpr Wide least_wide = static_cast<Wide>(1) << 126;  // magnitudes from here on are refused

}  // namespace

ShapeValue ShapeValue::of_truth(bool truth) {
    ShapeValue value;
    value.kind_ = Kind::truth;
    value.numerator_ = truth ? 1 : 0;
    return value;
}

ShapeValue ShapeValue::of_ratio(Wide numerator, Wide denominator) {
    bool const is_beyond = numerator >= least_wide || numerator <= -least_wide ||
                           denominator >= least_wide || denominator <= -least_wide;
    if (denominator == 0 || is_beyond) return {};
    ShapeValue value;
    value.kind_ = Kind::exact;
    if (denominator == 1) {
        value.numerator_ = numerator;
        return value;
    }
    auto const divisor = greatest_common_divisor(numerator, denominator);
    auto const sign = denominator < 0 ? -1 : 1;
    value.numerator_ = sign * numerator / divisor;
    value.denominator_ = sign * denominator / divisor;
    return value;
}

ShapeValue ShapeValue::of_real(double real) {
    if (std::isnan(real)) return {};
    ShapeValue value;
    value.kind_ = Kind::real;
    value.real_ = real;
    return value;
}

std::optional<bool> ShapeValue::truth() const {
    if (!is_truth()) return std::nullopt;
    return numerator_ != 0;
}

std::optional<std::int64_t> ShapeValue::integer() const {
    auto const narrow = static_cast<std::int64_t>(numerator_);
    if (!is_integer() || static_cast<Wide>(narrow) != numerator_) return std::nullopt;
    return narrow;
}

std::optional<double> ShapeValue::real() const {
    if (is_real()) return real_;
    if (!is_exact()) return std::nullopt;
    return static_cast<double>(numerator_) / static_cast<double>(denominator_);
}

}  // namespace derate
