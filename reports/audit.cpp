#include "reports/audit.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "calibration/cross_validate.hpp"
#include "estimator/compiled_calibration.hpp"
#include "estimator/fallback_chain.hpp"
#include "estimator/legacy_latency.hpp"
#include "estimator/prepared_model.hpp"
#include "statistics/quantiles.hpp"

namespace derate {
namespace {

using CellKey = std::tuple<OperationType, bool, double>;  // type, zero FLOPs, lower edge of the bin

bool is_zero_flop(Subgraph const& subgraph) { return !(subgraph.work.value() > 0); }

double work_of(Subgraph const& subgraph) {
    return is_zero_flop(subgraph) ? subgraph.traffic.total().value() : subgraph.work.value();
}

CellKey key_of(Subgraph const& subgraph) {
    return {subgraph.type, is_zero_flop(subgraph), work_bin_of(work_of(subgraph)).lower};
}

std::optional<std::chrono::sys_days> day_of(std::string_view date) {
    int year = 0;
    unsigned month = 0;
    unsigned day = 0;
    if (std::sscanf(std::string{date}.c_str(), "%d-%u-%u", &year, &month, &day) != 3) {
        return std::nullopt;
    }
    std::chrono::year_month_day const read{std::chrono::year{year}, std::chrono::month{month},
                                           std::chrono::day{day}};
    if (!read.ok()) return std::nullopt;
    return std::chrono::sys_days{read};
}

bool is_stale(std::string_view date, std::string_view today, AuditLimits const& limits) {
    auto const age = days_between(date, today);
    return age && *age > limits.stale_days;
}

/// Cases that the curves were fitted on.
std::vector<bool> fitted_cases(Evidence const& evidence) {
    std::vector<bool> fitted(evidence.cases.size(), false);
    for (auto const& model : evidence.models) {
        if (model.role == ModelRole::held_out) continue;
        for (int const index : model.cases) fitted[static_cast<std::size_t>(index)] = true;
    }
    for (std::size_t i = 0; i < fitted.size(); ++i) {
        auto const& one = evidence.cases[i];
        fitted[i] = one.timing && (fitted[i] || one.probe);
    }
    return fitted;
}

/// The first place where each case occurs.
std::map<int, std::string> places_of(Evidence const& evidence) {
    std::map<int, std::string> places;
    for (auto const& model : evidence.models) {
        for (std::size_t i = 0; i < model.cases.size(); ++i) {
            places.try_emplace(model.cases[i], place_in(model, i));
        }
    }
    return places;
}

/// The models in the calibration's precision; where none is exported in it, those in FP32 with
/// their memory traffic scaled by the size of an element.
std::vector<AuditedModel> models_in(Precision precision, std::span<AuditedModel const> all) {
    std::vector<AuditedModel> chosen;
    for (auto const& model : all) {
        if (model.precision == precision) chosen.push_back(model);
    }
    if (!chosen.empty()) return chosen;
    auto const format = numeric_format(precision);
    double const of_weights = bytes_of(format.weights) / bytes_of(NumberType::fp32);
    double const of_activations = bytes_of(format.activations) / bytes_of(NumberType::fp32);
    for (auto model : all) {
        if (model.precision != Precision::fp32) continue;
        for (auto& subgraph : model.subgraphs) {
            auto& traffic = subgraph.traffic;
            traffic = {.input = Bytes{traffic.input.value() * of_activations},
                       .weights = Bytes{traffic.weights.value() * of_weights},
                       .output = Bytes{traffic.output.value() * of_activations}};
        }
        chosen.push_back(std::move(model));
    }
    return chosen;
}

/// The calibration alone as `derate estimate --calibration` prices with it; empty where it cannot.
std::optional<FallbackChain> pricing_by(Calibration const& calibration,
                                        std::optional<Hardware> const& hardware) {
    try {
        return FallbackChain{std::span{&calibration, 1}, hardware, calibration.condition.precision};
    } catch (std::invalid_argument const&) {
        return std::nullopt;
    }
}

ProvenanceAudit provenance_of(AuditSubject const& subject, std::string_view today,
                              AuditLimits const& limits) {
    auto const& calibration = *subject.stored.calibration;
    auto const oldest =
        calibration.provenance.oldest_date.value_or(calibration.provenance.date);
    ProvenanceAudit result{.file = subject.stored.curves,
                           .source = calibration.source,
                           .precision = calibration.condition.precision,
                           .threads = calibration.condition.execution.threads,
                           .provisional = calibration.provisional,
                           .recorded = calibration.provenance,
                           .age_days = days_between(oldest, today),
                           .stale = is_stale(oldest, today, limits),
                           .campaigns = {},
                           .libraries = std::nullopt,
                           .git_revision = calibration.provenance.git_revision,
                           .claims = calibration.claims};
    if (subject.stored.evidence) result.campaigns = subject.stored.evidence->campaigns;
    for (auto const& campaign : result.campaigns) {
        auto const found = std::ranges::find_if(subject.samples, [&](FoundSamples const& samples) {
            return samples.sha256 == campaign.samples_sha256;
        });
        if (found == subject.samples.end()) continue;
        auto const& environment = found->environment;
        std::string words;
        auto const add = [&words](char const* name, std::optional<std::string> const& version) {
            if (!version) return;
            if (!words.empty()) words += ", ";
            words += name;
            words += *version;
        };
        add("LibTorch ", environment.libtorch);
        add("BLAS ", environment.blas);
        add("", environment.blas_version);
        add("oneDNN ", environment.onednn_version);
        add("CUDA ", environment.cuda);
        add("driver ", environment.gpu_driver);
        add("", environment.compiler);
        if (!words.empty()) result.libraries = words;
        if (!result.git_revision) result.git_revision = environment.git_revision;
    }
    return result;
}

}  // namespace

std::optional<int> days_between(std::string_view earlier, std::string_view later) {
    auto const from = day_of(earlier);
    auto const to = day_of(later);
    if (!from || !to) return std::nullopt;
    return static_cast<int>((*to - *from).count());
}

// ---------------------------------------------------------------------------------------------
// Coverage

std::vector<CoverageCell> audit_coverage(Calibration const& calibration,
                                         std::optional<Evidence> const& evidence,
                                         std::span<AuditedModel const> models,
                                         std::optional<Hardware> const& hardware) {
    std::map<CellKey, CoverageCell> cells;
    auto const cell_at = [&](OperationType type, bool zero_flop, double work) -> CoverageCell& {
        auto const bin = work_bin_of(work);
        auto& cell = cells[{type, zero_flop, bin.lower}];
        cell.type = type;
        cell.zero_flop = zero_flop;
        cell.bin = bin;
        return cell;
    };
    if (evidence) {
        auto const fitted = fitted_cases(*evidence);
        for (std::size_t i = 0; i < fitted.size(); ++i) {
            auto const& one = evidence->cases[i];
            if (!fitted[i] || !(work_of(one.subgraph) > 0)) continue;
            auto& cell =
                cell_at(one.subgraph.type, is_zero_flop(one.subgraph), work_of(one.subgraph));
            ++cell.kernels;
            cell.samples += one.timing->samples;
        }
    } else {
        for (auto const& curve : calibration.curves) {
            for (auto const& point : curve.data_points) {
                auto& cell = cell_at(curve.type, curve.zero_flop, point.work);
                cell.kernels += std::max(1, static_cast<int>(point.source_subgraphs.size()));
                cell.samples += point.num_observations;
            }
        }
    }

    auto const pricing = pricing_by(calibration, hardware);
    std::map<CellKey, std::map<std::string, double>> share_of_model;
    for (auto const& model : models) {
        std::optional<ChainEstimate> priced;
        if (pricing) priced = pricing->estimate(model.subgraphs, model.partition);
        for (std::size_t i = 0; i < model.subgraphs.size(); ++i) {
            auto const& subgraph = model.subgraphs[i];
            if (!(work_of(subgraph) > 0)) continue;
            auto& cell = cell_at(subgraph.type, is_zero_flop(subgraph), work_of(subgraph));
            ++cell.needed;
            double const share =
                priced ? priced->subgraphs[i].latency_ms / priced->total.latency_ms : 0;
            cell.time_share += share / static_cast<double>(models.size());
            share_of_model[key_of(subgraph)][model_in_words(model.name, model.batch)] += share;
        }
    }
    std::vector<CoverageCell> result;
    for (auto& [key, cell] : cells) {
        std::vector<std::pair<std::string, double>> shares(share_of_model[key].begin(),
                                                           share_of_model[key].end());
        std::ranges::stable_sort(shares, std::greater{}, &std::pair<std::string, double>::second);
        for (auto& [name, share] : shares) cell.models.push_back(std::move(name));
        result.push_back(std::move(cell));
    }
    return result;
}

GapSummary gaps_of(std::vector<CoverageCell> const& cells) {
    GapSummary summary;
    for (auto const& cell : cells) {
        if (cell.needed > 0) ++summary.needed;
        if (!cell.is_gap()) continue;
        ++summary.gaps;
        summary.time_share += cell.time_share;
    }
    return summary;
}

// ---------------------------------------------------------------------------------------------
// Quality

QualityAudit audit_quality(Evidence const& evidence, std::string_view today,
                           AuditLimits const& limits) {
    QualityAudit quality{
        .models = static_cast<int>(std::ranges::count_if(
            evidence.models, [](EvidenceModel const& model) { return !model.is_partial(); })),
        .campaigns = static_cast<int>(evidence.campaigns.size())};
    for (auto const& campaign : evidence.campaigns) {
        quality.imported_campaigns += campaign.imported ? 1 : 0;
        quality.stale_campaigns += is_stale(campaign.date, today, limits) ? 1 : 0;
    }
    for (auto const& model : evidence.models) quality.timed_whole += model.whole_model ? 1 : 0;

    auto const places = places_of(evidence);
    std::vector<double> launches;
    std::vector<double> half_widths;
    std::vector<KernelQuality> kernels;
    double total_ms = 0;
    double few_ms = 0;
    double precise_ms = 0;
    double unknown_ms = 0;
    double unsteady_ms = 0;
    for (std::size_t i = 0; i < evidence.cases.size(); ++i) {
        auto const& one = evidence.cases[i];
        if (!one.timing) {
            // Kernels of models that were timed as a whole only did not fail.
            bool const was_tried = one.failure && !one.failure->starts_with("not timed");
            quality.failed += was_tried ? 1 : 0;
            continue;
        }
        auto const& timing = *one.timing;
        ++quality.kernels;
        quality.samples += timing.samples;
        launches.push_back(static_cast<double>(timing.launches.size()));
        if (one.probe) continue;  // timed for its regime: no model's time rests on it

        total_ms += timing.center_ms;
        if (static_cast<int>(timing.launches.size()) < GateLimits{}.fewest_launches) {
            few_ms += timing.center_ms;
        }
        auto const unsteady = std::ranges::count_if(
            timing.launches, [](LaunchTimes const& launch) { return !launch.steady; });
        if (2 * unsteady > std::ssize(timing.launches)) unsteady_ms += timing.center_ms;
        auto const interval = interval_of_center(timing.launches);
        if (!interval) {
            unknown_ms += timing.center_ms;
            continue;
        }
        double const half_width = interval->relative_half_width();
        half_widths.push_back(half_width);
        if (half_width <= limits.half_width) precise_ms += timing.center_ms;
        auto const place = places.find(static_cast<int>(i));
        kernels.push_back({.name = place == places.end() ? "no model" : place->second,
                           .type = one.subgraph.type,
                           .center_ms = timing.center_ms,
                           .half_width = half_width,
                           .time_share = 0,
                           .launches = static_cast<int>(timing.launches.size())});
    }
    if (total_ms > 0) {
        quality.few_launches_share = few_ms / total_ms;
        quality.precise_share = precise_ms / total_ms;
        quality.unknown_share = unknown_ms / total_ms;
        quality.unsteady_share = unsteady_ms / total_ms;
        for (auto& kernel : kernels) kernel.time_share = kernel.center_ms / total_ms;
    }
    if (!launches.empty()) {
        auto const [fewest, most] = std::ranges::minmax(launches);
        quality.fewest_launches = static_cast<int>(fewest);
        quality.most_launches = static_cast<int>(most);
        quality.median_launches = static_cast<int>(median(launches));
    }
    if (!half_widths.empty()) quality.median_half_width = median(half_widths);
    std::ranges::stable_sort(kernels, std::greater{}, [](KernelQuality const& kernel) {
        return kernel.half_width * kernel.time_share;
    });
    if (kernels.size() > limits.worst_kernels) kernels.resize(limits.worst_kernels);
    quality.worst = std::move(kernels);
    return quality;
}

// ---------------------------------------------------------------------------------------------
// Legacy values

namespace {

/// Milliseconds by the rules; empty where no scale applies or nothing is left of the time.
std::optional<double> legacy_ms(LegacyRules const& rules, LegacyRoof const& roof,
                                Subgraph const& subgraph, std::string_view partition) {
    try {
        double const ms = legacy_latency(rules, subgraph, roof, partition).latency_ms;
        if (ms > 0) return ms;
    } catch (std::invalid_argument const&) {
    }
    return std::nullopt;
}

struct RatioSums {
    int kernels = 0;
    double measured_ms = 0;
    double log_ratio = 0;
    double log_measured_efficiency = 0;
    double least = 0;
    double largest = 0;
};

std::vector<LegacyCell> legacy_cells(Calibration const& calibration, Evidence const& evidence,
                                     LegacyRules const& rules, LegacyRoof const& roof) {
    std::map<CellKey, RatioSums> sums;
    double total_ms = 0;
    for (auto const& one : evidence.cases) {
        if (!one.timing || !(work_of(one.subgraph) > 0)) continue;
        auto const legacy = legacy_ms(rules, roof, one.subgraph, evidence.condition.partition);
        if (!legacy) continue;
        double const measured = one.timing->center_ms;
        double const ratio = *legacy / measured;
        auto const& peak =
            is_zero_flop(one.subgraph) ? calibration.peak_bandwidth : calibration.peak_flops;
        auto& cell = sums[key_of(one.subgraph)];
        cell.least = cell.kernels == 0 ? ratio : std::min(cell.least, ratio);
        cell.largest = std::max(cell.largest, ratio);
        ++cell.kernels;
        cell.measured_ms += measured;
        cell.log_ratio += std::log(ratio);
        if (peak) {
            cell.log_measured_efficiency +=
                std::log(work_of(one.subgraph) * ms_per_second / (measured * peak->per_second));
        }
        total_ms += measured;
    }
    std::vector<LegacyCell> cells;
    for (auto const& [key, cell] : sums) {
        auto const& [type, zero_flop, lower] = key;
        LegacyCell result{.type = type,
                          .zero_flop = zero_flop,
                          .bin = work_bin_of(lower),
                          .kernels = cell.kernels,
                          .time_share = cell.measured_ms / total_ms,
                          .latency_ratio = std::exp(cell.log_ratio / cell.kernels),
                          .least_ratio = cell.least,
                          .largest_ratio = cell.largest,
                          .efficiency_measured = std::nullopt,
                          .efficiency_legacy = std::nullopt};
        if (zero_flop ? calibration.peak_bandwidth : calibration.peak_flops) {
            result.efficiency_measured = std::exp(cell.log_measured_efficiency / cell.kernels);
            result.efficiency_legacy = *result.efficiency_measured / result.latency_ratio;
        }
        cells.push_back(result);
    }
    std::ranges::stable_sort(cells, std::greater{}, &LegacyCell::time_share);
    return cells;
}

}  // namespace

LegacyComparison compare_to_legacy(Calibration const& calibration, Evidence const& evidence,
                                   Calibration const& legacy, std::span<AuditedModel const> models,
                                   std::optional<Hardware> const& hardware) {
    auto const roof = legacy.legacy_rules
                          ? legacy_roof(*legacy.legacy_rules, calibration.condition.precision)
                          : std::nullopt;
    if (!roof) throw std::invalid_argument{"no legacy rules with a rate for the precision"};
    auto const& rules = *legacy.legacy_rules;

    LegacyComparison result{.cells = legacy_cells(calibration, evidence, rules, *roof)};
    if (auto const pricing = pricing_by(calibration, hardware)) {
        FallbackChain const by_rules{std::span{&legacy, 1}, hardware,
                                     calibration.condition.precision};
        for (auto const& model : models) {
            if (model.batch != 1) continue;
            auto const ours = pricing->estimate(model.subgraphs, model.partition).total;
            result.models.push_back(
                {.model = model.name,
                 .batch = model.batch,
                 .calibrated_ms = ours.latency_ms,
                 .interval = {ours.ci_95_lower_ms, ours.ci_95_upper_ms},
                 .legacy_ms =
                     by_rules.estimate(model.subgraphs, model.partition).total.latency_ms});
        }
        std::ranges::stable_sort(result.models, {}, &LegacyModel::ratio);
    }
    double legacy_error = 0;
    double calibrated_error = 0;
    for (auto const& model : predict_models(evidence, calibration).models) {
        if (model.kernels.empty()) continue;  // only the whole was timed: nothing to add up
        double measured = 0;
        double predicted = 0;
        double by_rules = 0;
        for (auto const& kernel : model.kernels) {
            measured += kernel.measured_ms;
            predicted += kernel.predicted_ms;
            auto const& subgraph =
                evidence.cases[static_cast<std::size_t>(kernel.case_index)].subgraph;
            by_rules += legacy_ms(rules, *roof, subgraph, evidence.condition.partition).value_or(0);
        }
        ++result.evidence_models;
        legacy_error += std::abs(by_rules / measured - 1);
        calibrated_error += std::abs(predicted / measured - 1);
    }
    if (result.evidence_models > 0) {
        result.legacy_mape_percent = 100 * legacy_error / result.evidence_models;
        result.calibrated_mape_percent = 100 * calibrated_error / result.evidence_models;
    }
    return result;
}

// ---------------------------------------------------------------------------------------------
// All of it

namespace {

/// What would narrow the audited models' intervals most: recommend() of gate/validation.hpp
/// on these models instead of the evidence's.
///
/// \param evidence  of the calibration, where it is there: its models need no advice, nor do its
/// kernels
std::vector<Recommendation> recommend_for(Calibration const& calibration,
                                          std::optional<Evidence> const& evidence,
                                          std::span<AuditedModel const> models, int most) {
    std::set<std::pair<std::string, std::optional<int>>> fitted_models;
    std::set<std::string_view> fitted;
    if (evidence) {
        for (auto const& model : evidence->models) {
            if (model.role != ModelRole::calibration) continue;
            if (!model.is_partial()) fitted_models.insert({model.name, model.batch});
            for (int const index : model.cases) {
                auto const& kernel = evidence->cases.at(static_cast<std::size_t>(index));
                if (kernel.timing) fitted.insert(kernel.subgraph.descriptor);
            }
        }
    }
    Evidence wanted;  // the models' kernels, untimed: what recommend() looks shapes up in
    std::vector<UntimedModel> untimed;
    for (auto const& model : models) {
        if (fitted_models.contains({model.name, model.batch})) continue;
        untimed.push_back({.name = model.name,
                           .family = model.family,
                           .batch = model.batch,
                           .partition = model.partition,
                           .subgraphs = model.subgraphs,
                           .cases = {}});
        for (auto const& subgraph : model.subgraphs) {
            untimed.back().cases.push_back(static_cast<int>(wanted.cases.size()));
            wanted.cases.push_back({.subgraph = subgraph, .timing = {}, .failure = {}});
        }
    }
    auto outcomes = outcomes_as_predicted(calibration, untimed);
    for (auto& outcome : outcomes) {
        for (auto& kernel : outcome.kernels) {
            auto const& subgraph =
                wanted.cases[static_cast<std::size_t>(kernel.case_index)].subgraph;
            kernel.fitted_on = !subgraph.descriptor.empty() && fitted.contains(subgraph.descriptor);
        }
    }
    return recommend(outcomes, wanted, most);
}

}  // namespace

bool CalibrationAudit::is_broken() const {
    return std::ranges::any_of(
        chain, [](ChainLink const& link) { return link.state == LinkState::broken; });
}

bool CalibrationAudit::has_curves() const {
    return readable && (provenance.source == CurveSource::measured ||
                        provenance.source == CurveSource::imported);
}

bool Audit::is_broken() const {
    return std::ranges::any_of(calibrations, &CalibrationAudit::is_broken);
}

Audit audit(AuditRequest const& request, AuditLimits const& limits) {
    Audit result{.hardware_id = request.hardware_id, .date = request.today, .limits = limits};
    std::set<std::pair<std::string, std::optional<int>>> audited;
    for (auto const& model : request.models) audited.insert({model.name, model.batch});
    result.audited_models = static_cast<int>(audited.size());

    for (auto const& subject : request.subjects) {
        CalibrationAudit one{.chain = audit_chain(subject, request.hardware_id, limits)};
        auto const& calibration = subject.stored.calibration;
        if (!calibration) {
            one.readable = false;
            one.provenance.file = subject.stored.curves;
            result.calibrations.push_back(std::move(one));
            continue;
        }
        one.provenance = provenance_of(subject, request.today, limits);
        auto const& evidence = subject.stored.evidence;
        if (holds_rules(*calibration)) {
            one.no_legacy = "These are the legacy values themselves.";
            result.calibrations.push_back(std::move(one));
            continue;
        }
        auto const models = models_in(calibration->condition.precision, request.models);
        one.coverage = audit_coverage(*calibration, evidence, models, request.hardware);
        one.recommendations = recommend_for(*calibration, evidence, models, limits.recommendations);
        if (evidence) {
            one.quality = audit_quality(*evidence, request.today, limits);
            one.above_peak = rates_above_peak(*subject.stored.calibration, *evidence);
        }
        if (!request.legacy) {
            one.no_legacy = "No legacy values are known for " + request.hardware_id + ".";
        } else if (!legacy_roof(*request.legacy->legacy_rules, calibration->condition.precision)) {
            one.no_legacy = "The legacy values (" + request.legacy_file + ") have no rate for " +
                            std::string{to_string(calibration->condition.precision)} + ".";
        } else if (!evidence) {
            one.no_legacy = "Without intact evidence there is nothing to compare with.";
        } else {
            one.legacy = compare_to_legacy(*calibration, *evidence, *request.legacy, models,
                                           request.hardware);
            one.legacy->file = request.legacy_file;
        }
        result.calibrations.push_back(std::move(one));
    }
    return result;
}

}  // namespace derate
