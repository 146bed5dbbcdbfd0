#include "workloads/model_set.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/input_error.hpp"
#include "storage/file.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;

constexpr std::array all_roles{CatalogueRole::calibration, CatalogueRole::held_out,
                               CatalogueRole::extra};

fs::path program_folder() {
    std::error_code error;
    auto const program = fs::read_symlink("/proc/self/exe", error);
    return error ? fs::path{} : program.parent_path();
}

template <class T>
T member(nlohmann::json const& object, char const* key, std::string const& where) {
    auto const found = object.find(key);
    try {
        if (found != object.end()) return found->get<T>();
    } catch (nlohmann::json::exception const&) {
        throw InputError{where + "/" + key, "has the wrong type", "see docs/taxonomy.md"};
    }
    throw InputError{where, std::string{"no member \""} + key + "\"", "see docs/taxonomy.md"};
}

ModelFile read_file_entry(nlohmann::json const& json, fs::path const& directory,
                          std::string const& where) {
    auto const precision = parse_precision(member<std::string>(json, "precision", where));
    if (!precision) throw InputError{where, "unknown precision", "fp32, fp16, bf16 or int8"};
    std::optional<int> batch;
    if (json.contains("batch")) batch = member<int>(json, "batch", where);
    if (batch && *batch < 1)
        throw InputError{where, "batch " + std::to_string(*batch), "1 or more"};
    return {.path = directory / member<std::string>(json, "file", where),
            .batch = batch,
            .precision = *precision};
}

bool names_a_file(std::string_view text) {
    return text.find('/') != std::string_view::npos || text.ends_with(".pt2") ||
           text.ends_with(".json.gz");
}

std::string describe(std::optional<int> batch, Precision precision) {
    auto const format = std::string{to_string(precision)};
    return batch ? "batch " + std::to_string(*batch) + " in " + format : format;
}

/// The Python line that exports the model of `program` in another precision, or with its batch
/// free.
///
/// \param frees_batch  for any batch from one file; else the sizes stay what they are
std::string export_line(ExportedProgram const& program, std::string const& name, bool frees_batch,
                        Precision precision) {
    std::string const dtype = precision == Precision::bf16   ? "torch.bfloat16"
                              : precision == Precision::fp16 ? "torch.float16"
                                                             : "torch.float32";
    std::string arguments;
    std::string dimensions;
    for (auto const& input : program.inputs) {
        if (input.kind != InputKind::user_input) continue;
        auto const& value = program.values.at(static_cast<std::size_t>(input.value));
        bool const is_float = is_floating_point(value.dtype);
        arguments += is_float ? "torch.randn(" : "torch.zeros(";
        for (std::size_t i = 0; i < value.sizes.size(); ++i) {
            // An example of 1 is taken for a constant.
            auto const size =
                i == 0 && frees_batch ? std::max<std::int64_t>(value.sizes[i], 2) : value.sizes[i];
            arguments += std::to_string(size) + ", ";
        }
        if (value.sizes.empty()) arguments += "(), ";
        arguments += "dtype=";
        arguments += is_float ? dtype : "torch." + std::string{to_string(value.dtype)};
        arguments += "), ";
        dimensions += value.sizes.empty() ? "None, " : "{0: batch}, ";
    }
    if (!arguments.empty()) arguments.pop_back();
    if (!dimensions.empty()) dimensions.pop_back();
    constexpr std::size_t longest = 400;
    if (arguments.size() > longest) {
        arguments = "*inputs";
        dimensions = "*[{0: batch}] * len(inputs),";
    }
    auto line =
        "torch.export.save(torch.export.export(model.eval().to(" + dtype + "), (" + arguments + ")";
    if (frees_batch) line += ", dynamic_shapes=(" + dimensions + ")";
    line += "), \"" + name;
    line += frees_batch ? "_any_batch" : "_" + dtype.substr(std::string_view{"torch."}.size());
    line += ".pt2\")";
    return (frees_batch ? "batch = torch.export.Dim(\"batch\"); " : "") + line;
}

