#include "cli/generation.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <variant>

#include "cli/estimate_output.hpp"
#include "cli/estimate_pricing.hpp"
#include "core/input_error.hpp"

namespace derate::cli {
namespace {

constexpr std::int64_t most_priced_steps = 512;

std::string whole(std::int64_t number) { return std::to_string(number); }

/// The longest that a kernel of attention attends to; 0: there is none.
std::int64_t longest_keys(ModelToPrice const& model) {
    double longest = 0;
    for (auto const& subgraph : model.subgraphs) {
        for (auto const& node : subgraph.nodes) {
            auto const found = node.attributes.find("key_length");
            if (found == node.attributes.end()) continue;
            if (auto const* length = std::get_if<double>(&found->second)) {
                longest = std::max(longest, *length);
            }
        }
    }
    return static_cast<std::int64_t>(longest);
}

double attention_share_of(ModelToPrice const& model, ChainEstimate const& estimate) {
    double attention = 0;
    for (std::size_t i = 0; i < model.subgraphs.size(); ++i) {
        bool const is_attention = model.subgraphs[i].type == OperationType::attention;
        if (is_attention) attention += estimate.subgraphs[i].latency_ms;
    }
    return estimate.total.latency_ms > 0 ? attention / estimate.total.latency_ms : 0;
}

/// With what is to be said of it behind.
GenerationCall call_of(ModelToPrice const& model, ChainEstimate const& estimate,
                       std::int64_t keys) {
    auto const& total = estimate.total;
    GenerationCall call{.keys = keys,
                        .time = {.ms = total.latency_ms},
                        .attention_share = attention_share_of(model, estimate),
                        .bound = bound_of(estimate),
                        .notes = {}};
    if (estimate.spread_known && !model.unknown.may_be_a_good_part()) {
        call.time.limits_ms = {total.ci_95_lower_ms, total.ci_95_upper_ms};
    } else {
        call.notes.emplace_back("at a guess");
    }
    if (estimate.unseen_share > 0.5) {
        call.notes.emplace_back("most of it of kernels that no calibration case shows");
    }
    if (total.extrapolated_subgraphs > 0) {
        call.notes.push_back(whole(total.extrapolated_subgraphs) + " of " +
                             std::to_string(model.subgraphs.size()) +
                             " subgraphs beyond the calibrated range");
    }
    return call;
}

/// Warnings of many calls, each kind once.
class CollectedWarnings {
  public:
    explicit CollectedWarnings(std::string whose) : whose_{std::move(whose)} {}

    void add(ModelToPrice const& model, ChainEstimate const& estimate) {
        auto warnings = estimate.warnings;
        if (auto unknown = unknown_warning(model.unknown); !unknown.empty()) {
            warnings.push_back({WarningCode::unknown_operators, std::move(unknown)});
        }
        std::set<WarningCode> of_this_call;
        for (auto const& warning : warnings) {
            if (!of_this_call.insert(warning.code).second) continue;
            if (++calls_[warning.code] > 1) continue;
            first_.push_back({warning.code, whose_ + ": " + warning.text});
        }
    }

    void move_to(std::vector<Warning>& all) {
        for (auto& warning : first_) {
            auto const calls = calls_[warning.code];
            if (calls > 1) {
                warning.text += " (And so at " + std::to_string(calls - 1) + " other lengths.)";
            }
            all.push_back(std::move(warning));
        }
    }

