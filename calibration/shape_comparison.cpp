#include "calibration/shape_comparison.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "calibration/cross_validate.hpp"

namespace derate {
namespace {

using Key = std::pair<OperationType, bool>;

struct Squares {
    double sum = 0;
    int kernels = 0;
};

/// Squared log errors of kernels that no model but the left-out one holds.
std::map<Key, Squares> errors_of(Evidence const& evidence, ResidualForm form) {
    auto const left_out =
        cross_validate(evidence, LeaveOut::model, {.residual = form, .nested_intervals = false});
    std::map<Key, Squares> errors;
    for (auto const& model : left_out.models) {
        std::set<int> counted;  // a kernel that a model holds several times is one kernel
        for (auto const& kernel : model.kernels) {
            if (kernel.seen || !counted.insert(kernel.case_index).second) continue;
            auto const& subgraph =
                evidence.cases[static_cast<std::size_t>(kernel.case_index)].subgraph;
            auto& squares = errors[{subgraph.type, !(subgraph.work.value() > 0)}];
            double const error = std::log(kernel.measured_ms / kernel.predicted_ms);
            squares.sum += error * error;
            ++squares.kernels;
        }
    }
    return errors;
}

std::vector<std::pair<std::string, double>> named_errors(ShapeComparison const& shapes) {
    std::vector<std::pair<std::string, double>> named;
    auto const add = [&](std::string name, std::optional<double> error) {
        if (error) named.emplace_back(std::move(name), *error);
    };
    add("additive roofline with residual model", shapes.residual_model);
    add("additive roofline", shapes.additive_roofline);
    for (std::size_t i = 0; i < shapes.curves.size(); ++i) {
        add(std::string{to_string(all_curve_forms[i])}, shapes.curves[i]);
    }
    return named;
}

}  // namespace

std::string ShapeComparison::winner() const {
    auto const named = named_errors(*this);
    auto const best = std::ranges::min_element(named, {}, &std::pair<std::string, double>::second);
    return best == named.end() ? std::string{} : best->first;
}

std::optional<double> ShapeComparison::served_over_next() const {
    auto const named = named_errors(*this);
    if (named.size() < 2) return std::nullopt;
    auto const next = std::ranges::min_element(named.begin() + 1, named.end(), {},
                                               &std::pair<std::string, double>::second);
    if (!(next->second > 0)) return std::nullopt;
    return named.front().second / next->second;
}

std::vector<ShapeComparison> compare_shapes(Evidence const& evidence) {
    auto const with_residual = errors_of(evidence, ResidualForm::gaussian_process);
    auto const alone = errors_of(evidence, ResidualForm::none);
    auto const root_mean = [](std::map<Key, Squares> const& errors,
                              Key const& key) -> std::optional<double> {
        auto const found = errors.find(key);
        if (found == errors.end()) return std::nullopt;
        return std::sqrt(found->second.sum / found->second.kernels);
    };
    // A peak cancels: it scales efficiency and its prediction alike.
    PeakRate const unit{.per_second = 1,
                        .source = "",
                        .method = "",
                        .relative_spread = std::nullopt,
                        .clock_hz = std::nullopt};
    std::vector<ShapeComparison> result;
    for (auto const& [key, squares] : with_residual) {
        ShapeComparison one{.type = key.first,
                            .zero_flop = key.second,
                            .kernels = squares.kernels,
                            .residual_model = root_mean(with_residual, key),
                            .additive_roofline = root_mean(alone, key),
                            .curves = {}};
        auto const kernels = kernel_efficiencies_of(evidence, key.first, key.second, unit);
        for (std::size_t i = 0; i < one.curves.size(); ++i) {
            one.curves[i] =
                leave_one_model_out_error(kernels, all_curve_forms[i], FitWeighting::log_error);
        }
        result.push_back(std::move(one));
    }
    std::ranges::stable_sort(result, std::greater{}, &ShapeComparison::kernels);
    return result;
}

}  // namespace derate
