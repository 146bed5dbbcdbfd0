#include "validation_tests/resampled_corpus.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <string>

#include "calibration/cross_validate.hpp"
#include "calibration/fit_calibration.hpp"
#include "core/input_error.hpp"
#include "statistics/distributions.hpp"
#include "storage/calibration_files.hpp"

namespace derate {
namespace {

/// std::uniform_int_distribution may differ between libraries.
std::size_t below(std::mt19937_64& generator, std::size_t count) { return generator() % count; }

void shift_predictions(ModelOutcome& outcome, double factor) {
    outcome.predicted_ms *= factor;
    for (auto& kernel : outcome.kernels) kernel.predicted_ms *= factor;
}

void set_interval(ModelOutcome& outcome, int models) {
    double const reach =
        student_t_quantile(0.975, std::max(1, models - 1)) * std::sqrt(outcome.log_variance);
    outcome.interval = {.lower = outcome.predicted_ms * std::exp(-reach),
                        .upper = outcome.predicted_ms * std::exp(reach)};
}

/// Mean over models of what `value` gives, models without a value left out.
double mean_of(std::vector<ModelOutcome> const& outcomes, auto const& value) {
    double sum = 0;
    double count = 0;
    for (auto const& outcome : outcomes) {
        double const one = value(outcome);
        if (!std::isfinite(one)) continue;
        sum += one;
        count += 1;
    }
    return sum / count;
}

/// The part of the evidence that one campaign timed.
Evidence of_campaign(Evidence const& all, int campaign) {
    auto part = all;
    part.campaigns = {all.campaigns[static_cast<std::size_t>(campaign)]};
    part.cases.clear();
    part.models.clear();
    std::map<int, int> new_index;
    for (std::size_t i = 0; i < all.cases.size(); ++i) {
        if (all.cases[i].campaign != campaign) continue;
        new_index[static_cast<int>(i)] = static_cast<int>(part.cases.size());
        part.cases.push_back(all.cases[i]);
        part.cases.back().campaign = 0;
    }
    for (auto model : all.models) {
        if (model.campaign != campaign) continue;
        model.campaign = 0;
        model.role = ModelRole::calibration;
        for (int& index : model.cases) index = new_index.at(index);
        part.models.push_back(std::move(model));
    }
    return part;
}

Evidence evidence_of_file(std::filesystem::path const& curves) {
    auto evidence = read_evidence_of(read_calibration(curves), curves);
    if (!evidence) throw InputError{curves.string(), "no evidence", "a calibration with evidence"};
    return std::move(*evidence);
}

}  // namespace

ResampledCorpus::ResampledCorpus(std::vector<ModelOutcome> left_out) {
    double const bias = mean_of(left_out, [](auto const& o) { return -o.log_error(); });
    for (auto& outcome : left_out) shift_predictions(outcome, std::exp(-bias));
    double const ratio =
        mean_of(left_out, [](auto const& o) { return o.standardised() * o.standardised(); });
    double const kernel_ratio = mean_of(left_out, [](auto const& o) { return o.kernel_square().value(); });
    std::map<std::string, std::vector<ModelOutcome>> families;
    for (auto& outcome : left_out) {
        outcome.log_variance *= ratio;
        for (auto& kernel : outcome.kernels) kernel.log_variance *= kernel_ratio;
        families[outcome.family].push_back(outcome);
    }
    for (auto& [name, members] : families) families_.push_back(std::move(members));
}

std::vector<ModelOutcome> ResampledCorpus::draw(SimulatedCalibration const& what) const {
    std::mt19937_64 generator{what.seed};
    std::vector<ModelOutcome> outcomes;
    for (int f = 0; std::ssize(outcomes) < what.models; ++f) {
        // One batch size of each model, the models in an order of their own.
        std::map<std::string, std::vector<ModelOutcome const*>> by_name;
        for (auto const& outcome : families_[below(generator, families_.size())]) {
            by_name[outcome.model].push_back(&outcome);
        }
        std::vector<ModelOutcome const*> members;
        for (auto const& [name, batches] : by_name) {
            members.push_back(batches[below(generator, batches.size())]);
        }
        for (std::size_t i = members.size(); i > 1; --i) {
            std::swap(members[i - 1], members[below(generator, i)]);
        }
        for (auto const* member : members) {
            if (std::ssize(outcomes) == what.models) break;
            auto outcome = *member;
            outcome.family = "draw_" + std::to_string(f);
            outcome.model = outcome.family + "/" + outcome.model;
            shift_predictions(outcome, 1 + what.bias_percent / 100);
            outcome.log_variance /= what.variance_understatement;
            for (auto& kernel : outcome.kernels) {
                kernel.log_variance /= what.variance_understatement;
            }
            set_interval(outcome, what.models);
            outcomes.push_back(std::move(outcome));
        }
    }
    return outcomes;
}

ResampledReplacement::ResampledReplacement(std::vector<PairedKernel> const& kernels) {
    std::map<std::string, std::vector<PairedKernel>> models;
    for (auto const& kernel : kernels) {
        if (kernel.measured_new_ms && kernel.measured_old_ms) {
            models[kernel.model].push_back(kernel);
        }
    }
    for (auto& [name, members] : models) models_.push_back(std::move(members));
}

std::vector<PairedKernel> ResampledReplacement::draw(SimulatedReplacement const& what) const {
    std::mt19937_64 generator{what.seed};
    std::vector<PairedKernel> kernels;
    for (int m = 0; m < what.models; ++m) {
        double const slowed =
            (1 + what.common_percent / 100) * (m % 2 == 0 ? 1 + what.slowed_percent / 100 : 1);
        for (auto kernel : models_[below(generator, models_.size())]) {
            kernel.model = "draw_" + std::to_string(m) + "/" + kernel.model;
            kernel.measured_new_ms = *kernel.measured_new_ms * slowed;
            kernel.predicted_new_ms *= slowed;
            if (kernel.type == what.biased_type) {
                kernel.predicted_new_ms *= 1 + what.type_bias_percent / 100;
            }
            kernels.push_back(std::move(kernel));
        }
    }
    return kernels;
}

ResampledCorpus read_corpus(std::filesystem::path const& curves) {
    auto const evidence = evidence_of_file(curves);
    return ResampledCorpus{outcomes_of(cross_validate(evidence, LeaveOut::model), evidence)};
}

ResampledReplacement read_replacement(std::filesystem::path const& curves) {
    auto const evidence = evidence_of_file(curves);
    if (evidence.campaigns.size() != 2) {
        throw InputError{curves.string(),
                         std::to_string(evidence.campaigns.size()) + " campaigns of evidence",
                         "two, one to replace the other"};
    }
    auto const before = of_campaign(evidence, 0);
    auto const after = of_campaign(evidence, 1);
    return ResampledReplacement{
        pair_kernels(fit_calibration(after), after, fit_calibration(before), before)};
}

}  // namespace derate
