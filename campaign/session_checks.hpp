#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "campaign/samples.hpp"

namespace derate {

/// The session compared with itself: launches with even numbers against those with odd ones, the
/// same program on the same machine, interleaved. Every difference found is a false alarm.
struct SelfComparison {
    int cases = 0;            ///< with two launches or more on either side
    int alarms = 0;           ///< Welch's t-test on launch medians, two-sided, p < 0.05
    double median_shift = 0;  ///< median over cases of |log(mean of odd / mean of even)|

    /// Share of cases with an alarm; 0.05 if launches are independent and about normal. A session
    /// in which all cases of a launch are slow together gives more or fewer.
    [[nodiscard]] double false_alarm_rate() const {
        return cases > 0 ? static_cast<double>(alarms) / cases : 0;
    }
};

[[nodiscard]] SelfComparison compare_with_itself(std::map<std::string, Repetitions> const& cases);

/// In words: "3 of 60 cases differ between even and odd launches at the 5 % level (5.0 %), ...".
[[nodiscard]] std::string to_string(SelfComparison const& comparison);

/// Two separate peaks in a case's repetitions: two ways the machine runs it, whose mean is neither.
struct TwoPeaks {
    double lower_ms = 0;  ///< centre of the faster group
    double upper_ms = 0;
    double upper_share = 0;  ///< of all repetitions, 0.2 to 0.8
};

/// The split of log times that leaves the least variance inside two groups; it counts as two peaks
/// when each group holds a fifth of the repetitions, centres lie 3 % apart or more, and Ashman's D,
/// sqrt(2) |m1 - m2| / sqrt(s1^2 + s2^2), is 5 or more: a normal sample cut in two has about 2.7, a
/// uniform one 3.5.
///
/// \return empty for one peak, or below 10 repetitions
/// Source: Ashman, Bird, Zepf, "Detecting bimodality in astronomical datasets", AJ 108 (1994).
[[nodiscard]] std::optional<TwoPeaks> find_two_peaks(Repetitions const& repetitions);

/// Repetitions far from the rest of their case, by Tukey's fences on the logarithm: mild beyond 1.5
/// interquartile ranges of the quartiles, severe beyond 3. They are counted, never dropped.
///
/// Source: Tukey, "Exploratory Data Analysis", Addison-Wesley 1977, section 2D.
struct OutlierCounts {
    int repetitions = 0;  ///< of cases with eight or more of them: fewer have no quartiles
    int mild_slow = 0;
    int severe_slow = 0;
    int mild_fast = 0;
    int severe_fast = 0;

    friend bool operator==(OutlierCounts const&, OutlierCounts const&) = default;
};

[[nodiscard]] OutlierCounts classify_outliers(std::map<std::string, Repetitions> const& cases);

/// "31 of 4530 repetitions are slow outliers (12 severe), 3 fast (0 severe)".
[[nodiscard]] std::string to_string(OutlierCounts const& outliers);

}  // namespace derate
