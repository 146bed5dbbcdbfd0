#include "storage/benchmark_report.hpp"

#include <charconv>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/input_error.hpp"
#include "core/split_list.hpp"
#include "core/subgraph.hpp"
#include "measuring/benchmark_keys.hpp"
#include "storage/file.hpp"
#include "storage/google_benchmark_rows.hpp"

namespace derate {
namespace {

namespace keys = benchmark_keys;
using nlohmann::json;

constexpr char const* known_format = "1";
constexpr char const* report_of_bench = "a report as derate-bench writes it";
/// How Google Benchmark marks a case that takes its own time.
constexpr std::string_view manual_time = "/manual_time";

std::optional<int> parse_count(std::string_view text) {
    int value = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
    return value;
}

/// The context: Google Benchmark writes what a program adds as texts.
class Context {
  public:
    Context(json const& context, std::string where) : context_{context}, where_{std::move(where)} {}

    [[nodiscard]] std::optional<std::string> optional_text(std::string_view key) const {
        auto const found = context_.find(std::string{key});
        if (found == context_.end()) return std::nullopt;
        if (!found->is_string()) throw InputError{at(key), "another type", "a text"};
        return found->get<std::string>();
    }
    [[nodiscard]] std::string text(std::string_view key) const {
        auto value = optional_text(key);
        if (!value) throw InputError{at(key), "is missing", report_of_bench};
        return *value;
    }
    /// \param parse  of a text, empty where it is none
    template <class Parse>
    [[nodiscard]] auto parsed(std::string_view key, Parse const& parse,
                              char const* required) const {
        auto const value = text(key);
        auto const result = parse(value);
        if (!result) throw InputError{at(key), "got '" + value + "'", required};
        return *result;
    }

  private:
    [[nodiscard]] std::string at(std::string_view key) const {
        return where_ + "#/context/" + std::string{key};
    }

    json const& context_;
    std::string where_;
};

/// What differs from launch to launch of one campaign is taken out before.
std::string hash_of_context(json context) {
    for (auto const* key : {"date", "load_avg", "host_name", "executable", "mhz_per_cpu"}) {
        context.erase(key);
    }
    context.erase(std::string{keys::models});
    return sha256_hex(context.dump());
}

/// The first 30 bits of the content's SHA-256.
int launch_number(json const& report) {
    return static_cast<int>(std::stoul(sha256_hex(report.dump()).substr(0, 8), nullptr, 16) >> 2U);
}

/// "<fusion pattern> <model>/b<batch>/<subgraph> <descriptor>", without "/b<batch>" where it is
/// unknown; a model's name may hold blanks.
std::optional<ReportedKernel> parse_label(std::string_view label) {
    auto const blank = label.find(' ');
    if (blank == 0 || blank == std::string_view::npos) return std::nullopt;
    auto const rest = label.substr(blank + 1);
    for (auto slash = rest.find('/'); slash != std::string_view::npos;
         slash = rest.find('/', slash + 1)) {
        auto const end = rest.find(' ', slash);
        if (end == std::string_view::npos || end + 1 == rest.size()) return std::nullopt;
        auto const model = parse_model_at_batch(rest.substr(0, slash));
        auto const subgraph = parse_count(rest.substr(slash + 1, end - slash - 1));
        if (!model || !subgraph) continue;
        return ReportedKernel{.name = {},
                              .fusion_pattern = std::string{label.substr(0, blank)},
                              .model = model->model,
                              .batch = model->batch,
                              .subgraph = *subgraph,
                              .descriptor = std::string{rest.substr(end + 1)}};
    }
    return std::nullopt;
}

std::string without_suffix(std::string name, std::string_view suffix) {
    if (name.ends_with(suffix)) name.resize(name.size() - suffix.size());
    return name;
}

class Rows {
  public:
    explicit Rows(BenchmarkReport& report) : report_{report} {}

    void take(BenchmarkRow const& row) {
        auto const name = without_suffix(row.case_name(), manual_time);
        if (row.flag("error_occurred")) {
            report_.failures.push_back({name, row.text("error_message").value_or("failed")});
            return;
        }
        if (row.flag("skipped")) {
            report_.failures.push_back({name, row.text("skip_message").value_or("skipped")});
            return;
        }
        auto const time = row.number("real_time");
        double const time_ms = time ? row.ms(*time) : 0;
        if (!(time_ms > 0) || !std::isfinite(time_ms)) {
            report_.failures.push_back({name, "no time above 0"});
            return;
        }
        if (auto const index = row.count("repetition_index")) {
            if (!repetitions_.insert({name, *index}).second) {
                throw InputError{row.where(),
                                 "repetition " + std::to_string(*index) + " of '" + name +
                                     "' for the second time",
                                 "benchmarks of different names"};
            }
        }
        auto& times = times_of(row, name);
        times.mean_ms.push_back(time_ms);
        auto const fast_ms = row.number(keys::faster_half_ms.data());
        if (!fast_ms) return;
        constexpr double rounding = 1 + 1e-6;
        if (!(*fast_ms > 0 && *fast_ms <= rounding * time_ms)) {
            throw InputError{row.where() + "/" + std::string{keys::faster_half_ms},
                             "is not above 0 and at most the mean", report_of_bench};
        }
        times.fast_ms.push_back(*fast_ms);
    }

