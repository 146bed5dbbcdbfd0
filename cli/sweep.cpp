#include "cli/sweep.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <iterator>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "cli/estimate_output.hpp"
#include "cli/estimate_pricing.hpp"
#include "core/input_error.hpp"
#include "core/kernel_features.hpp"
#include "core/split_list.hpp"

namespace derate::cli {
namespace {

constexpr std::size_t most_rows = 100'000;

/// \param flag  that gives them
/// "1..64" is each from 1 to 64, "8..64..8" every eighth.
std::vector<std::int64_t> values_of(std::string const& text, std::string const& flag) {
    auto const whole_number = [&](std::string_view digits) {
        std::int64_t number = 0;
        auto const* const end = digits.data() + digits.size();
        auto const [stop, fault] = std::from_chars(digits.data(), end, number);
        if (fault != std::errc{} || stop != end || number < 0) {
            throw InputError{flag, "got '" + text + "'",
                             "whole numbers from 0: 8, 1..64, 8..64..8 or 64,128,256"};
        }
        return number;
    };
    std::vector<std::int64_t> values;
    for (auto const& item : split_list(text)) {
        std::string_view const all{item};
        auto const first = all.find("..");
        if (first == std::string::npos) {
            values.push_back(whole_number(all));
            continue;
        }
        auto const second = all.find("..", first + 2);
        auto const from = whole_number(all.substr(0, first));
        auto const to = whole_number(all.substr(first + 2, second - first - 2));
        auto const step = second == std::string::npos ? 1 : whole_number(all.substr(second + 2));
        if (step < 1 || to < from) {
            throw InputError{flag, "got '" + item + "'", "a range that grows"};
        }
        auto const steps = (to - from) / step;
        if (steps >= static_cast<std::int64_t>(most_rows)) {
            throw InputError{flag, std::to_string(steps) + " sizes or more",
                             "at most " + std::to_string(most_rows) + " in a table"};
        }
        for (std::int64_t i = 0; i <= steps; ++i) values.push_back(from + i * step);
    }
    return values;
}

/// The last '=' divides name and values: names such as x[0] hold none.
std::pair<std::string, std::string> name_and_values(std::string const& text) {
    auto const sign = text.rfind('=');
    if (sign == std::string::npos || sign == 0 || sign + 1 == text.size()) {
        throw InputError{"--dim", "got '" + text + "'",
                         "NAME=VALUE, NAME=FIRST..LAST or NAME=A,B,C"};
    }
    return {text.substr(0, sign), text.substr(sign + 1)};
}

bool names_several(std::string const& text) {
    auto const values = text.substr(std::min(text.rfind('='), text.size()));
    return values.find("..") != std::string::npos || values.find(',') != std::string::npos;
}

std::vector<Swept> swept_of(EstimateFlags const& flags) {
    std::vector<Swept> all;
    std::size_t rows = 1;
    for (auto const& text : flags.dimensions.named) {
        auto const [name, values] = name_and_values(text);
        auto const is_same = [&given = name](Swept const& one) { return one.name == given; };
        if (std::ranges::any_of(all, is_same)) {
            throw InputError{flag_of(flags.dimensions, name), "is given twice",
                             "all its values in one, as 1,2,4"};
        }
        all.push_back({.name = name, .values = values_of(values, flag_of(flags.dimensions, name))});
        if (name == "batch" && std::ranges::min(all.back().values) < 1) {
            throw InputError{"--batch 0", "not a batch size", "1 or more"};
        }
        rows *= all.back().values.size();
        if (rows > most_rows) {
            throw InputError{"--dim", std::to_string(rows) + " sizes or more",
                             "at most " + std::to_string(most_rows) + " in a table"};
        }
    }
    return all;
}

constexpr std::array verdict_names{
    std::pair{Verdict::certain, "certain"}, std::pair{Verdict::likely, "likely"},
    std::pair{Verdict::unlikely, "unlikely"}, std::pair{Verdict::no, "no"}};

std::multiset<std::string> regimes_of(ModelToPrice const& model) {
    std::multiset<std::string> regimes;
    for (auto const& subgraph : model.subgraphs) {
        regimes.insert(std::string{to_string(subgraph.type)} + ": " + regime_of(subgraph));
    }
    return regimes;
}

/// Batches from which LibTorch's CPU kernels are others (products of one row; blocks of 16 rows).
constexpr std::array cpu_batch_steps{2, 16};

/// Of a row, what the next one is compared with.
struct KernelsOfRow {
    std::optional<int> batch;
    std::multiset<std::string> regimes;
};

/// What makes a row unlike the one before it.
std::vector<std::string> steps_between(KernelsOfRow const& before, KernelsOfRow const& now,
                                       DeviceKind device) {
    std::vector<std::string> notes;
    std::vector<std::string> added;
    std::ranges::set_difference(now.regimes, before.regimes, std::back_inserter(added));
    if (!added.empty()) {
        notes.push_back(
            "other kernels: " + added.front() +
            (added.size() > 1 ? " and " + std::to_string(added.size() - 1) + " more" : ""));
    }
    if (is_host(device) && before.batch && now.batch) {
        for (int const step : cpu_batch_steps) {
            if (*before.batch < step && *now.batch >= step) {
                notes.push_back("LibTorch runs other kernels from batch " + std::to_string(step));
            }
        }
    }
    return notes;
}

void add_refused(Refusals& refused, std::vector<std::int64_t> const& sizes,
                 InputError const& error) {
    if (++refused.count > 1) return;
    refused.first = sizes;
    refused.why = error.what();
}

/// Empty where the export refuses the sizes.
std::optional<ModelToPrice> model_at(SweptModel& model, std::vector<std::int64_t> const& sizes,
                                     Refusals& refused) {
    try {
        return model.at(sizes);
    } catch (InputError const& error) {
        add_refused(refused, sizes, error);
        return std::nullopt;
    }
}

Verdict verdict_of(SweepRow const& row, double limit_ms) {
    if (row.is_bounded() && row.total.ci_95_upper_ms <= limit_ms) return Verdict::certain;
    if (row.total.latency_ms <= limit_ms) return Verdict::likely;
    if (!row.spread_known || row.total.ci_95_lower_ms <= limit_ms) return Verdict::unlikely;
    return Verdict::no;
}

}  // namespace

char const* name_of(Verdict verdict) {
    for (auto const& [known, name] : verdict_names) {
        if (known == verdict) return name;
    }
    return "";
}

double limit_ms_of(std::string const& text) {
    double value = 0;
    auto const* const end = text.data() + text.size();
    auto const [stop, fault] = std::from_chars(text.data(), end, value);
    std::string_view const unit{stop, end};
    double const scale = unit.empty() || unit == "ms" ? 1
                         : unit == "s"                ? 1e3
                         : unit == "us"               ? 1e-3
                                                      : 0;
    if (fault != std::errc{} || !(value * scale > 0) || !std::isfinite(value * scale)) {
        throw InputError{"--target", "got '" + text + "'", "a time such as 10ms or 0.5s"};
    }
    return value * scale;
}

SweptModel::SweptModel(EstimateFlags const& flags)
    : flags_{flags}, dimensions_{swept_of(flags)}, source_{model_source(flags)} {
    auto fixed = flags.dimensions;
    fixed.named.clear();
    requested_ = requested_dimensions(fixed);
}

std::size_t SweptModel::rows() const {
    std::size_t count = 1;
    for (auto const& dimension : dimensions_) count *= dimension.values.size();
    return count;
}

std::vector<std::int64_t> SweptModel::sizes_at(std::size_t row) const {
    std::vector<std::int64_t> sizes(dimensions_.size());
    for (std::size_t d = dimensions_.size(); d-- > 0;) {
        auto const& values = dimensions_[d].values;
        sizes[d] = values[row % values.size()];
        row /= values.size();
    }
    return sizes;
}

std::optional<LinearPartition>& SweptModel::cut_at(std::vector<std::int64_t> other_sizes) {
    if (cut_ && cut_->other_sizes == other_sizes) return cut_->partition;
    auto requested = requested_;
    for (std::size_t d = 0; d < other_sizes.size(); ++d) {
        requested.named.emplace_back(dimensions_[d].name, other_sizes[d]);
    }
    auto const& [name, values] = dimensions_.back();
    cut_ = Cut{.other_sizes = std::move(other_sizes),
               .partition = LinearPartition::of(source_.program, requested, name,
                                                std::ranges::max(values), source_.defaults)};
    return cut_->partition;
}

ModelToPrice SweptModel::at(std::vector<std::int64_t> const& sizes) {
    auto requested = requested_;
    for (std::size_t d = 0; d < sizes.size(); ++d) {
        requested.named.emplace_back(dimensions_[d].name, sizes[d]);
    }
    // To find out whether it can be cut once, it is cut some times.
    constexpr std::size_t worthwhile = 12;
    if (!sizes.empty() && dimensions_.back().values.size() >= worthwhile) {
        auto& cut = cut_at({sizes.begin(), sizes.end() - 1});
        if (cut && cut->holds(sizes.back())) {
            return model_to_price(source_, requested, flags_, cut->subgraphs_at(sizes.back()));
        }
    }
    return model_to_price(source_, requested, flags_);
}

bool names_several_sizes(EstimateFlags const& flags) {
    return std::ranges::any_of(flags.dimensions.named, names_several);
}

FirstRow first_row(SweptModel& model) {
    Refusals refused;
    std::optional<InputError> first_error;
    for (std::size_t i = 0; i < model.rows(); ++i) {
        auto const sizes = model.sizes_at(i);
        try {
            return {.number = i, .model = model.at(sizes), .refused = std::move(refused)};
        } catch (InputError const& error) {
            if (!first_error) first_error = error;
            add_refused(refused, sizes, error);
        }
    }
    throw *first_error;
}

Sweep swept(SweptModel& model, Target const& target, FirstRow const& first,
            std::optional<double> limit_ms) {
    Sweep sweep{.dimensions = model.dimensions(),
                .model = model.name(),
                .precision = first.model.precision,
                .rows = {},
                .refused = first.refused,
                .warnings = {},
                .calibrations = {},
                .limit_ms = limit_ms};
    std::map<WarningCode, std::size_t> warned;  // rows of each kind
    Pricing const pricing{target, first.model.precision};
    auto const device = target.calibrations.front().condition.execution.device;
    std::optional<KernelsOfRow> before;
    for (std::size_t i = first.number; i < model.rows(); ++i) {
        auto const sizes = model.sizes_at(i);
        auto const read =
            i == first.number ? std::optional{first.model} : model_at(model, sizes, sweep.refused);
        if (!read) continue;
        auto const& now = *read;
        auto const estimate = pricing.price(now);
        SweepRow row{.sizes = sizes,
                     .batch = now.batch,
                     .total = estimate.total,
                     .spread_known = estimate.spread_known,
                     .unknown = now.unknown,
                     .bound = bound_of(estimate),
                     .notes = {},
                     .verdict = {}};
        KernelsOfRow kernels{.batch = now.batch, .regimes = regimes_of(now)};
        if (before) row.notes = steps_between(*before, kernels, device);
        if (i == first.number) sweep.calibrations = used_calibrations(target, estimate);
        if (!estimate.spread_known) row.notes.emplace_back("at a guess");
        if (estimate.unseen_share > 0.5) {
            row.notes.emplace_back("most of it of kernels that no calibration case shows");
        }
        bool is_unseen = false;
        auto warnings = estimate.warnings;
        if (auto text = unknown_warning(now.unknown); !text.empty()) {
            warnings.push_back({WarningCode::unknown_operators, std::move(text)});
        }
        if (now.unknown.may_be_a_good_part()) {
            row.notes.emplace_back("nothing bounds the latency from above: unknown operators");
        }
        for (auto const& warning : warnings) {
            if (++warned[warning.code] == 1) sweep.warnings.push_back(warning);
            is_unseen = is_unseen || warning.code == WarningCode::unseen_batch;
        }
        if (estimate.total.extrapolated_subgraphs > 0) {
            row.notes.push_back(std::to_string(estimate.total.extrapolated_subgraphs) + " of " +
                                std::to_string(now.subgraphs.size()) +
                                " subgraphs beyond the calibrated range");
        }
        if (is_unseen) row.notes.emplace_back("no such batch was timed");
        if (limit_ms) row.verdict = verdict_of(row, *limit_ms);
        // An interval from other batches may be off itself.
        if (is_unseen && row.verdict == Verdict::certain) row.verdict = Verdict::likely;
        sweep.rows.push_back(std::move(row));
        before = std::move(kernels);
    }
    for (auto& warning : sweep.warnings) {
        auto const rows = warned[warning.code];
        if (rows > 1) warning.text += " (And so at " + std::to_string(rows - 1) + " other sizes.)";
    }
    return sweep;
}

}  // namespace derate::cli
