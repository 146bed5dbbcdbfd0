#pragma once
#include <span>
#include <vector>

#include "statistics/interval.hpp"

namespace derate {

/// A kernel's work and what fraction of peak it reached.
struct SizedEfficiency {
    double work = 0;        ///< FLOPs or bytes, > 0
    double efficiency = 0;  ///< > 0
};

/// Where one more kernel of a type is expected by its size alone.
struct SizeBand {
    double work = 0;
    double center = 0;  ///< the efficiency of a typical kernel of that size
    Interval band;      ///< 95 %, of one more kernel of that size whatever its shape; lower > 0
};

/// The efficiencies of a type's kernels as a function of work: a local mean of log efficiency and
/// the prediction interval of one more kernel around it.
///
/// This is what a picture over work can show. The served interval of a kernel is narrower, because
/// it knows the kernel's shape; a band of such intervals would not hold the kernels drawn beside
/// it.
///
/// Weights of kernels fall with their distance in log work (Gaussian, standard deviation 1: a
/// factor e). With m and v the weighted mean and variance, n the effective number of kernels (sum
/// w)^2 / sum w^2 and v_0 the mean squared error with which the others predict each kernel of the
/// type, the scatter is s^2 = (2 v_0 + (n - 1) v) / (n + 1) on n + 1 degrees of freedom, and the
/// band is exp(m +- t s sqrt(1 + 1 / n)).
class SizeBands {
  public:
    /// \param kernels  of one type and axis, two or more
    /// \throws std::invalid_argument  fewer than two kernels, or one without work or efficiency
    explicit SizeBands(std::span<SizedEfficiency const> kernels);

    /// \param work  > 0; between the least and the most work of the kernels
    [[nodiscard]] SizeBand at(double work) const;

    /// \return bands at `count` sizes, equally spaced in log work from the least to the most
    [[nodiscard]] std::vector<SizeBand> over_range(int count) const;

  private:
    struct Point {
        double log_work = 0;
        double log_efficiency = 0;
    };
    struct Local {
        double mean = 0;
        double variance = 0;
        double kernels = 0;  ///< effective number
    };
    [[nodiscard]] Local local_at(double log_work, Point const* left_out) const;

    std::vector<Point> points_;
    double type_variance_ = 0;
};

}  // namespace derate
