#include "gate/gate.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace derate {
namespace {

struct RuleText {
    GateRule rule;
    std::string_view name;
    std::string_view question;
    std::string_view remedy;
};

constexpr std::array rule_texts{
    RuleText{GateRule::schema, "schema", "Does the file obey its schema?",
             "write the file again with derate aggregate; `derate check` names every fault of it"},
    RuleText{GateRule::evidence_intact, "evidence_intact",
             "Are the evidence files there, with the recorded hashes?",
             "write it again with derate aggregate from the measurements; evidence is not edited"},
    RuleText{GateRule::evidence_recomputes, "evidence_recomputes",
             "Does refitting the evidence give the served predictions, peaks and efficiencies?",
             "aggregate its evidence again with this program (derate aggregate --input evidence/...)"},
    RuleText{GateRule::claims_recompute, "claims_recompute",
             "Are the recorded claims of accuracy what the evidence gives?",
             "aggregate its evidence again with this program (derate aggregate --input evidence/...)"},
    RuleText{GateRule::held_out_unseen, "held_out_unseen",
             "Did no held-out model take part in the fit?",
             "calibrate again with held-out models that are not among --models"},
    RuleText{GateRule::independent_truth, "independent_truth",
             "Were whole models timed, not summed from their parts?",
             "measure whole models too, as derate calibrate does; `derate measure` times them"},
    RuleText{GateRule::measurement_quality, "measurement_quality",
             "Were there enough launches, steady and without drift?",
             "measure anew on a quiet machine without --quick and with more launches (`derate doctor` says what disturbs)"},
    RuleText{GateRule::noise_floor, "noise_floor",
             "Do measurements repeat better than the accuracy that is claimed by them?",
             "measure anew on a quieter machine, with --publish (`derate doctor` says what disturbs)"},
    RuleText{GateRule::accuracy, "accuracy",
             "Is the error of models that were left out below the limit?",
             "add models with the operators predicted worst to --models (`derate validate` names them)"},
    RuleText{GateRule::bias, "bias", "Is the mean error equivalent to zero?",
             "add models of other families to --models (`derate validate` names what is biased)"},
    RuleText{GateRule::variance, "variance", "Is the served variance not understated?",
             "add models of other families to --models, so that the spread of kernels is seen"},
    RuleText{GateRule::coverage, "coverage", "Do the 95 % intervals cover?",
             "add models of other families to --models, so that the spread of kernels is seen"},
    RuleText{GateRule::not_worse, "not_worse",
             "Is it, kernel by kernel, not worse than the calibration it replaces?",
             "see what moved with `derate compare OLD NEW`; measure anew on a quiet machine, or keep the old one"},
};

RuleText const& text_of(GateRule rule) {
    return *std::ranges::find(rule_texts, rule, &RuleText::rule);
}

RuleResult without_evidence(GateRule rule) {
    return {.rule = rule,
            .verdict = Verdict::fail,
            .figures = {},
            .reason = "There is no evidence to judge by."};
}

bool needs_computation(GateRule rule) {
    switch (rule) {
        case GateRule::held_out_unseen:
        case GateRule::independent_truth:
        case GateRule::measurement_quality:
        case GateRule::not_worse:
            return false;
        default:
            return true;
    }
}

RuleResult without_computation(GateRule rule) {
    return {.rule = rule,
            .verdict = Verdict::inconclusive,
            .figures = {},
            .reason = "There are too few models to leave one out and predict it."};
}

}  // namespace

std::string_view to_string(Verdict verdict) {
    switch (verdict) {
        case Verdict::pass:
            return "PASS";
        case Verdict::fail:
            return "FAIL";
        case Verdict::inconclusive:
            break;
    }
    return "INCONCLUSIVE";
}

Verdict worse(Verdict a, Verdict b) {
    if (a == Verdict::fail || b == Verdict::fail) return Verdict::fail;
    return a == Verdict::inconclusive ? a : b;
}

std::string_view to_string(GateRule rule) { return text_of(rule).name; }
std::string_view question_of(GateRule rule) { return text_of(rule).question; }
std::string_view remedy_of(GateRule rule) { return text_of(rule).remedy; }

std::optional<double> RuleResult::figure(std::string_view name) const {
    auto const found = std::ranges::find(figures, name, &Figure::name);
    if (found == figures.end()) return std::nullopt;
    return found->value;
}

Verdict GateReport::verdict() const {
    auto all = Verdict::pass;
    for (auto const& result : results) all = worse(all, result.verdict);
    return all;
}

RuleResult const* GateReport::find(GateRule rule) const {
    auto const found = std::ranges::find(results, rule, &RuleResult::rule);
    return found == results.end() ? nullptr : &*found;
}

std::vector<GateRule> rules_for(CurveSource source) {
    if (source == CurveSource::legacy_hardcoded || source == CurveSource::conservative_default) {
        return {GateRule::schema};
    }
    std::vector<GateRule> all;
    for (auto const& text : rule_texts) all.push_back(text.rule);
    return all;
}

GateReport judge(GateSubject const& subject, std::optional<GateComputation> const& computation,
                 std::span<PairedKernel const> replaced, GateLimits const& limits) {
    GateReport report;
    bool const has_evidence = subject.evidence.has_value();
    std::vector<ModelOutcome> outcomes;
    if (has_evidence && computation)
        outcomes = outcomes_of(computation->left_out, *subject.evidence);

    auto const answer = [&](GateRule rule) -> RuleResult {
        if (rule == GateRule::schema) return judge_schema(subject.schema_violations);
        if (rule == GateRule::evidence_intact) {
            if (has_evidence && subject.evidence_files.empty()) {
                return {.rule = rule, .reason = "The evidence is at hand and not stored yet."};
            }
            return judge_evidence_intact(subject.evidence_files);
        }
        if (!has_evidence) return without_evidence(rule);
        if (!computation && needs_computation(rule)) return without_computation(rule);
        switch (rule) {
            case GateRule::evidence_recomputes:
                return judge_recomputes(subject.calibration, *computation, limits);
            case GateRule::claims_recompute:
                return judge_claims(subject.calibration, outcomes, computation->left_out.left_out,
                                    limits);
            case GateRule::held_out_unseen:
                return judge_held_out(subject.calibration, *subject.evidence);
            case GateRule::independent_truth:
                return judge_independent_truth(subject.calibration.source, *subject.evidence);
            case GateRule::measurement_quality:
                return judge_measurement_quality(*subject.evidence, limits);
            case GateRule::noise_floor:
                return judge_noise_floor(noise_floor(*subject.evidence), outcomes, limits);
            case GateRule::accuracy:
                return judge_accuracy(outcomes, limits);
            case GateRule::bias:
                return judge_bias(outcomes, limits);
            case GateRule::variance:
                return judge_variance(outcomes, limits);
            case GateRule::coverage:
                return judge_coverage(outcomes, limits);
            case GateRule::schema:
            case GateRule::evidence_intact:
            case GateRule::not_worse:
                break;
        }
        return judge_not_worse(replaced, limits);
    };
    for (auto const rule : rules_for(subject.calibration.source)) {
        report.results.push_back(answer(rule));
    }
    return report;
}

}  // namespace derate
