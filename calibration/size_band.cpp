#include "calibration/size_band.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "statistics/distributions.hpp"

namespace derate {
namespace {

constexpr double least_weight_sum = 1e-12;

}  // namespace

SizeBands::SizeBands(std::span<SizedEfficiency const> kernels) {
    if (kernels.size() < 2) throw std::invalid_argument{"a band needs two kernels or more"};
    for (auto const& kernel : kernels) {
        if (!(kernel.work > 0) || !(kernel.efficiency > 0)) {
            throw std::invalid_argument{"work and efficiency must be positive"};
        }
        points_.push_back({std::log(kernel.work), std::log(kernel.efficiency)});
    }
    for (auto const& point : points_) {
        double const error = point.log_efficiency - local_at(point.log_work, &point).mean;
        type_variance_ += error * error / static_cast<double>(points_.size());
    }
}

SizeBands::Local SizeBands::local_at(double log_work, Point const* left_out) const {
    double sum = 0;
    double squares = 0;
    double mean = 0;
    auto const weight_of = [&](Point const& point) {
        double const distance = point.log_work - log_work;
        return &point == left_out ? 0.0 : std::exp(-0.5 * distance * distance);
    };
    for (auto const& point : points_) {
        double const weight = weight_of(point);
        sum += weight;
        squares += weight * weight;
        mean += weight * point.log_efficiency;
    }
    if (sum < least_weight_sum) {  // nothing near: the nearest kernel is all there is to go by
        Point const* nearest = nullptr;
        for (auto const& point : points_) {
            if (&point == left_out) continue;
            if (nearest == nullptr ||
                std::abs(point.log_work - log_work) < std::abs(nearest->log_work - log_work)) {
                nearest = &point;
            }
        }
        return {.mean = nearest->log_efficiency, .variance = 0, .kernels = 1};
    }
    mean /= sum;
    double variance = 0;
    for (auto const& point : points_) {
        double const error = point.log_efficiency - mean;
        variance += weight_of(point) * error * error / sum;
    }
    double const kernels = sum * sum / squares;
    // Unbiased for weights that are equal, as n / (n - 1) is.
    if (kernels > 1) variance *= kernels / std::max(kernels - 1, 1e-6);
    return {.mean = mean, .variance = variance, .kernels = kernels};
}

SizeBand SizeBands::at(double work) const {
    auto const local = local_at(std::log(work), nullptr);
    double const degrees_of_freedom = local.kernels + 1;
    double const variance =
        (2 * type_variance_ + (local.kernels - 1) * local.variance) / degrees_of_freedom;
    double const half = student_t_quantile(0.975, degrees_of_freedom) *
                        std::sqrt(variance * (1 + 1 / local.kernels));
    return {.work = work,
            .center = std::exp(local.mean),
            .band = {std::exp(local.mean - half), std::exp(local.mean + half)}};
}

std::vector<SizeBand> SizeBands::over_range(int count) const {
    auto const [least, most] = std::ranges::minmax(points_, {}, &Point::log_work);
    std::vector<SizeBand> bands;
    for (int i = 0; i < count; ++i) {
        double const share = count > 1 ? static_cast<double>(i) / (count - 1) : 0.5;
        bands.push_back(at(std::exp(std::lerp(least.log_work, most.log_work, share))));
    }
    return bands;
}

}  // namespace derate
