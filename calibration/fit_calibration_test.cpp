#include "calibration/fit_calibration.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "calibration/cross_validate.hpp"
#include "core/input_error.hpp"
#include "ctest/timings.hpp"
#include "storage/calibration_json.hpp"
#include "storage/calibration_rules.hpp"
#include "storage/schema_check.hpp"

namespace derate {
namespace {

/// A machine whose every time is known: additive rooflines times a smooth function of shape times
/// errors of kernel, type and model.
class Machine {
  public:
    /// \param odd_share  of the kernels, which err four times as much as others
    explicit Machine(unsigned seed, double odd_share = 0) : random_{seed}, odd_share_{odd_share} {}

    Evidence measure(int families, int models_each) {
        Evidence evidence;
        evidence.hardware.id = "simulated";
        evidence.condition.partition = evidence.condition.flop_rule = "derate_1";
        evidence.condition.execution.threads = 1;
        evidence.campaigns.push_back({.id = "only",
                                      .date = "2026-01-01",
                                      .origin = "simulation",
                                      .imported = false,
                                      .environment_hash = std::nullopt,
                                      .samples_sha256 = std::nullopt,
                                      .trust_grade = std::nullopt});
        for (int f = 0; f < families; ++f) {
            double const width = 3 + 2 * uniform();  // log of a family's typical channels
            for (int m = 0; m < models_each; ++m) {
                EvidenceModel model;
                model.family = "family" + std::to_string(f);
                model.name = model.family + "_" + std::to_string(m);
                double const type_error[2] = {0.05 * normal(), 0.05 * normal()};
                double const model_error = 0.02 * normal();
                double parts = 0;
                for (int k = 0; k < 25; ++k) {
                    bool const is_linear = k % 3 == 0;
                    auto kernel = is_linear ? linear(width) : convolution(width);
                    double const kernel_error =
                        odd_share_ > 0 && uniform() < odd_share_ ? 0.4 : 0.1;
                    double const ms =
                        truth_ms(kernel.subgraph) *
                        std::exp(kernel_error * normal() + type_error[is_linear ? 1 : 0]);
                    kernel.timing = imported_time(ms, 10);
                    parts += ms;
                    model.cases.push_back(static_cast<int>(evidence.cases.size()));
                    evidence.cases.push_back(std::move(kernel));
                }
                model.whole_model = imported_time(1.05 * parts * std::exp(model_error), 10);
                evidence.models.push_back(std::move(model));
            }
        }
        return evidence;
    }

  private:
    double normal() { return normal_(random_); }
    double uniform() { return uniform_(random_); }

    double size(double centre) { return std::round(std::exp(centre + 0.7 * normal()) + 1); }

    EvidenceCase convolution(double width) {
        double const in = size(width);
        double const out = size(width);
        double const extent = std::round(7 * std::exp2(std::floor(4 * uniform())));
        EvidenceCase kernel;
        auto& s = kernel.subgraph;
        s.type = OperationType::conv2d;
        s.fusion_pattern = "Conv2d";
        auto const whole = [](double v) { return static_cast<std::int64_t>(v); };
        s.nodes.push_back({.name = "",
                           .op = "conv2d",
                           .input_shape = {1, whole(in), whole(extent), whole(extent)},
                           .output_shape = {1, whole(out), whole(extent), whole(extent)},
                           .attributes = {{"in_channels", in},
                                          {"out_channels", out},
                                          {"kernel", std::vector<double>{3, 3}},
                                          {"groups", 1.0}}});
        s.work = Flops{2 * 9 * in * out * extent * extent};
        s.traffic = {.input = Bytes{4 * in * extent * extent},
                     .weights = Bytes{36 * in * out},
                     .output = Bytes{4 * out * extent * extent}};
        s.descriptor = "conv2d " + std::to_string(next_++);
        return kernel;
    }