/// What a model is called at sizes beside its batch that are not its default:
/// "bert@input_ids[1]=64".
std::string name_at(std::string name, std::vector<BoundDimension> const& dimensions,
                    RequestedDimensions const& defaults) {
    for (auto const& dimension : dimensions) {
        auto const is_default = [&](auto const& size) {
            auto const& axes = dimension.axes;
            return size.second == dimension.value &&
                   std::find(axes.begin(), axes.end(), size.first) != axes.end();
        };
        if (dimension.value == defaults.sequence ||
            std::any_of(defaults.named.begin(), defaults.named.end(), is_default)) {
            continue;
        }
        auto const is_batch = [](std::string const& axis) { return axis.ends_with("[0]"); };
        if (std::any_of(dimension.axes.begin(), dimension.axes.end(), is_batch)) continue;
        name += '@';
        name += dimension.axes.empty() ? dimension.symbol : dimension.axes.front();
        name += '=';
        name += std::to_string(dimension.value);
    }
    return name;
}

SymbolicModel read_file(fs::path const& file) {
    auto name = file.filename().string();
    for (std::string_view const ending : {".pt2", ".json.gz"}) {
        if (name.ends_with(ending) && name.size() > ending.size()) {
            name.resize(name.size() - ending.size());
        }
    }
    // Of a user's file no relatives are known.
    return {.name = name, .family = name, .file = file, .program = read_symbolic_program(file)};
}

/// The shipped file of that batch and precision.
SymbolicModel read_shipped(std::string_view name, int batch, Precision precision) {
    auto const entry = find_model(name);
    if (auto const* const file = entry.find(batch, precision)) {
        return {.name = entry.name,
                .family = entry.family,
                .file = file->path,
                .program = read_symbolic_program(file->path),
                .defaults = {.batch = 1, .sequence = entry.sequence, .named = entry.sizes}};
    }
    std::string shipped;
    for (auto const& file : entry.files) {
        if (!shipped.empty()) shipped += ", ";
        shipped += describe(file.batch, file.precision);
    }
    if (precision == Precision::int8) {
        throw InputError{entry.name, "INT8 is not supported for exported models", shipped};
    }
    auto const program = bind(read_symbolic_program(entry.files.front().path), {},
                              {.batch = batch, .sequence = entry.sequence, .named = entry.sizes})
                             .program;
    throw InputError{
        entry.name, "is not shipped with " + describe(batch, precision),
        shipped + "; or export it: " + export_line(program, entry.name, true, precision)};
}

}  // namespace

LoadedModel at(SymbolicModel const& source, RequestedDimensions const& dimensions,
               std::optional<Precision> precision) {
    auto const& [name, family, file, symbolic, defaults] = source;
    bool const is_static = symbolic.expressions.symbols().empty();
    auto bound = bind(symbolic, dimensions, defaults);
    LoadedModel model{.name = name_at(name, bound.dimensions, defaults),
                      .family = family,
                      .batch = {},
                      .file = file,
                      .program = std::move(bound.program),
                      .dimensions = std::move(bound.dimensions),
                      .notes = std::move(bound.notes)};
    model.batch = batch_of(model.program);
    model.precision = precision_of(model.program);
    auto const& batch = dimensions.batch;
    bool const other_precision = precision && precision != model.precision;
    if (other_precision) {
        if (precision == Precision::int8) {
            throw InputError{file.string(), "INT8 is not supported for exported models",
                             "fp32, fp16 or bf16"};
        }
        throw InputError{
            file.string(),
            "was exported with " + describe(model.batch, model.precision) + ", not in " +
                std::string{to_string(*precision)},
            "an export of that: " + export_line(model.program, name, false, *precision)};
    }
    if (!is_static || dimensions.empty()) return model;
    if (dimensions.sequence || !dimensions.named.empty() || !dimensions.axes.empty()) {
        throw InputError{file.string(), "its shapes are static: no dimension is free",
                         "an export with free dimensions, for the batch: " +
                             export_line(model.program, name, true, model.precision)};
    }
    if (!model.batch) {
        throw InputError{file.string(), "its inputs share no batch dimension", "no --batch"};
    }
    if (*batch == *model.batch) return model;
    throw InputError{
        file.string(),
        "was exported with " + describe(model.batch, model.precision) + " alone, not for batch " +
            std::to_string(*batch),
        "an export for any batch: " + export_line(model.program, name, true, model.precision)};
}

ModelFile const* CatalogueEntry::find(int batch, Precision precision) const {
    auto const found = std::find_if(files.begin(), files.end(), [&](ModelFile const& file) {
        return file.batch.value_or(batch) == batch && file.precision == precision;
    });
    return found == files.end() ? nullptr : &*found;
}

