#include <CLI/App.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/commands.hpp"
#include "cli/curve_file_choice.hpp"
#include "cli/dimension_flags.hpp"
#include "cli/json_output.hpp"
#include "cli/measuring.hpp"
#include "cli/subgraph_table.hpp"
#include "core/format_quantity.hpp"
#include "core/input_error.hpp"
#include "core/subgraph_shapes.hpp"
#include "core/value_rule.hpp"
#include "storage/fields.hpp"
#include "storage/file.hpp"
#include "workloads/count_again.hpp"
#include "workloads/descriptor.hpp"
#include "workloads/input_values.hpp"
#include "workloads/model_set.hpp"
#include "workloads/partition.hpp"
#include "workloads/program_warnings.hpp"

namespace derate::cli {
namespace {

/// Empty where every operator is known.
std::string unknown_words(ExportedProgram const& program) {
    std::string names;
    for (auto const& name : unknown_operators(program)) names += (names.empty() ? "" : ", ") + name;
    return names.empty() ? names
                         : names + ": work unknown, counted as one FLOP per element returned";
}

struct InspectFlags {
    std::string model;
    DimensionFlags dimensions;
    std::string precision;
    bool modules = false;
};

/// The module that calls a subgraph's first kernel, "layer1.0.conv1"; empty where the file does not
/// say.
std::string module_of(ExportedProgram const& program, ProgramSubgraph const& part) {
    for (auto const node : part.nodes) {
        auto const& path = program.nodes.at(static_cast<std::size_t>(node)).module;
        if (!path.empty()) return path;
    }
    return {};
}

std::string shape_text(std::vector<std::int64_t> const& shape) {
    std::string text;
    for (auto const extent : shape) {
        if (!text.empty()) text += 'x';
        text += std::to_string(extent);
    }
    return text.empty() ? "scalar" : text;
}

/// "1x64x56x56 -> 1x128x28x28": the first kernel's first input, the last kernel's result.
std::string shapes_text(Subgraph const& subgraph) {
    auto const shapes = shapes_of(subgraph);
    return shapes ? shape_text(shapes->input) + " -> " + shape_text(shapes->output) : "-";
}

std::string intensity_text(Flops work, Bytes traffic) {
    if (traffic.value() == 0) return "-";
    return format_significant(work.value() / traffic.value(), 3);
}

/// FLOPs and bytes are whole numbers; JSON shows them as such while a double holds them exactly.
nlohmann::json count_to_json(double count) {
    constexpr double largest_exact = 9007199254740992;  // 2^53
    if (count == std::floor(count) && count <= largest_exact) {
        return static_cast<std::int64_t>(count);
    }
    return count;
}

using Subgraphs = std::vector<Subgraph const*>;

Subgraphs subgraphs_of(Partition const& cut) {
    Subgraphs all;
    for (auto const& item : cut.subgraphs) all.push_back(&item.subgraph);
    return all;
}

Subgraphs subgraphs_of(Measurement const& measurement) {
    Subgraphs all;
    for (auto const& part : measurement.subgraphs) all.push_back(&part.subgraph);
    return all;
}

/// Appends to `json["subgraphs"]` and sets `json["total"]`.
void add_subgraphs(nlohmann::json& json, Subgraphs const& subgraphs) {
    double work = 0;
    double bytes = 0;
    for (auto const* at : subgraphs) {
        auto const& subgraph = *at;
        auto const traffic = subgraph.traffic.total().value();
        work += subgraph.work.value();
        bytes += traffic;
        nlohmann::json item{
            {"subgraph_id", subgraph.id},
            {"fusion_pattern", subgraph.fusion_pattern},
            {"operation_type", to_string(subgraph.type)},
            {"case", case_name(subgraph.type, subgraph.descriptor)},
            {"flops", count_to_json(subgraph.work.value())},
            {"bytes",
             {{"input", count_to_json(subgraph.traffic.input.value())},
              {"weights", count_to_json(subgraph.traffic.weights.value())},
              {"output", count_to_json(subgraph.traffic.output.value())}}},
            {"arithmetic_intensity",
             traffic > 0 ? nlohmann::json(subgraph.work.value() / traffic) : nullptr},
            {"descriptor", subgraph.descriptor},
            {"nodes", nlohmann::json::array()}};
        for (auto const& node : subgraph.nodes) {
            nlohmann::json attributes = nlohmann::json::object();
            for (auto const& [key, value] : node.attributes) {
                std::visit([&attributes, &name = key](auto const& v) { attributes[name] = v; },
                           value);
            }
            item["nodes"].push_back({{"name", node.name},
                                     {"op", node.op},
                                     {"input_shape", node.input_shape},
                                     {"output_shape", node.output_shape},
                                     {"attributes", std::move(attributes)}});
        }
        json["subgraphs"].push_back(std::move(item));
    }
    json["total"] = {{"flops", count_to_json(work)}, {"bytes", count_to_json(bytes)}};
}

nlohmann::json to_json(LoadedModel const& model, Partition const& cut,
                       ProgramValues const& values_in) {
    auto warnings = warnings_of(model.program);
    if (auto words = unknown_words(model.program); !words.empty()) {
        warnings.push_back({WarningCode::unknown_operators, std::move(words)});
    }
    for (auto const& note : model.notes) warnings.push_back({WarningCode::dimensions, note});
    for (auto const& note : values_in.notes) warnings.push_back({WarningCode::unknown_values, note});
    nlohmann::json json{{"model", model.name},
                        {"model_family", model.family},
                        {"precision", to_string(model.precision)},
                        {"batch", json_or_null(model.batch)},
                        {"dimensions", dimensions_json(model.dimensions)},
                        {"partition", cut.rule},
                        {"flop_rule", flop_rule},
                        {"torch_version", model.program.torch_version},
                        {"unknown_operators", unknown_operators(model.program)},
                        {"value_rule", value_rule},
                        {"inputs", nlohmann::json::array()},
                        {"value_notes", values_in.notes},
                        {"subgraphs", nlohmann::json::array()}};
    set_warnings(json, warnings);
    for (auto const& input : model.program.inputs) {
        if (!values_in.inputs.contains(input.value)) continue;
        auto const index = static_cast<std::size_t>(input.value);
        json["inputs"].push_back({{"name", input.name},
                                  {"kind", to_string(input.kind)},
                                  {"shape", model.program.values[index].sizes},
                                  {"values", values_in.words[index]}});
    }
    add_subgraphs(json, subgraphs_of(cut));
    for (std::size_t i = 0; i < cut.subgraphs.size(); ++i) {
        auto path = module_of(model.program, cut.subgraphs[i]);
        json["subgraphs"][i]["module"] =
            path.empty() ? nlohmann::json() : nlohmann::json(std::move(path));
    }
    return json;
}

/// What a measurement file holds of its model, with the times that it was made for.
nlohmann::json description_of(Measurement const& measurement) {
    nlohmann::json json{{"model", measurement.model},
                        {"model_family", measurement.model_family},
                        {"precision", to_string(measurement.condition.precision)},
                        {"batch", json_or_null(measurement.batch)},
                        {"partition", measurement.condition.partition},
                        {"flop_rule", measurement.condition.flop_rule},
                        {"subgraphs", nlohmann::json::array()}};
    add_subgraphs(json, subgraphs_of(measurement));
    for (std::size_t i = 0; i < measurement.subgraphs.size(); ++i) {
        auto const& timing = measurement.subgraphs[i].isolated;
        json["subgraphs"][i]["isolated_ms"] =
            timing ? nlohmann::json(timing->center_ms) : nlohmann::json();
    }
    return json;
}

/// What stands above the table.
struct Heading {
    std::string model;
    std::optional<int> batch;
    Precision precision = Precision::fp32;
};

/// \param times    one a subgraph; empty: none were taken
/// \param modules  one a subgraph, rows are not joined then; empty: they are not asked for
void print_text(Heading const& heading, Subgraphs const& subgraphs,
                std::vector<std::string> const& times, std::vector<std::string> const& modules) {
    struct TypeTotal {
        int subgraphs = 0;
        double work = 0;
        double bytes = 0;
    };
    std::map<OperationType, TypeTotal> types;
    std::map<std::string, int> distinct;
    TypeTotal total;
    std::vector<TableRow> rows{{"id", "pattern", "type", "shapes", "work", "memory", "FLOP/byte"}};
    if (!times.empty()) rows.front().emplace_back("time alone");
    if (!modules.empty()) rows.front().insert(rows.front().begin() + 1, "module");
    for (std::size_t i = 0; i < subgraphs.size(); ++i) {
        auto const& subgraph = *subgraphs[i];
        auto const traffic = subgraph.traffic.total();
        rows.push_back({std::to_string(subgraph.id), subgraph.fusion_pattern,
                        std::string{to_string(subgraph.type)}, shapes_text(subgraph),
                        format_flops(subgraph.work), format_bytes(traffic),
                        intensity_text(subgraph.work, traffic)});
        if (!times.empty()) rows.back().push_back(times[i]);
        if (!modules.empty()) {
            rows.back().insert(rows.back().begin() + 1, modules[i].empty() ? "-" : modules[i]);
        }
        ++distinct[subgraph.descriptor];
        for (auto* sum : {&types[subgraph.type], &total}) {
            ++sum->subgraphs;
            sum->work += subgraph.work.value();
            sum->bytes += traffic.value();
        }
    }
    std::printf("%s, %s%s: %d subgraphs (%zu distinct), %s, %s of memory traffic\n\n",
                heading.model.c_str(),
                heading.batch ? ("batch " + std::to_string(*heading.batch) + ", ").c_str() : "",
                std::string{to_string(heading.precision)}.c_str(), total.subgraphs, distinct.size(),
                format_flops(Flops{total.work}).c_str(), format_bytes(Bytes{total.bytes}).c_str());
    std::fputs((modules.empty() ? text_table(with_equal_rows_joined(rows), 4) : text_table(rows, 5))
                   .c_str(),
               stdout);

    std::vector<std::pair<OperationType, TypeTotal>> by_work{types.begin(), types.end()};
    std::stable_sort(by_work.begin(), by_work.end(),
                     [](auto const& a, auto const& b) { return a.second.work > b.second.work; });
    std::vector<TableRow> sums{{"type", "subgraphs", "work", "share", "memory", "share"}};
    auto const share = [](double part, double whole) {
        return whole > 0 ? format_significant(100 * part / whole, 3) + " %" : std::string{"-"};
    };
    for (auto const& [type, sum] : by_work) {
        sums.push_back({std::string{to_string(type)}, std::to_string(sum.subgraphs),
                        format_flops(Flops{sum.work}), share(sum.work, total.work),
                        format_bytes(Bytes{sum.bytes}), share(sum.bytes, total.bytes)});
    }
    std::puts("");
    std::fputs(text_table(sums, 1).c_str(), stdout);
}

ExitCode inspect_measurement(InspectFlags const& flags, CommonFlags const& common) {
    if (!flags.dimensions.empty() || !flags.precision.empty()) {
        auto const& given = flags.dimensions;
        char const* const flag = given.batch            ? "--batch"
                                 : given.sequence       ? "--seq"
                                 : !given.named.empty() ? "--dim"
                                                        : "--precision";
        throw InputError{flag, "a measurement file has its own", "an export, or no such flag"};
    }
    auto const measurement = read_measurement(flags.model);
    if (common.json) {
        print_json("output_inspect_v1.json", description_of(measurement));
        return exit_pass;
    }
    std::vector<std::string> times;
    for (auto const& part : measurement.subgraphs) {
        times.push_back(part.isolated ? timing_text(*part.isolated) : "-");
    }
    print_text({.model = measurement.model,
                .batch = measurement.batch,
                .precision = measurement.condition.precision},
               subgraphs_of(measurement), times, {});
    return exit_pass;
}

}  // namespace

Run add_inspect(CLI::App& command) {
    auto flags = std::make_shared<InspectFlags>();
    command.add_option("--model", flags->model, "Name of a shipped model, a torch.export file (.pt2), or a measurement file")->required();
    add_dimension_flags(command, flags->dimensions);
    command.add_option("--precision", flags->precision, "fp32, fp16 or bf16 (default fp32)");
    command.add_flag("--modules", flags->modules,
                     "Name the module that calls each subgraph; rows that are equal are not joined "
                     "then");
    return [flags](CommonFlags const& common) {
        if (flags->model.ends_with(".json")) return inspect_measurement(*flags, common);
        std::optional<Precision> precision;
        if (!flags->precision.empty()) precision = precision_of_flag(flags->precision);
        auto const model =
            load_model(flags->model, requested_dimensions(flags->dimensions), precision);
        auto const cut = partition(model.program);
        if (auto const words = unknown_words(model.program); !words.empty() && !common.quiet) {
            std::fprintf(stderr, "derate: %s\n", words.c_str());
        }
        auto const values = values_of(model.program);
        if (!common.quiet) {
            for (auto const& warning : warnings_of(model.program)) {
                std::fprintf(stderr, "derate: warning: %s\n", warning.text.c_str());
            }
            for (auto const& note : model.notes) {
                std::fprintf(stderr, "derate: warning: %s\n", note.c_str());
            }
            for (auto const& note : values.notes) {
                std::fprintf(stderr, "derate: %s\n", note.c_str());
            }
        }
        if (common.json) {
            print_json("output_inspect_v1.json", to_json(model, cut, values));
        } else {
            std::vector<std::string> modules;
            if (flags->modules) {
                for (auto const& part : cut.subgraphs) {
                    modules.push_back(module_of(model.program, part));
                }
            }
            print_text({.model = model.name, .batch = model.batch, .precision = model.precision},
                       subgraphs_of(cut), {}, modules);
        }
        return exit_pass;
    };
}

}  // namespace derate::cli