  private:
    ReportedTimes& times_of(BenchmarkRow const& row, std::string const& name) {
        if (name.starts_with(keys::whole_prefix)) {
            auto const [known, is_new] =
                whole_models_.try_emplace(name, report_.whole_models.size());
            if (is_new) {
                auto const model =
                    parse_model_at_batch(std::string_view{name}.substr(keys::whole_prefix.size()));
                if (!model) {
                    throw InputError{row.where(), "names no model", report_of_bench};
                }
                report_.whole_models.push_back({.model = model->model, .batch = model->batch});
            }
            return report_.whole_models[known->second].times;
        }
        auto const [known, is_new] = kernels_.try_emplace(name, report_.kernels.size());
        if (is_new) {
            auto kernel = parse_label(row.text("label").value_or(""));
            if (!kernel) {
                throw InputError{row.where(), "no kernel in its label", report_of_bench};
            }
            if (!name.ends_with("/" + descriptor_hash(kernel->descriptor))) {
                throw InputError{row.where(), "its name is not that of the kernel in its label",
                                 report_of_bench};
            }
            kernel->name = name;
            report_.kernels.push_back(std::move(*kernel));
        }
        return report_.kernels[known->second].times;
    }

    BenchmarkReport& report_;
    std::map<std::string, std::size_t> kernels_;  ///< index by name
    std::map<std::string, std::size_t> whole_models_;
    std::set<std::pair<std::string, int>> repetitions_;
};

}  // namespace

std::optional<ModelAtBatch> parse_model_at_batch(std::string_view label) {
    auto const slash = label.find('/');
    if (slash == 0 || label.empty()) return std::nullopt;
    ModelAtBatch named{.model = std::string{label.substr(0, slash)}, .batch = std::nullopt};
    if (slash == std::string_view::npos) return named;
    auto const batch = label.substr(slash + 1);
    if (!batch.starts_with('b')) return std::nullopt;
    named.batch = parse_count(batch.substr(1));
    if (!named.batch || *named.batch < 1) return std::nullopt;
    return named;
}

bool looks_like_benchmark_report(std::string_view text) {
    return text.find('"' + std::string{keys::format} + '"') != std::string_view::npos;
}

BenchmarkReport benchmark_report_from_text(std::string_view text, std::string const& where) {
    auto const content = parse_google_benchmark(text, where);
    if (!content.is_object() || !content.contains("context") ||
        !content.at("context").is_object() || !content.contains("benchmarks") ||
        !content.at("benchmarks").is_array()) {
        throw InputError{where, "no context or no benchmarks", report_of_bench};
    }
    Context const context{content.at("context"), where};
    auto const format = context.text(keys::format);
    if (format != known_format) {
        throw InputError{where, "its keys are of version '" + format + "'",
                         std::string{"version "} + known_format};
    }
    BenchmarkReport report;
    report.where = where;
    report.date = context.optional_text("date").value_or("");
    report.context_hash = hash_of_context(content.at("context"));
    report.launch = launch_number(content);
    report.hardware_id = context.optional_text(keys::hardware_id);
    if (report.hardware_id && !parse_hardware_id(*report.hardware_id)) {
        throw InputError{where + "#/context/" + std::string{keys::hardware_id},
                         "got '" + *report.hardware_id + "'", hardware_id_rule};
    }
    auto& condition = report.condition;
    auto& execution = condition.execution;
    execution.device = context.parsed(keys::device, parse_torch_name, "cpu or cuda");
    condition.precision = context.parsed(keys::precision, parse_precision, "FP32, FP16 or BF16");
    int const threads = context.parsed(keys::threads, parse_count, "a whole number");
    if (is_host(execution.device)) {
        if (threads < 1) {
            throw InputError{where + "#/context/" + std::string{keys::threads}, "got '0'",
                             "1 or more"};
        }
        bool const pinned = context.optional_text(keys::malloc_thresholds).has_value();
        execution.threads = threads;
        execution.allocator = pinned ? Allocator::pinned : Allocator::untouched;
    }
    condition.cache_state =
        context.parsed(keys::cache_state, parse_cache_state, "hot, cold_activations or cold_all");
    condition.partition = context.text(keys::partition);
    report.tool_version = context.optional_text(keys::tool_version);
    report.value_rule = context.optional_text(keys::value_rule);
    report.models = split_list(context.optional_text(keys::models).value_or(""));

    auto const& elements = content.at("benchmarks");
    auto const names = names_of_rows(elements);
    Rows rows{report};
    std::size_t index = 0;
    for (auto const& element : elements) {
        BenchmarkRow const row{element, where + "#/benchmarks/" + std::to_string(index++), names};
        if (row.aggregate().empty()) rows.take(row);
    }
    if (report.kernels.empty() && report.whole_models.empty() && report.failures.empty()) {
        throw InputError{where, index > 0 ? "holds aggregates alone" : "holds no case",
                         "repetitions, without --benchmark_report_aggregates_only"};
    }
    return report;
}

}  // namespace derate
