#pragma once
#include <compare>

namespace derate {

/// A number that remembers what it counts.
///
/// Holds a value in one unit, named by `Unit`, so that work, traffic and rates cannot be
/// swapped at a call site. It is a label, not an algebra: take `value()`, compute, and wrap
/// the result in the type that is now true.
template <class Unit>
class Quantity {
  public:
    constexpr Quantity() noexcept = default;
    constexpr explicit Quantity(double value) noexcept : value_{value} {}
    [[nodiscard]] constexpr double value() const noexcept { return value_; }
    friend constexpr auto operator<=>(Quantity, Quantity) noexcept = default;

  private:
    double value_ = 0.0;
};

using Flops = Quantity<struct FlopsUnit>;              ///< floating-point operations, 1 FMA = 2
using Bytes = Quantity<struct BytesUnit>;              ///< memory traffic, read plus written
using FlopsPerSecond = Quantity<struct FlopRateUnit>;  ///< peak or achieved compute rate
using BytesPerSecond = Quantity<struct ByteRateUnit>;  ///< peak or achieved bandwidth

inline constexpr double ms_per_second = 1e3;

}  // namespace derate
