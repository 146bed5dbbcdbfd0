#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/estimate_breakdown.hpp"
#include "cli/estimate_inputs.hpp"
#include "estimator/latency_estimate.hpp"
#include "workloads/linear_partition.hpp"

namespace derate::cli {

/// A dimension with the values that it takes, one after the other.
struct Swept {
    std::string name;
    std::vector<std::int64_t> values;
};

/// How a latency with its interval lies to a limit.
enum class Verdict { certain, likely, unlikely, no };

[[nodiscard]] char const* name_of(Verdict verdict);

/// A model at one of the sizes.
struct SweepRow {
    std::vector<std::int64_t> sizes;  ///< in the order of the swept dimensions
    std::optional<int> batch;
    LatencyEstimate total;
    bool spread_known = true;
    UnknownWork unknown;
    std::string bound;  ///< what takes most of the time
    std::vector<std::string> notes;
    std::optional<Verdict> verdict;

    /// Whether the interval ends above.
    [[nodiscard]] bool is_bounded() const { return spread_known && !unknown.may_be_a_good_part(); }
    /// Empty where the model has no batch.
    [[nodiscard]] std::optional<double> per_item_ms() const {
        return batch ? std::optional{total.latency_ms / *batch} : std::nullopt;
    }
};

/// Sizes that an export refuses.
struct Refusals {
    std::size_t count = 0;
    std::vector<std::int64_t> first;  ///< in the order of the swept dimensions
    std::string why;                  ///< the first is refused
};

/// The prices of a model at many sizes by the curves of one target.
struct Sweep {
    std::vector<Swept> dimensions;
    std::string model;
    Precision precision = Precision::fp32;
    std::vector<SweepRow> rows;  ///< one or more, without the sizes that are refused
    Refusals refused;
    std::vector<Warning> warnings;              ///< of all rows, each kind once
    std::vector<UsedCalibration> calibrations;  ///< that priced the first row
    std::optional<double> limit_ms;
};

/// A symbolic export, read once, and the sizes that the flags ask for.
///
/// Throws InputError: no such form of --dim, one given twice, more than 100,000 rows, no export.
class SweptModel {
  public:
    /// \param flags  outlive this object
    explicit SweptModel(EstimateFlags const& flags);

    [[nodiscard]] std::vector<Swept> const& dimensions() const { return dimensions_; }
    [[nodiscard]] std::string const& name() const { return source_.name; }
    [[nodiscard]] std::size_t rows() const;
    /// Sizes of a row, the last dimension changing fastest.
    [[nodiscard]] std::vector<std::int64_t> sizes_at(std::size_t row) const;
    /// Where its counts are lines in the last dimension it is cut once for all sizes of that; its
    /// descriptors are then those of one of them.
    [[nodiscard]] ModelToPrice at(std::vector<std::int64_t> const& sizes);

  private:
    /// The model cut for all sizes of the last dimension.
    struct Cut {
        std::vector<std::int64_t> other_sizes;
        std::optional<LinearPartition> partition;
    };

    [[nodiscard]] std::optional<LinearPartition>& cut_at(std::vector<std::int64_t> other_sizes);

    EstimateFlags const& flags_;
    std::vector<Swept> dimensions_;
    SymbolicModel source_;
    RequestedDimensions requested_;
    std::optional<Cut> cut_;
};

/// Some --dim of the flags names several values: "batch=1..64", "x[1]=64,128,256".
[[nodiscard]] bool names_several_sizes(EstimateFlags const& flags);

/// Of "10ms", "0.02s", "10" (ms). \throws InputError  naming --target
[[nodiscard]] double limit_ms_of(std::string const& text);

/// The first row that the export does not refuse.
struct FirstRow {
    std::size_t number = 0;
    ModelToPrice model;
    Refusals refused;  ///< the rows before it
};
/// \throws InputError  that of the first size, where all are refused
[[nodiscard]] FirstRow first_row(SweptModel& model);

/// All rows from the first on.
[[nodiscard]] Sweep swept(SweptModel& model, Target const& target, FirstRow const& first,
                          std::optional<double> limit_ms);

}  // namespace derate::cli
