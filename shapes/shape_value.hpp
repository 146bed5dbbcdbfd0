#pragma once
#include <cstdint>
#include <optional>

namespace derate {

/// What a size, or anything that sizes are made of, comes to: an exact number, a double, a truth
/// value, or nothing ("undefined": a division by zero, an integer beyond 127 bits, a symbol that
/// nobody gave a value).
class ShapeValue {
  public:
    /// GCC's and Clang's; sums and products of sizes that fit 63 bits fit it.
    __extension__ using Wide = __int128;

    ShapeValue() = default;
    [[nodiscard]] static ShapeValue of_truth(bool truth);
    [[nodiscard]] static ShapeValue of_integer(Wide integer) { return of_ratio(integer, 1); }
    /// In lowest terms; undefined where the denominator is 0.
    [[nodiscard]] static ShapeValue of_ratio(Wide numerator, Wide denominator);
    /// Undefined where it is NaN.
    [[nodiscard]] static ShapeValue of_real(double real);

    [[nodiscard]] bool is_defined() const { return kind_ != Kind::undefined; }
    [[nodiscard]] bool is_truth() const { return kind_ == Kind::truth; }
    [[nodiscard]] bool is_exact() const { return kind_ == Kind::exact; }
    [[nodiscard]] bool is_real() const { return kind_ == Kind::real; }
    [[nodiscard]] bool is_integer() const { return is_exact() && denominator_ == 1; }

    /// Empty unless it is a truth value; numbers are none.
    [[nodiscard]] std::optional<bool> truth() const;
    /// Empty unless it is an integer of 64 bits.
    [[nodiscard]] std::optional<std::int64_t> integer() const;
    /// Empty unless it is a number; of a ratio the nearest double, or one next to it beyond 2^53.
    [[nodiscard]] std::optional<double> real() const;

    /// Of an exact number.
    [[nodiscard]] Wide numerator() const { return numerator_; }
    [[nodiscard]] Wide denominator() const { return denominator_; }

    /// Of the same kind, too: the integer 2 is not the double 2.0.
    friend bool operator==(ShapeValue const&, ShapeValue const&) = default;

  private:
    enum class Kind { undefined, truth, exact, real };

    Kind kind_ = Kind::undefined;
    double real_ = 0;
    Wide numerator_ = 0;  ///< of a truth value 0 or 1
    Wide denominator_ = 1;
};

}  // namespace derate