std::string_view to_string(CatalogueRole role) {
    switch (role) {
        case CatalogueRole::calibration:
            return "calibration";
        case CatalogueRole::held_out:
            return "held_out";
        case CatalogueRole::extra:
            return "extra";
    }
    return {};
}

fs::path models_directory() {
    std::vector<fs::path> candidates;
    if (char const* const given = std::getenv("DERATE_MODELS"); given != nullptr && *given != 0) {
        candidates = {given};  // nothing else is meant when it is set
    } else {
        auto const program = program_folder();
        if (!program.empty()) candidates.push_back(program / "../share/derate/models");
        candidates.emplace_back(DERATE_SOURCE_MODELS);
    }
    for (auto const& candidate : candidates) {
        std::error_code error;
        if (fs::is_regular_file(candidate / "catalogue.json", error)) return candidate;
    }
    throw InputError{candidates.front().string(), "no catalogue.json",
                     "the folder of the shipped models; DERATE_MODELS names it"};
}

std::vector<CatalogueEntry> read_catalogue(fs::path const& directory) {
    auto const path = directory / "catalogue.json";
    auto const json = read_json(path);
    if (!json.is_array()) throw InputError{path.string(), "not a list", "a list of models"};
    std::vector<CatalogueEntry> entries;
    for (std::size_t i = 0; i < json.size(); ++i) {
        auto const where = path.string() + "#/" + std::to_string(i);
        auto const& item = json[i];
        if (!item.is_object()) throw InputError{where, "not an object", "a model"};
        CatalogueEntry entry{.name = member<std::string>(item, "name", where),
                             .family = member<std::string>(item, "family", where),
                             .files = {}};
        auto const role_name = member<std::string>(item, "role", where);
        auto const role = std::find_if(all_roles.begin(), all_roles.end(),
                                       [&](auto r) { return to_string(r) == role_name; });
        if (role == all_roles.end()) {
            throw InputError{where + "/role", "\"" + role_name + "\"",
                             "calibration, held_out or extra"};
        }
        entry.role = *role;
        if (item.contains("sequence"))
            entry.sequence = member<std::int64_t>(item, "sequence", where);
        if (item.contains("sizes")) {
            auto const sizes = member<std::map<std::string, std::int64_t>>(item, "sizes", where);
            entry.sizes.assign(sizes.begin(), sizes.end());
        }
        auto const files = member<std::vector<nlohmann::json>>(item, "files", where);
        for (std::size_t f = 0; f < files.size(); ++f) {
            entry.files.push_back(
                read_file_entry(files[f], directory, where + "/files/" + std::to_string(f)));
        }
        if (entry.files.empty()) throw InputError{where + "/files", "is empty", "one or more"};
        entries.push_back(std::move(entry));
    }
    return entries;
}

CatalogueEntry find_model(std::string_view name) {
    auto entries = read_catalogue(models_directory());
    std::vector<std::string> names;
    for (auto& entry : entries) {
        if (entry.name == name) return std::move(entry);
        names.push_back(entry.name);
    }
    auto const meant = nearest_name(name, names);
    throw InputError{name, "no such model",
                     (meant.empty() ? "" : "did you mean '" + meant + "'? ") +
                         std::string{"'derate list models' names all; a model of your own is a "
                                     "file that ends in .pt2"}};
}

SymbolicModel read_model(std::string_view name_or_file, std::optional<int> batch,
                         std::optional<Precision> precision) {
    if (batch && *batch < 1) {
        throw InputError{"--batch " + std::to_string(*batch), "not a batch size", "1 or more"};
    }
    if (names_a_file(name_or_file)) return read_file(name_or_file);
    return read_shipped(name_or_file, batch.value_or(1), precision.value_or(Precision::fp32));
}

LoadedModel load_model(std::string_view name_or_file, RequestedDimensions const& dimensions,
                       std::optional<Precision> precision) {
    auto const& batch = dimensions.batch;
    if (batch && !std::in_range<int>(*batch)) {
        throw InputError{"--batch " + std::to_string(*batch), "not a batch size", "1 or more"};
    }
    return at(read_model(name_or_file,
                         batch ? std::optional{static_cast<int>(*batch)} : std::nullopt, precision),
              dimensions, precision);
}

LoadedModel load_model(std::string_view name_or_file, std::optional<int> batch,
                       std::optional<Precision> precision) {
    return load_model(name_or_file, RequestedDimensions{.batch = batch}, precision);
}

}  // namespace derate