    EvidenceCase linear(double width) {
        double const m = size(3);
        double const n = size(width + 1);
        double const k = size(width + 1);
        EvidenceCase kernel;
        auto& s = kernel.subgraph;
        s.type = OperationType::linear;
        s.fusion_pattern = "Linear";
        s.nodes.push_back({.name = "",
                           .op = "linear",
                           .input_shape = {static_cast<std::int64_t>(m)},
                           .output_shape = {static_cast<std::int64_t>(m)},
                           .attributes = {{"m", m}, {"n", n}, {"k", k}}});
        s.work = Flops{2 * m * n * k};
        s.traffic = {
            .input = Bytes{4 * m * k}, .weights = Bytes{4 * n * k}, .output = Bytes{4 * m * n}};
        s.descriptor = "linear " + std::to_string(next_++);
        return kernel;
    }

    static double truth_ms(Subgraph const& s) {
        double const speed = s.type == OperationType::conv2d ? 100e9 : 40e9;
        double const seconds = 5e-6 + s.work.value() / speed + s.traffic.total().value() / 15e9;
        return 1e3 * seconds * std::exp(0.2 * std::sin(std::log(s.work.value())));
    }

    std::mt19937 random_;
    std::normal_distribution<double> normal_;
    std::uniform_real_distribution<double> uniform_;
    double odd_share_ = 0;
    int next_ = 0;
};

TEST(FitCalibration, SaysTheOldestValueRuleOfItsCampaigns) {
    auto evidence = Machine{1}.measure(2, 2);
    EXPECT_EQ(fit_calibration(evidence).provenance.value_rule, std::nullopt);
    evidence.campaigns[0].value_rule = "derate_2";
    EXPECT_EQ(fit_calibration(evidence).provenance.value_rule, "derate_2");
    auto older = evidence.campaigns[0];
    older.id = "older";
    older.value_rule = "derate_1";
    evidence.campaigns.push_back(older);
    evidence.models.back().campaign = 1;
    for (int const index : evidence.models.back().cases) {
        evidence.cases[static_cast<std::size_t>(index)].campaign = 1;
    }
    auto const calibration = fit_calibration(evidence);
    EXPECT_EQ(calibration.provenance.value_rule, "derate_1");
    EXPECT_EQ(to_json(calibration)["calibration_metadata"]["value_rule"], "derate_1");
}

TEST(FitCalibration, NamesTheOperatorsThatJoinItsKernels) {
    auto evidence = Machine{3}.measure(2, 2);
    // Foreign files name modules: what their kernels hold is unknown, not nothing.
    EXPECT_EQ(fit_calibration(evidence).joined_operators, std::nullopt);
    auto& nodes = evidence.cases.front().subgraph.nodes;
    nodes.push_back({.name = "r", .op = "relu_"});
    nodes.push_back({.name = "m", .op = "ReLU"});
    nodes.push_back({.name = "b", .op = "batch_norm"});
    EXPECT_EQ(fit_calibration(evidence).joined_operators,
              (std::vector<std::string>{"batch_norm", "relu"}));
}

TEST(FitCalibration, PredictsAKnownMachine) {
    Machine machine{1};
    auto const calibration = fit_calibration(machine.measure(6, 3));
    EXPECT_NEAR(calibration.context.factor, 1.05, 0.03);
    auto const check = predict_models(machine.measure(10, 1), calibration);
    double error = 0;
    for (auto const& model : check.models) error += std::abs(model.log_error());
    EXPECT_LT(error / 10, 0.1);  // types alone differ by 5 %, shapes by up to 20 %
}

/// Coverage of 95 % intervals over 8 machines, each calibrated on 12 models of 6 families and asked
/// for 25 models of families it never saw.
TEST(FitCalibration, IntervalsCoverAsOftenAsTheySay) {
    int inside = 0;
    int count = 0;
    double sum_squares = 0;
    for (unsigned seed = 0; seed < 8; ++seed) {
        Machine machine{100 + seed};
        auto const calibration = fit_calibration(machine.measure(6, 2));
        for (auto const& model : predict_models(machine.measure(25, 1), calibration).models) {
            inside += model.inside_interval() ? 1 : 0;
            count += 1;
            sum_squares += model.log_error() * model.log_error() / model.predicted.log_variance;
        }
    }
    RecordProperty("covered", std::to_string(inside) + " of " + std::to_string(count));
    // Nominal 95 % of 200; machines differ, so the binomial's own spread of 1.5 % is doubled.
    EXPECT_GE(inside, 0.90 * count);
    EXPECT_LE(inside, 0.995 * count);
    EXPECT_GT(sum_squares / count, 0.4);
    EXPECT_LT(sum_squares / count, 1.6);
}

/// A normal interval about a kernel whose errors have heavy tails covers too few of them however
/// right its variance is.
TEST(FitCalibration, KernelIntervalsCoverHeavyTails) {
    int inside = 0;
    int count = 0;
    for (unsigned seed = 0; seed < 4; ++seed) {
        Machine machine{200 + seed, 0.1};
        auto const calibration = fit_calibration(machine.measure(8, 2));
        for (auto const& model : predict_models(machine.measure(20, 1), calibration).models) {
            for (auto const& kernel : model.kernels) {
                double const error = std::log(kernel.measured_ms / kernel.predicted_ms);
                inside += error * error <= 1.96 * 1.96 * kernel.log_variance ? 1 : 0;
                count += 1;
            }
        }
    }
    RecordProperty("covered", std::to_string(inside) + " of " + std::to_string(count));
    EXPECT_GE(inside, 0.95 * count);
}

TEST(FitCalibration, IsTheSameBitsAgainAndInAnyOrder) {
    auto const evidence = Machine{2}.measure(5, 2);
    auto shuffled = evidence;
    std::mt19937 random{9};
    std::vector<int> order(evidence.cases.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
    std::shuffle(order.begin(), order.end(), random);
    std::vector<int> where(order.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
        shuffled.cases[i] = evidence.cases[static_cast<std::size_t>(order[i])];
        where[static_cast<std::size_t>(order[i])] = static_cast<int>(i);
    }
    for (auto& model : shuffled.models) {
        for (int& index : model.cases) index = where[static_cast<std::size_t>(index)];
    }
    std::reverse(shuffled.models.begin(), shuffled.models.end());
    auto const first = to_json(fit_calibration(evidence)).dump();
    EXPECT_EQ(to_json(fit_calibration(evidence)).dump(), first);
    EXPECT_EQ(to_json(fit_calibration(shuffled)).dump(), first);
}

TEST(FitCalibration, FindsWhatAnOperatorCostsInsideAModel) {
    auto evidence = Machine{2}.measure(6, 2);
    auto const time_wholes = [&](double operator_seconds) {
        double operators = 0;
        for (auto& model : evidence.models) {
            operators += 10;  // models of more and more operators
            auto& nodes = evidence.cases[static_cast<std::size_t>(model.cases[0])].subgraph.nodes;
            auto const node = nodes.front();
            nodes.resize(static_cast<std::size_t>(operators), node);
            double parts_ms = 0;
            for (int const index : model.cases) {
                parts_ms += evidence.cases[static_cast<std::size_t>(index)].timing->center_ms;
            }
            double const count = operators + static_cast<double>(model.cases.size()) - 1;
            model.whole_model->center_ms = 1.02 * (parts_ms + 1e3 * operator_seconds * count);
        }
    };
    time_wholes(3e-6);
    auto const found = fit_calibration(evidence).context;
    EXPECT_DOUBLE_EQ(found.operator_seconds, 3e-6);
    EXPECT_NEAR(found.factor, 1.02, 1e-6);
    EXPECT_NEAR(found.relative_std.value(), 0, 1e-6);
    time_wholes(0);
    EXPECT_EQ(fit_calibration(evidence).context.operator_seconds, 0);
}

TEST(FitCalibration, DefaultAllocatorHasAContextFactorOfItsOwn) {
    auto evidence = Machine{11}.measure(4, 3);
    evidence.condition.execution.allocator = Allocator::pinned;
    EXPECT_FALSE(fit_calibration(evidence).default_allocator_context.has_value());
    // Half of the models take as long as before, half take twice as long: factor sqrt(2).
    for (std::size_t m = 0; m < evidence.models.size(); ++m) {
        auto& model = evidence.models[m];
        auto slower = *model.whole_model;
        slower.center_ms *= m % 2 == 0 ? 1 : 2;
        model.whole_model_default_allocator = slower;
    }
    auto const calibration = fit_calibration(evidence);
    ASSERT_TRUE(calibration.default_allocator_context.has_value());
    auto const& context = *calibration.default_allocator_context;
    EXPECT_EQ(context.models, 12);
    EXPECT_NEAR(context.factor / calibration.context.factor, std::sqrt(2), 0.15);
    // Each model lies log(2) / 2 from the middle, 12/11 of it from that of the others.
    EXPECT_NEAR(*context.relative_std, 12.0 / 11 * std::log(2) / 2, 0.06);
    auto const priced = under_allocator(calibration, Allocator::untouched);
    ASSERT_TRUE(priced.has_value());
    EXPECT_EQ(priced->context.factor, context.factor);
    double largest = 0;
    for (auto const& kernel : evidence.cases) {
        largest = std::max(largest, kernel.subgraph.traffic.output.value());
    }
    EXPECT_EQ(context.largest_output_bytes, largest);
    EXPECT_EQ(calibration.context.largest_output_bytes, std::nullopt);
    EXPECT_EQ(under_allocator(calibration, Allocator::pinned)->context.factor,
              calibration.context.factor);
    EXPECT_FALSE(under_allocator(*priced, Allocator::pinned).has_value());
    EXPECT_FALSE(under_allocator(fit_calibration(Machine{11}.measure(4, 3)), Allocator::untouched)
                     .has_value());
}

TEST(FitCalibration, IsOfTheDeviceThatWasTimed) {
    auto evidence = Machine{3}.measure(4, 2);
    evidence.hardware.kind = DeviceKind::gpu;
    EXPECT_EQ(fit_calibration(evidence).condition.execution.device, DeviceKind::gpu);
}

TEST(FitCalibration, SaysHowLittleTheSmallestModelMoves) {
    auto const evidence = Machine{3}.measure(4, 2);
    double least = std::numeric_limits<double>::infinity();
    for (auto const& model : evidence.models) {
        double bytes = 0;
        for (int const index : model.cases) {
            bytes +=
                evidence.cases[static_cast<std::size_t>(index)].subgraph.traffic.total().value();
        }
        least = std::min(least, bytes);
    }
    ASSERT_GT(least, 0);
    EXPECT_DOUBLE_EQ(fit_calibration(evidence).context.least_model_bytes.value(), least);
}

TEST(FitCalibration, FewModelsTellOfNoOperatorCost) {
    auto const evidence = Machine{5}.measure(2, 2);
    EXPECT_EQ(fit_calibration(evidence).context.operator_seconds, 0);
}

TEST(FitCalibration, HeldOutModelsTakeNoPart) {
    auto evidence = Machine{3}.measure(5, 2);
    auto const without_last = [&] {
        auto fewer = evidence;
        fewer.models.pop_back();
        return to_json(fit_calibration(fewer)).dump();
    }();
    auto const all = to_json(fit_calibration(evidence)).dump();
    evidence.models.back().role = ModelRole::held_out;
    EXPECT_EQ(to_json(fit_calibration(evidence)).dump(), without_last);
    EXPECT_NE(all, without_last);
}

TEST(FitCalibration, RefusesEvidenceItCannotUse) {
    EXPECT_THROW((void)fit_calibration(Evidence{}), InputError);
    auto evidence = Machine{4}.measure(2, 1);
    evidence.models.front().cases.push_back(10000);
    EXPECT_THROW((void)fit_calibration(evidence), InputError);
}

TEST(CrossValidation, PredictsAModelThatWasTimedAsAWholeOnly) {
    auto const evidence = Machine{6}.measure(4, 2);
    auto whole_only = evidence;
    for (int const index : whole_only.models.back().cases) {
        auto& kernel = whole_only.cases[static_cast<std::size_t>(index)];
        kernel.timing.reset();
        kernel.failure = "not timed: only the whole model was asked for";
    }
    auto const with_parts = cross_validate(evidence, LeaveOut::model).models.back();
    auto const without = cross_validate(whole_only, LeaveOut::model).models.back();
    ASSERT_EQ(without.model, with_parts.model);
    EXPECT_EQ(without.measured_ms, with_parts.measured_ms);
    EXPECT_NEAR(without.predicted.latency_ms / with_parts.predicted.latency_ms, 1, 1e-9);
    EXPECT_TRUE(without.independent_truth);
    EXPECT_TRUE(without.kernels.empty());

    whole_only.models.back().whole_model.reset();  // now nothing is known of its time
    EXPECT_EQ(cross_validate(whole_only, LeaveOut::model).models.size(), 7U);
}

TEST(CrossValidation, JudgesTheServedFit) {
    auto evidence = Machine{7}.measure(5, 2);
    evidence.models[3].role = evidence.models[8].role = ModelRole::held_out;
    // Held-out models are predicted by what is served, to the last bit.
    auto const served = predict_models(evidence, fit_calibration(evidence));
    // Times of held-out models reach no other model's prediction.
    auto slower = evidence;
    for (auto const& model : slower.models) {
        if (model.role == ModelRole::calibration) continue;
        for (int const index : model.cases) {
            slower.cases[static_cast<std::size_t>(index)].timing->center_ms *= 3;
        }
    }
    // Nor does their being there.
    auto without = evidence;
    std::erase_if(without.models,
                  [](EvidenceModel const& model) { return model.role == ModelRole::held_out; });
    for (auto const what : {LeaveOut::model, LeaveOut::family}) {
        auto const all = cross_validate(evidence, what);
        auto const changed = cross_validate(slower, what);
        auto const fewer = cross_validate(without, what);
        ASSERT_EQ(all.models.size(), 10);
        std::size_t calibrated = 0;
        for (std::size_t m = 0; m < all.models.size(); ++m) {
            auto const& predicted = all.models[m].predicted;
            EXPECT_EQ(changed.models[m].predicted.latency_ms, predicted.latency_ms) << m;
            EXPECT_EQ(changed.models[m].predicted.ci_95_upper_ms, predicted.ci_95_upper_ms) << m;
            if (evidence.models[m].role == ModelRole::held_out) {
                EXPECT_EQ(served.models[m].predicted.latency_ms, predicted.latency_ms) << m;
                EXPECT_EQ(served.models[m].predicted.ci_95_upper_ms, predicted.ci_95_upper_ms);
                continue;
            }
            auto const& same = fewer.models[calibrated++].predicted;
            EXPECT_EQ(same.latency_ms, predicted.latency_ms) << m;
            EXPECT_EQ(same.ci_95_upper_ms, predicted.ci_95_upper_ms) << m;
        }
    }
    // One calibration model alone leaves nothing to fit on.
    for (std::size_t m = 1; m < evidence.models.size(); ++m) {
        evidence.models[m].role = ModelRole::held_out;
    }
    EXPECT_THROW((void)cross_validate(evidence, LeaveOut::model), InputError);
}

TEST(CrossValidation, LeavesBatchSizesOut) {
    // Every model at three batches; at the last, some of its kernels alone.
    auto evidence = Machine{8}.measure(4, 2);
    auto const first = evidence.models;
    for (auto const& model : first) {
        for (int const batch : {4, 16}) {
            auto other = model;
            other.batch = batch;
            if (batch == 16) {
                other.subgraphs = {0, 1};
                other.whole_model.reset();
                other.whole_model_default_allocator.reset();
                other.cases.resize(2);
            }
            for (int& index : other.cases) {
                auto kernel = evidence.cases[static_cast<std::size_t>(index)];
                auto& work = kernel.subgraph.work;
                work = Flops{work.value() * batch};
                kernel.subgraph.descriptor += "@" + std::to_string(batch);
                kernel.timing->center_ms *= batch;
                index = static_cast<int>(evidence.cases.size());
                evidence.cases.push_back(std::move(kernel));
            }
            if (other.whole_model) other.whole_model->center_ms *= batch;
            evidence.models.push_back(std::move(other));
        }
    }
    EXPECT_EQ(fit_calibration(evidence).provenance.batches, (std::vector{1, 4, 16}));
    auto const by_model = cross_validate(evidence, LeaveOut::model);
    EXPECT_EQ(by_model.models.size(), 2 * first.size()) << "kernels alone are no model";
    auto const all = cross_validate(evidence, LeaveOut::batch);
    ASSERT_EQ(all.models.size(), 3 * first.size());
    // What is predicted at a batch never saw a time of it.
    auto slower = evidence;
    for (auto const& model : slower.models) {
        if (model.batch != 16) continue;
        for (int const index : model.cases) {
            slower.cases[static_cast<std::size_t>(index)].timing->center_ms *= 7;
        }
    }
    auto const changed = cross_validate(slower, LeaveOut::batch);
    int partial = 0;
    for (std::size_t m = 0; m < all.models.size(); ++m) {
        if (all.models[m].batch != 16) continue;
        ++partial;
        EXPECT_EQ(all.models[m].kernels.size(), 2U);
        EXPECT_EQ(changed.models[m].predicted.latency_ms, all.models[m].predicted.latency_ms);
        EXPECT_NEAR(changed.models[m].measured_ms, 7 * all.models[m].measured_ms, 1e-9);
        EXPECT_FALSE(all.models[m].independent_truth) << "a sum of parts";
    }
    EXPECT_EQ(partial, static_cast<int>(first.size()));
    EXPECT_THROW((void)cross_validate(Machine{8}.measure(4, 2), LeaveOut::batch), InputError);
}

TEST(CrossValidation, NeverSeesWhatItPredicts) {
    auto const evidence = Machine{5}.measure(4, 2);
    // What a fold predicts may not depend on the times of the models it leaves out.
    auto slower = evidence;
    for (int const index : slower.models.front().cases) {
        auto& timing = *slower.cases[static_cast<std::size_t>(index)].timing;
        timing.center_ms *= 7;
        timing.mean_ms *= 7;
    }
    for (auto const what : {LeaveOut::model, LeaveOut::family}) {
        auto const a = cross_validate(evidence, what);
        auto const b = cross_validate(slower, what);
        ASSERT_EQ(a.models.size(), evidence.models.size());
        EXPECT_EQ(a.models.front().predicted.latency_ms, b.models.front().predicted.latency_ms);
        EXPECT_EQ(a.models.front().predicted.ci_95_upper_ms,
                  b.models.front().predicted.ci_95_upper_ms);
        EXPECT_NE(a.models.back().predicted.latency_ms, b.models.back().predicted.latency_ms);
        EXPECT_TRUE(a.models.front().independent_truth);
        EXPECT_EQ(a.models.front().kernels.size(), 25);
    }
}

// Each campaign's models are timed by it; the curves rest on all.
Provenance provenance_of(std::vector<Campaign> const& campaigns) {
    auto evidence = Machine{4}.measure(static_cast<int>(campaigns.size()), 2);
    evidence.campaigns = campaigns;
    for (std::size_t m = 0; m < evidence.models.size(); ++m) {
        auto const campaign = static_cast<int>(m / 2);
        evidence.models[m].campaign = campaign;
        for (int const index : evidence.models[m].cases) {
            evidence.cases[static_cast<std::size_t>(index)].campaign = campaign;
        }
    }
    return fit_calibration(evidence, {.nested_intervals = false}).provenance;
}

Campaign campaign_of(std::string id, std::string date, std::optional<std::string> grade,
                     std::optional<std::string> environment = "e") {
    return {.id = std::move(id),
            .date = std::move(date),
            .origin = "derate 0.1.0",
            .imported = false,
            .environment_hash = std::move(environment),
            .samples_sha256 = std::nullopt,
            .trust_grade = std::move(grade)};
}

// Whichever came last: the worst grade, both dates, and an environment only where all share it.
TEST(FitCalibration, ProvenanceOfSeveralCampaignsIsTheWorst) {
    auto const one = provenance_of({campaign_of("a", "2026-11-02", "B")});
    EXPECT_EQ(one.trust_grade, "B");
    EXPECT_EQ(one.environment_hash, "e");
    EXPECT_FALSE(one.oldest_date);
    EXPECT_EQ(days_of(one), "2026-11-02");

    auto const better_last = provenance_of({campaign_of("a", "2025-01-02T03:04:05Z", "D"),
                                            campaign_of("b", "2026-11-02T03:04:05Z", "A")});
    EXPECT_EQ(better_last.trust_grade, "D");
    EXPECT_EQ(better_last.date, "2026-11-02T03:04:05Z");
    EXPECT_EQ(better_last.oldest_date, "2025-01-02T03:04:05Z");
    EXPECT_EQ(days_of(better_last), "2025-01-02 to 2026-11-02");
    EXPECT_EQ(better_last.environment_hash, "e");
    EXPECT_EQ(better_last.origin, "derate 0.1.0");

    auto const worse_last = provenance_of({campaign_of("a", "2026-11-01", "A", "e"),
                                           campaign_of("b", "2026-11-02", "C", "f")});
    EXPECT_EQ(worse_last.trust_grade, "C");
    EXPECT_FALSE(worse_last.environment_hash);

    // An ungraded campaign may be worse than a graded one, but not than the worst.
    EXPECT_FALSE(provenance_of({campaign_of("a", "2026-11-01", {}),
                                campaign_of("b", "2026-11-02", "A")})
                     .trust_grade);
    EXPECT_EQ(provenance_of({campaign_of("a", "2026-11-01", "D"),
                             campaign_of("b", "2026-11-02", {}, {})})
                  .trust_grade,
              "D");
}

TEST(FitCalibration, ProvenanceIsOfCampaignsThatTheCurvesRestOn) {
    auto evidence = Machine{4}.measure(2, 2);
    evidence.campaigns = {campaign_of("a", "2026-11-01", "A"), campaign_of("b", "2026-11-05", "D", "f")};
    for (auto& kernel : evidence.cases) kernel.campaign = 0;
    auto held_out = evidence.models.back();
    held_out.role = ModelRole::held_out;
    held_out.campaign = 1;
    evidence.models.push_back(held_out);
    auto const provenance = fit_calibration(evidence, {.nested_intervals = false}).provenance;
    EXPECT_EQ(provenance.trust_grade, "A");
    EXPECT_EQ(days_of(provenance), "2026-11-01");
    EXPECT_EQ(provenance.environment_hash, "e");
}

/// A few kernels of any sizes and times: what a user's first files may hold.
Evidence haphazard(unsigned seed) {
    std::mt19937_64 random{seed};
    std::uniform_real_distribution<double> uniform;
    std::normal_distribution<double> normal;
    Evidence evidence;
    evidence.hardware = {.id = "cpu-x", .kind = DeviceKind::cpu, .name = "CPU X"};
    evidence.hardware.compute_peaks = {{Precision::fp32, 1, {.per_second = 1e11, .source = "stated"}}};
    evidence.hardware.bandwidth_peaks = {{1, {.per_second = 2e10, .source = "stated"}}};
    evidence.condition.partition = evidence.condition.flop_rule = "foreign";
    evidence.condition.execution.threads = 1;
    evidence.campaigns.push_back({.id = "c", .date = "2026-01-01", .origin = "x", .imported = true});
    auto const timing = [&](double ms, bool launched) {
        if (!launched) {
            return Timing{.statistic = CenterStatistic::mean,
                          .center_ms = ms,
                          .mean_ms = ms,
                          .std_ms = uniform(random) < 0.2 ? 0.0 : 0.01 * ms,
                          .samples = 20};
        }
        std::vector<LaunchTimes> launches;
        for (int k = 0; k < static_cast<int>(1 + seed % 4); ++k) {
            double const least = ms * std::exp(0.1 * normal(random));
            launches.push_back({.times_ms = summarize(std::vector{1.1 * least, 1.3 * least}),
                                .lower_quartile_ms = 1.15 * least,
                                .median_ms = 1.2 * least,
                                .upper_quartile_ms = 1.25 * least,
                                .min_ms = 1.1 * least,
                                .max_ms = 1.3 * least,
                                .least_ms = least,
                                .launch = k});
        }
        return timing_of(std::move(launches));
    };
    auto const models = 1 + static_cast<int>(3 * uniform(random));
    for (int m = 0; m < models; ++m) {
        EvidenceModel model{.name = "m" + std::to_string(m), .family = "f" + std::to_string(m)};
        auto const kernels = 1 + static_cast<int>(6 * uniform(random));
        for (int k = 0; k < kernels; ++k) {
            auto const type = all_operation_types[static_cast<std::size_t>(
                uniform(random) * static_cast<double>(all_operation_types.size()))];
            double const flops = uniform(random) < 0.2 ? 0 : std::pow(10, 4 + 6 * uniform(random));
            double const bytes = std::pow(10, 3 + 6 * uniform(random));
            Subgraph subgraph{.fusion_pattern = "k",
                              .type = seed % 2 == 0 ? OperationType::conv2d : type,
                              .nodes = {{.name = "n", .op = "conv2d"}},
                              .work = Flops{flops},
                              .traffic = {.input = Bytes{bytes / 2}, .output = Bytes{bytes / 2}}};
            double const ms =
                1e3 * (flops / 3e10 + bytes / 1e10 + 5e-6) * std::exp(1.5 * normal(random));
            model.cases.push_back(static_cast<int>(evidence.cases.size()));
            evidence.cases.push_back(
                {.subgraph = subgraph, .timing = timing(ms, seed % 3 == 0), .campaign = 0});
        }
        model.whole_model = timing(10 * std::exp(normal(random)), seed % 3 == 0);
        evidence.models.push_back(std::move(model));
    }
    return evidence;
}

TEST(FitCalibration, WhatIsWrittenObeysItsSchemaAndRules) {
    for (unsigned seed = 0; seed < 120; ++seed) {
        auto calibration = fit_calibration(haphazard(seed));
        calibration.provenance.tool_version = "test";
        auto const document = nlohmann::json::parse(to_json(calibration).dump());
        for (auto const& violation : check_schema(document, SchemaName::efficiency_calibration)) {
            ADD_FAILURE() << seed << ": " << violation.pointer << ": " << violation.problem;
        }
        for (auto const& violation : broken_rules(calibration)) {
            ADD_FAILURE() << seed << ": " << violation.pointer << ": " << violation.problem;
        }
        EXPECT_EQ(to_json(calibration_from_json(document, "f")), document) << seed;
    }
}

}  // namespace
}  // namespace derate
