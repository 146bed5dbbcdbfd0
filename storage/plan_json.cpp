#include "storage/plan_json.hpp"

#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/input_error.hpp"
#include "core/value_rule.hpp"
#include "storage/fields.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

using nlohmann::json;

constexpr int plan_version = 1;

std::optional<StepKind> parse_step_kind(std::string_view name) {
    for (auto const kind :
         {StepKind::isolated, StepKind::in_context, StepKind::whole, StepKind::drift}) {
        if (to_string(kind) == name) return kind;
    }
    return std::nullopt;
}

/// The value, or an InputError that says what would have been right.
template <class Value>
Value known(std::optional<Value> value, json const& text, std::string_view where,
            char const* what) {
    if (!value) throw InputError{where, "got " + text.dump(), what};
    return *value;
}

void check_indices(Plan const& plan, std::string_view where) {
    for (auto const& item : plan.cases) {
        if (item.model >= plan.models.size()) {
            throw InputError{where,
                             "case " + item.key + " names model " + std::to_string(item.model),
                             "an index into models"};
        }
    }
    for (auto const& step : plan.steps) {
        auto const limit = step.kind == StepKind::isolated ? plan.cases.size()
                           : step.kind == StepKind::drift  ? 2
                                                           : plan.models.size();
        if (step.index >= limit) {
            throw InputError{where,
                             "a step " + std::string{to_string(step.kind)} + " names index " +
                                 std::to_string(step.index),
                             "an index into cases or models; 0 or 1 for drift"};
        }
    }
}

}  // namespace

std::string to_json_text(Plan const& plan) {
    json models = json::array();
    for (auto const& model : plan.models) {
        models.push_back({{"name", model.name},
                          {"file", model.file},
                          {"batch", json_or_null(model.batch)},
                          {"precision", to_string(model.precision)}});
        if (!model.dimensions.empty()) models.back()["dimensions"] = model.dimensions;
        if (model.held_out) models.back()["held_out"] = true;
        if (model.partial) models.back()["partial"] = true;
    }
    json cases = json::array();
    for (auto const& item : plan.cases) {
        cases.push_back({{"key", item.key},
                         {"model", item.model},
                         {"subgraph", item.subgraph},
                         {"state", to_string(item.state)}});
    }
    json steps = json::array();
    for (auto const& step : plan.steps) steps.push_back({to_string(step.kind), step.index});
    json const repetition{{"min_timed_ms", plan.repetition.min_timed_ms},
                          {"min_iterations", plan.repetition.min_iterations},
                          {"max_iterations", plan.repetition.max_iterations},
                          {"max_warmup_ms", plan.repetition.max_warmup_ms},
                          {"min_warmup_iterations", plan.repetition.min_warmup_iterations}};
    json all{{"format", "derate_plan"},
             {"version", plan_version},
             {"campaign", plan.campaign},
             {"launch", plan.launch},
             {"seed", plan.seed},
             {"value_rule", plan.value_rule},
             {"threads", plan.execution.threads.value_or(1)},
             {"cpus", plan.execution.cpus},
             {"device", torch_name(plan.execution.device)},
             {"allocator", to_string(plan.execution.allocator.value_or(Allocator::pinned))},
             {"repetition", repetition},
             {"time_limit_s", plan.time_limit_s},
             {"peaks", plan.peaks},
             {"models", models},
             {"cases", cases},
             {"steps", steps},
             {"done", plan.done}};
    if (plan.execution.backend != Backend::eager) {
        all["backend"] = to_string(plan.execution.backend);
    }
    return all.dump() + "\n";
}

Plan plan_from_json(std::string_view text, std::string_view where) try {
    auto const all = parse_json(text, where);
    auto const whole = [&](json const& value) { return integer_of<int>(value, where, 0); };
    if (all.at("format") != "derate_plan" || all.at("version") != plan_version) {
        throw InputError{where, "not a plan that this program reads",
                         "format derate_plan, version " + std::to_string(plan_version)};
    }
    auto const& repetition = all.at("repetition");
    Plan plan{
        .campaign = all.at("campaign").get<std::string>(),
        .launch = integer_of<int>(all.at("launch"), where, -1),
        .seed = integer_of<std::uint64_t>(all.at("seed"), where, 0),
        .value_rule = all.value("value_rule", std::string{first_value_rule}),
        .execution = {.device = known(parse_torch_name(all.at("device").get<std::string>()),
                                      all.at("device"), where, "cpu or cuda"),
                      .threads = whole(all.at("threads")),
                      .allocator = Allocator::pinned},
        .repetition = {.min_timed_ms = repetition.at("min_timed_ms").get<double>(),
                       .min_iterations = whole(repetition.at("min_iterations")),
                       .max_iterations = whole(repetition.at("max_iterations")),
                       .max_warmup_ms = repetition.at("max_warmup_ms").get<double>(),
                       .min_warmup_iterations = whole(repetition.at("min_warmup_iterations"))},
        .time_limit_s = all.at("time_limit_s").get<double>(),
        .peaks = all.at("peaks").get<bool>(),
        .models = {},
        .cases = {},
        .steps = {},
        .done = {},
    };
    if (auto const found = all.find("allocator"); found != all.end()) {  // older plans: pinned
        plan.execution.allocator =
            known(parse_allocator(found->get<std::string>()), *found, where, "pinned or default");
    }
    if (auto const found = all.find("backend"); found != all.end()) {  // older plans: eager
        plan.execution.backend =
            known(parse_backend(found->get<std::string>()), *found, where, "eager");
    }
    for (auto const& cpu : all.at("cpus")) plan.execution.cpus.push_back(whole(cpu));
    for (auto const& step : all.at("done")) {
        plan.done.push_back(integer_of<std::int64_t>(step, where, 0));
    }
    for (auto const& model : all.at("models")) {
        auto const& precision = model.at("precision");
        std::map<std::string, std::int64_t> dimensions;
        if (auto const found = model.find("dimensions"); found != model.end()) {
            for (auto const& [symbol, value] : found->items()) {
                dimensions.emplace(symbol, integer_of<std::int64_t>(value, where, 0));
            }
        }
        plan.models.push_back({.name = model.at("name").get<std::string>(),
                               .file = model.at("file").get<std::string>(),
                               .batch = model.at("batch").is_null()
                                            ? std::nullopt
                                            : std::optional{whole(model.at("batch"))},
                               .precision = known(parse_precision(precision.get<std::string>()),
                                                  precision, where, "a precision"),
                               .dimensions = dimensions,
                               .held_out = model.value("held_out", false),
                               .partial = model.value("partial", false)});
    }
    for (auto const& item : all.at("cases")) {
        auto const& state = item.at("state");
        plan.cases.push_back({.key = item.at("key").get<std::string>(),
                              .model = integer_of<std::size_t>(item.at("model"), where, 0),
                              .subgraph = whole(item.at("subgraph")),
                              .state = known(parse_cache_state(state.get<std::string>()), state,
                                             where, "a cache state")});
    }
    for (auto const& step : all.at("steps")) {
        auto const& kind = step.at(0);
        plan.steps.push_back({.kind = known(parse_step_kind(kind.get<std::string>()), kind, where,
                                            "isolated, in_context, whole or drift"),
                              .index = integer_of<std::size_t>(step.at(1), where, 0)});
    }
    check_indices(plan, where);
    return plan;
} catch (json::exception const& error) {
    throw InputError{where, error.what(), "a derate_plan as campaign/ writes it"};
}

}  // namespace derate