  private:
    std::string whose_;
    std::vector<Warning> first_;
    std::map<WarningCode, int> calls_;
};

void add_calibrations(std::vector<UsedCalibration>& all, std::vector<UsedCalibration> used) {
    for (auto& one : used) {
        auto const is_same = [&](UsedCalibration const& known) { return known.file == one.file; };
        if (std::ranges::none_of(all, is_same)) all.push_back(std::move(one));
    }
}

bool has_dimension(SymbolicProgram const& program, std::string const& name) {
    return std::ranges::any_of(free_dimensions(program), [&](FreeDimension const& free) {
        return free.symbol == name || std::ranges::find(free.axes, name) != free.axes.end();
    });
}

std::string choices_of(SymbolicProgram const& program) {
    std::string text;
    for (auto const& free : free_dimensions(program)) {
        text += (text.empty() ? "" : ", ") + (free.axes.empty() ? free.symbol : free.axes.front());
    }
    return text.empty() ? "none is free" : "one of " + text;
}

}  // namespace

char const* name_of(CacheUse use) {
    switch (use) {
        case CacheUse::as_filled:
            return "as_filled";
        case CacheUse::allocated:
            return "allocated";
        case CacheUse::fixed:
            return "fixed";
    }
    return "";
}

GenerationTime sum_of(std::vector<GenerationCall> const& steps) {
    GenerationTime sum{.ms = 0, .limits_ms = std::pair{0.0, 0.0}};
    for (auto const& step : steps) {
        sum.ms += step.steps * step.time.ms;
        if (!step.time.limits_ms) sum.limits_ms.reset();
        if (!sum.limits_ms) continue;
        sum.limits_ms->first += step.steps * step.time.limits_ms->first;
        sum.limits_ms->second += step.steps * step.time.limits_ms->second;
    }
    return sum;
}

std::vector<std::pair<std::int64_t, double>> priced_steps(std::int64_t count, std::int64_t most) {
    auto const priced = std::min(count, most);
    std::vector<std::pair<std::int64_t, double>> steps;
    for (std::int64_t i = 0; i < priced; ++i) {
        // Whole numbers, so that the last is the last.
        steps.emplace_back(priced == 1 ? 0 : i * (count - 1) / (priced - 1), 1);
    }
    // A step between two priced ones counts for each by how near it is: half of those strictly
    // between, taken together.
    for (std::size_t i = 1; i < steps.size(); ++i) {
        auto const between = static_cast<double>(steps[i].first - steps[i - 1].first - 1);
        steps[i - 1].second += between / 2;
        steps[i].second += between / 2;
    }
    return steps;
}

Decoder::Export Decoder::read(std::string const& name) const {
    Export part{.flags = flags_.pricing, .source = {}, .dimensions = {}};
    part.flags.model = name;
    part.flags.dimensions = {.batch = flags_.batch};
    part.source = model_source(part.flags);
    part.dimensions = decoder_dimensions(part.source.program);
    return part;
}

Decoder::Decoder(GenerationFlags const& flags)
    : flags_{flags},
      name_{flags.model},
      prefill_{read(flags.model.empty() ? flags.prefill : flags.model + "_prefill")},
      decode_{read(flags.model.empty() ? flags.decode : flags.model + "_decode")} {
    if (name_.empty()) name_ = prefill_.source.name + " and " + decode_.source.name;
    auto const& prompt = flags_.prompt_dimension;
    if (prompt && !has_dimension(prefill_.source.program, *prompt)) {
        throw InputError{"--prompt-dim " + *prompt,
                         prefill_.source.file.string() + " has no such dimension",
                         choices_of(prefill_.source.program)};
    }
    auto const& cache = flags_.cache_dimension;
    if (cache && !has_dimension(decode_.source.program, *cache)) {
        throw InputError{"--cache-dim " + *cache,
                         decode_.source.file.string() + " has no such dimension",
                         choices_of(decode_.source.program)};
    }
    if (prompt) prefill_.dimensions.tokens = {*prompt};
    if (cache) decode_.dimensions.cache = {*cache};
    if (flags_.cache_length && decode_.dimensions.cache.empty()) {
        throw InputError{"--cache-length",
                         "the cache of " + decode_.source.file.string() +
                             " has the length that it was exported with",
                         "a decode step whose caches are inputs with a free length"};
    }
    refuse_unknown_names();
}

void Decoder::refuse_unknown_names() const {
    auto const given =
        requested_dimensions({.batch = {}, .sequence = {}, .named = flags_.named, .axes = {}});
    for (auto const& [name, value] : given.named) {
        if (has_dimension(prefill_.source.program, name)) continue;
        if (has_dimension(decode_.source.program, name)) continue;
        throw InputError{"--dim " + name, "neither export has such a dimension",
                         "prefill: " + choices_of(prefill_.source.program) +
                             "; decode: " + choices_of(decode_.source.program)};
    }
}

CacheUse Decoder::cache() const {
    if (decode_.dimensions.cache.empty()) return CacheUse::fixed;
    return flags_.cache_length ? CacheUse::allocated : CacheUse::as_filled;
}

std::int64_t Decoder::sequences() const {
    return flags_.batch.value_or(static_cast<int>(decode_.dimensions.fixed_batch.value_or(1)));
}

ModelToPrice Decoder::bound(Export const& part, std::int64_t tokens,
                            std::int64_t cache_entries) const {
    auto const& [flags, source, dimensions] = part;
    RequestedDimensions requested;
    auto const set_all = [&](std::vector<std::string> const& symbols, std::int64_t value) {
        for (auto const& symbol : symbols) requested.named.emplace_back(symbol, value);
    };
    set_all(dimensions.batch, sequences());
    if (dimensions.fixed_batch && *dimensions.fixed_batch != sequences()) {
        throw InputError{source.file.string(),
                         "was exported for " + whole(*dimensions.fixed_batch) +
                             " sequences at once, not " + whole(sequences()),
                         "an export with a free batch"};
    }
    set_all(dimensions.tokens, tokens);
    set_all(dimensions.cache, cache_entries);
    auto const given =
        requested_dimensions({.batch = {}, .sequence = {}, .named = flags_.named, .axes = {}});
    for (auto const& [name, value] : given.named) {
        if (has_dimension(source.program, name)) requested.named.emplace_back(name, value);
    }
    return model_to_price(source, requested, flags);
}

ModelToPrice Decoder::prefill() const {
    auto const& [flags, source, dimensions] = prefill_;
    if (dimensions.tokens.empty() && !dimensions.fixed_tokens) {
        throw InputError{source.file.string(),
                         "none of its inputs is token ids, integers of batch x length",
                         "a prefill, or --prompt-dim with what is its prompt length"};
    }
    if (dimensions.tokens.empty() && *dimensions.fixed_tokens != flags_.prompt) {
        throw InputError{source.file.string(),
                         "was exported for a prompt of " + whole(*dimensions.fixed_tokens) +
                             " tokens, not " + whole(flags_.prompt),
                         "an export with a free sequence length, or --prompt " +
                             whole(*dimensions.fixed_tokens)};
    }
    return bound(prefill_, flags_.prompt,
                 dimensions.appends ? 0 : flags_.cache_length.value_or(flags_.prompt));
}

ModelToPrice Decoder::step(std::int64_t index) const {
    auto const& [flags, source, dimensions] = decode_;
    if (dimensions.tokens.empty() && dimensions.fixed_tokens.value_or(1) != 1) {
        throw InputError{
            source.file.string(),
            "takes " + whole(*dimensions.fixed_tokens) + " tokens of a sequence a call",
            "a decode step, which takes one"};
    }
    auto const keys = flags_.prompt + index + 1;
    auto const last = flags_.prompt + steps();
    if (flags_.cache_length && *flags_.cache_length < last) {
        throw InputError{"--cache-length " + whole(*flags_.cache_length),
                         "shorter than the " + whole(last) + " keys of the last step",
                         whole(last) + " or more"};
    }
    auto model =
        bound(decode_, 1, flags_.cache_length.value_or(keys) - (dimensions.appends ? 1 : 0));
    auto const longest = longest_keys(model);
    if (cache() == CacheUse::fixed && longest > 0 && longest < last) {
        throw InputError{source.file.string(),
                         "attends to " + whole(longest) + " keys, fewer than the " + whole(last) +
                             " that --prompt and --new make",
                         "a decode step with a longer cache, or fewer tokens"};
    }
    auto const expected = flags_.cache_length.value_or(keys);
    if (cache() != CacheUse::fixed && longest > 0 && longest < expected) {
        model.warnings.push_back(
            {WarningCode::dimensions, "its longest attention is over " + whole(longest) +
                                          " keys where the cache should hold " + whole(expected) +
                                          "; --cache-dim names the dimension that is its length."});
    }
    return model;
}

Generation generated(Decoder const& decoder, GenerationFlags const& flags, Target const& target,
                     ModelToPrice const& first) {
    Generation all{.model = decoder.name(),
                   .precision = first.precision,
                   .prompt = flags.prompt,
                   .new_tokens = flags.new_tokens,
                   .sequences = decoder.sequences(),
                   .cache = decoder.cache(),
                   .first_token = {},
                   .steps = {},
                   .token = {},
                   .total = {},
                   .warnings = {},
                   .calibrations = {}};
    Pricing const pricing{target, first.precision};
    auto const prefill = pricing.price(first);
    all.first_token = call_of(first, prefill, std::max(flags.prompt, longest_keys(first)));
    add_calibrations(all.calibrations, used_calibrations(target, prefill));
    CollectedWarnings of_prefill{"prefill"};
    of_prefill.add(first, prefill);

    auto const steps = static_cast<double>(decoder.steps());
    auto chosen = priced_steps(decoder.steps(), most_priced_steps);
    if (all.cache != CacheUse::as_filled) chosen = {{0, steps}};
    CollectedWarnings of_steps{"decode"};
    for (auto const& [index, stands_for] : chosen) {
        auto const model = decoder.step(index);
        if (model.precision != first.precision) {
            throw InputError{flags.decode,
                             "is in " + std::string{to_string(model.precision)} +
                                 ", the prefill in " + std::string{to_string(first.precision)},
                             "two exports in one precision"};
        }
        auto const estimate = pricing.price(model);
        auto keys = flags.prompt + index + 1;
        if (all.cache == CacheUse::allocated) keys = *flags.cache_length;
        if (all.cache == CacheUse::fixed) keys = longest_keys(model);
        all.steps.push_back(call_of(model, estimate, keys));
        all.steps.back().steps = stands_for;
        of_steps.add(model, estimate);
        if (index == 0) add_calibrations(all.calibrations, used_calibrations(target, estimate));
    }
    of_prefill.move_to(all.warnings);
    of_steps.move_to(all.warnings);

    auto const sum = sum_of(all.steps);
    all.token = {.ms = sum.ms / steps};
    all.total = {.ms = all.first_token.time.ms + sum.ms};
    if (sum.limits_ms) {
        auto const& [lower, upper] = *sum.limits_ms;
        all.token.limits_ms = {lower / steps, upper / steps};
        if (auto const& first_limits = all.first_token.time.limits_ms) {
            all.total.limits_ms = {first_limits->first + lower, first_limits->second + upper};
        }
    }
    return all;
}

}  // namespace derate::cli
