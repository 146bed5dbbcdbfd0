#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/condition.hpp"
#include "core/hardware.hpp"
#include "core/measurement.hpp"
#include "core/subgraph.hpp"

namespace derate {

/// How far totals move when a visit is repeated, stated by those who repeated it: their repeats are
/// not in the evidence, so that nothing here can check it.
struct StatedNoiseFloor {
    double percent = 0;
    std::string source;  ///< who states it, and of what

    friend bool operator==(StatedNoiseFloor const&, StatedNoiseFloor const&) = default;
};

/// One visit of the machine. Times of two campaigns differ by more than their repetitions show.
struct Campaign {
    std::string id;
    std::string date;    ///< ISO 8601
    std::string origin;  ///< who timed it: tool and version, or project and licence
    bool imported = false;
    std::optional<std::string> environment_hash;    ///< of the canonical environment block
    std::optional<std::string> samples_sha256;      ///< of the raw repetitions
    std::optional<std::string> trust_grade;         ///< "A" to "D", docs/measuring.md
    std::optional<std::string> value_rule{};        ///< core/value_rule.hpp; empty if foreign
    std::optional<StatedNoiseFloor> noise_floor{};  ///< of imported data without repeats

    friend bool operator==(Campaign const&, Campaign const&) = default;
};

/// A distinct kernel as one campaign timed it.
///
/// derate's own measurements hold one case per descriptor and campaign, shared by all models that
/// contain it; imported files without descriptors hold one case per timed subgraph.
struct EvidenceCase {
    Subgraph subgraph;             ///< `id` is without meaning here
    std::optional<Timing> timing;  ///< empty when the measurement failed
    std::optional<std::string> failure;
    int campaign = 0;    ///< index into Evidence::campaigns
    bool probe = false;  ///< timed for its regime, not because a model contains it

    friend bool operator==(EvidenceCase const&, EvidenceCase const&) = default;
};

/// What a calibration may do with a model.
enum class ModelRole { calibration, held_out };

[[nodiscard]] std::string_view to_string(ModelRole role);
[[nodiscard]] std::optional<ModelRole> parse_model_role(std::string_view name);

/// One model at one batch size in one campaign.
struct EvidenceModel {
    std::string name;
    std::string family;
    std::optional<int> batch = 1;  ///< empty: its inputs share none
    int campaign = 0;  ///< index into Evidence::campaigns
    ModelRole role = ModelRole::calibration;
    std::vector<int> cases;             ///< its subgraphs in order, as indices into Evidence::cases
    /// Ids of the subgraphs that `cases` are, where they are some of the model's, timed for how
    /// time grows with the batch: folds keep them with the model, but their sum is no model's time.
    /// Empty: all, in order.
    std::vector<int> subgraphs{};
    std::optional<Timing> whole_model;  ///< timed independently; never a sum of parts
    /// The same under glibc's default allocator, where all else was timed under a pinned one.
    std::optional<Timing> whole_model_default_allocator{};

    [[nodiscard]] bool is_partial() const { return !subgraphs.empty(); }
    [[nodiscard]] int subgraph_id(std::size_t position) const {
        return is_partial() ? subgraphs[position] : static_cast<int>(position);
    }

    friend bool operator==(EvidenceModel const&, EvidenceModel const&) = default;
};

/// "resnet18/1/20": where a case is used, the model's name, batch and subgraph.
[[nodiscard]] std::string place_in(EvidenceModel const& model, std::size_t position);

/// Everything a calibration of one device at one precision and thread count rests on: the one input
/// of fit, cross-validation and gate.
struct Evidence {
    Hardware hardware;
    Condition condition;
    std::vector<Campaign> campaigns;
    std::vector<EvidenceCase> cases;
    std::vector<EvidenceModel> models;
};

/// The rules no type can hold: indices in range, a timing or a failure per case, times positive,
/// a launch's number once in a timing, a model without cases, one of some of its kernels with a
/// time of its own or another number of subgraphs than of cases, two models of equal name, batch
/// and campaign.
///
/// \return one line a broken rule, empty if all hold
[[nodiscard]] std::vector<std::string> violations(Evidence const& evidence);

/// The same evidence with campaigns, cases and models in an order that depends on their content
/// alone, so that what is computed from it does not depend on the order of input files.
[[nodiscard]] Evidence canonical(Evidence evidence);

/// One campaign's models, the cases they hold and its probes. The list of campaigns stays whole.
///
/// \return empty when no campaign has that id
[[nodiscard]] std::optional<Evidence> only_campaign(Evidence const& evidence, std::string_view id);

/// Sum of the isolated times of a model's cases.
///
/// \return ms; empty when a case has no timing, or its cases are not all that it runs
[[nodiscard]] std::optional<double> sum_of_parts_ms(Evidence const& evidence,
                                                    EvidenceModel const& model);

}  // namespace derate
