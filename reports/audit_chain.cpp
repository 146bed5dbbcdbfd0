// The chain of evidence behind an estimate: from the answer to the curve file, its schema, its
// evidence, what a new fit of that says, and the raw samples.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "calibration/cross_validate.hpp"
#include "calibration/fit_calibration.hpp"
#include "core/input_error.hpp"
#include "reports/audit.hpp"
#include "reports/report_text.hpp"
#include "storage/environment_json.hpp"

namespace derate {

std::string_view to_string(LinkState state) {
    switch (state) {
        case LinkState::verified:
            return "verified";
        case LinkState::broken:
            return "BROKEN";
        case LinkState::absent:
            return "absent";
        case LinkState::not_applicable:
            return "not applicable";
    }
    return "";
}

namespace {

std::string short_hash(std::string const& hash) { return hash.substr(0, 12); }

ChainLink link_from_estimate(AuditSubject const& subject, std::string_view hardware_id) {
    ChainLink link{.from = "estimate",
                   .to = "curve file",
                   .state = LinkState::verified,
                   .detail = "SHA-256 " + short_hash(subject.sha256)};
    auto const& unreadable = subject.stored.refusal;
    if (unreadable || !subject.refusal.empty()) {
        link.state = LinkState::broken;
        link.detail = "`derate estimate` refuses: " +
                      (unreadable ? std::string{unreadable->what()} : subject.refusal);
    } else if (!subject.served_first) {
        link.detail = "`derate estimate --calibration` answers from this file; " + link.detail;
    } else if (*subject.served_first == subject.stored.curves) {
        link.detail = "`derate estimate --hardware " + std::string{hardware_id} +
                      "` answers from this file; " + link.detail;
    } else {
        link.state = LinkState::not_applicable;
        link.detail = "estimates come from " + subject.served_first->filename().string() +
                      " first; " + link.detail;
    }
    return link;
}

ChainLink link_to_schema(StoredCalibration const& stored) {
    ChainLink link{.from = "curve file", .to = "schema", .detail = "no violation"};
    if (!stored.violations.empty()) {
        link.state = LinkState::broken;
        link.detail = count_of(stored.violations.size(), "violation", "violations") + ", the first: " +
                      stored.violations.front();
    }
    return link;
}

void add_links_to_evidence(std::vector<ChainLink>& links, StoredCalibration const& stored) {
    if (stored.evidence_files.empty()) {
        bool const expected = stored.calibration->source == CurveSource::measured ||
                              stored.calibration->source == CurveSource::imported;
        links.push_back({.from = "curve file",
                         .to = "evidence",
                         .state = expected ? LinkState::broken : LinkState::not_applicable,
                         .detail = expected ? "no evidence file is recorded"
                                            : "legacy and default values have no evidence"});
        return;
    }
    for (auto const& file : stored.evidence_files) {
        ChainLink link{.from = "curve file", .to = "evidence/" + file.recorded.file};
        if (!file.actual_sha256) {
            link.state = LinkState::broken;
            link.detail = "the file is missing";
        } else if (*file.actual_sha256 != file.recorded.sha256) {
            link.state = LinkState::broken;
            link.detail = "recorded SHA-256 " + short_hash(file.recorded.sha256) + ", actual " +
                          short_hash(*file.actual_sha256);
        } else {
            link.detail = "SHA-256 " + short_hash(file.recorded.sha256) + " as recorded";
        }
        links.push_back(std::move(link));
    }
}

/// A fit of the evidence prices every model and kernel of it as the stored file does.
ChainLink link_to_predictions(StoredCalibration const& stored, AuditLimits const& limits) {
    ChainLink link{.from = "evidence", .to = "served predictions"};
    auto const& calibration = *stored.calibration;
    if (!stored.evidence) {
        link.state = LinkState::absent;
        link.detail = "without intact evidence nothing can be recomputed";
        return link;
    }
    bool const with_residual = std::ranges::any_of(
        calibration.curves,
        [](EfficiencyCurve const& curve) { return curve.residual_model.has_value(); });
    CrossValidation refitted;
    try {
        refitted = predict_models(
            *stored.evidence,
            fit_calibration(
                *stored.evidence,
                {.residual = with_residual ? ResidualForm::gaussian_process : ResidualForm::none,
                 .nested_intervals = false,
                 .other_shapes = false}));
    } catch (InputError const& error) {
        link.state = LinkState::broken;
        link.detail = error.what();
        return link;
    }
    auto const served = predict_models(*stored.evidence, calibration);
    double largest = 0;
    std::string where;
    std::size_t kernels = 0;
    for (std::size_t m = 0; m < served.models.size(); ++m) {
        auto const& ours = served.models[m];
        auto const& again = refitted.models[m];
        auto const compare = [&](double a, double b, std::string const& name) {
            double const difference = std::abs(a / b - 1);
            // A NaN must not pass for a small difference.
            if (difference <= largest) return;
            largest = std::isnan(difference) ? HUGE_VAL : difference;
            where = name;
        };
        compare(ours.predicted.latency_ms, again.predicted.latency_ms,
                ours.model + "/" + batch_text(ours.batch));
        for (std::size_t k = 0; k < ours.kernels.size(); ++k, ++kernels) {
            compare(ours.kernels[k].predicted_ms, again.kernels[k].predicted_ms,
                    ours.model + "/" + batch_text(ours.batch) + "/" + std::to_string(k));
        }
    }
    auto const difference =
        fmt::format("{:.1e} (limit {:.0e})", largest, limits.recompute_relative);
    if (largest <= limits.recompute_relative) {
        link.detail = fmt::format(
            "a new fit prices {} models and {} kernels alike; largest relative difference {}",
            served.models.size(), kernels, difference);
    } else {
        link.state = LinkState::broken;
        link.detail = fmt::format(
            "a new fit moves {} by {}: the file does not come from this evidence, or not from this "
            "version's fit",
            where, difference);
    }
    return link;
}

void add_links_to_samples(std::vector<ChainLink>& links, AuditSubject const& subject) {
    if (!subject.stored.evidence) return;
    auto const own_name = subject.stored.curves.stem().string() + ".samples.jsonl";
    for (auto const& campaign : subject.stored.evidence->campaigns) {
        ChainLink link{.from = "evidence", .to = "raw samples of " + campaign.id};
        auto const& recorded = campaign.samples_sha256;
        auto const found = std::ranges::find_if(subject.samples, [&](FoundSamples const& samples) {
            return recorded && samples.sha256 == *recorded;
        });
        auto const own = std::ranges::find(subject.samples, own_name, &FoundSamples::file);
        if (!recorded) {
            link.state = LinkState::absent;
            link.detail = campaign.imported
                              ? "raw absent: imported as summaries, without repetitions"
                              : "raw absent: no SHA-256 of them is recorded";
        } else if (found != subject.samples.end()) {
            link.detail = found->file + " has the recorded SHA-256 " + short_hash(*recorded);
            auto const hash = environment_hash(found->environment);
            if (campaign.environment_hash && hash != *campaign.environment_hash) {
                link.state = LinkState::broken;
                link.detail += ", but its environment's hash is " + short_hash(hash) + ", not " +
                               short_hash(*campaign.environment_hash);
            }
        } else if (own != subject.samples.end()) {
            link.state = LinkState::broken;
            link.detail = own->file + " has SHA-256 " + short_hash(own->sha256) + ", recorded is " +
                          short_hash(*recorded);
        } else {
            link.state = LinkState::absent;
            link.detail = "raw absent: no file with the recorded SHA-256 " + short_hash(*recorded) +
                          " is at hand";
        }
        links.push_back(std::move(link));
    }
    // What the curve file says of samples and environment must be what its evidence says.
    auto const& provenance = subject.stored.calibration->provenance;
    auto const& campaigns = subject.stored.evidence->campaigns;
    auto const agrees = [&](std::optional<std::string> const& claimed,
                            std::optional<std::string> Campaign::*of_campaign) {
        return !claimed || std::ranges::any_of(campaigns, [&](Campaign const& campaign) {
            return campaign.*of_campaign == claimed;
        });
    };
    if (!agrees(provenance.samples_sha256, &Campaign::samples_sha256) ||
        !agrees(provenance.environment_hash, &Campaign::environment_hash)) {
        links.push_back({.from = "curve file",
                         .to = "provenance in the evidence",
                         .state = LinkState::broken,
                         .detail = "the curve file names samples or an environment that no "
                                   "campaign of the evidence has"});
    }
}

}  // namespace

std::vector<ChainLink> audit_chain(AuditSubject const& subject, std::string_view hardware_id,
                                   AuditLimits const& limits) {
    std::vector<ChainLink> links{link_from_estimate(subject, hardware_id),
                                 link_to_schema(subject.stored)};
    if (!subject.stored.calibration) return links;
    add_links_to_evidence(links, subject.stored);
    if (!subject.stored.evidence_files.empty()) {
        links.push_back(link_to_predictions(subject.stored, limits));
    }
    add_links_to_samples(links, subject);
    return links;
}

}  // namespace derate
