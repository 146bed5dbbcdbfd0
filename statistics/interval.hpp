#pragma once

namespace derate {

/// Both ends of an interval, in the unit of what it bounds; `lower` <= `upper`.
struct Interval {
    double lower = 0;
    double upper = 0;

    [[nodiscard]] bool contains(double x) const { return lower <= x && x <= upper; }
    friend bool operator==(Interval const&, Interval const&) = default;
};

}  // namespace derate
