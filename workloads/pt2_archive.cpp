#include "workloads/pt2_archive.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/input_error.hpp"
#include "storage/file.hpp"
#include "workloads/constant_bytes.hpp"
#include "workloads/export_schema.hpp"

namespace derate {
namespace {

constexpr char const* how_to_export =
    "a file that torch.export.save wrote: "
    "torch.export.save(torch.export.export(model.eval(), args), \"m.pt2\")";
constexpr std::string_view old_graph = "serialized_exported_program.json";
constexpr std::size_t config_limit = std::size_t{64} << 20;
constexpr std::size_t pickle_limit = std::size_t{16} << 20;

/// Position behind the one folder that may hold everything, where `part` follows it; npos
/// otherwise.
std::size_t after_root(std::string_view name, std::string_view part) {
    if (name.starts_with(part)) return 0;
    auto const slash = name.find('/');
    if (slash == std::string_view::npos || !name.substr(slash + 1).starts_with(part)) {
        return std::string_view::npos;
    }
    return slash + 1;
}

/// What the zip is, where it is no exported program.
[[noreturn]] void refuse_other_zip(std::string const& where,
                                   std::vector<std::string> const& names) {
    auto const any = [&](std::string_view part) {
        return std::ranges::any_of(names, [part](std::string_view name) {
            return after_root(name, part) != std::string_view::npos;
        });
    };
    if (any("data/aotinductor/")) {
        throw InputError{where, "is a package of AOTInductor: compiled code without a graph",
                         "the exported program that was given to aoti_compile_and_package, saved "
                         "with torch.export.save"};
    }
    if (any("constants.pkl")) throw InputError{where, "is TorchScript", how_to_export};
    if (any("data.pkl")) {
        throw InputError{where, "was written by torch.save: it holds weights, no graph",
                         how_to_export};
    }
    throw InputError{where, "zip without an exported program", how_to_export};
}

}  // namespace

Pt2Archive::Pt2Archive(std::filesystem::path const& file) : archive_{file} {
    constexpr std::string_view folder = "models/";
    constexpr std::string_view ending = ".json";
    auto const names = archive_.names();
    for (std::string_view const name : names) {
        std::string_view model;
        auto at = after_root(name, old_graph);
        if (at == std::string_view::npos || name.substr(at) != old_graph) {
            at = after_root(name, folder);
            if (at == std::string_view::npos || !name.ends_with(ending)) continue;
            model =
                name.substr(at + folder.size(), name.size() - at - folder.size() - ending.size());
            if (model.empty() || model.find('/') != std::string_view::npos) continue;
        }
        if (!graph_.empty()) {
            throw InputError{archive_.where(), "holds several exported programs",
                             "one program a file"};
        }
        graph_ = name;
        root_ = name.substr(0, at);
        model_ = model;
    }
    if (graph_.empty()) refuse_other_zip(archive_.where(), names);
}

std::string Pt2Archive::read_graph(std::size_t size_limit) const {
    return archive_.read(graph_, size_limit).value();
}

Pt2Archive::StoredTensor Pt2Archive::raw_tensor(nlohmann::json const& meta,
                                                std::string const& where) const {
    auto const extent = [](nlohmann::json const& size) {
        return size.at("as_int").get<std::int64_t>();
    };
    try {
        auto const& entry = meta.at("path_name").get_ref<std::string const&>();
        if (meta.value("use_pickle", false)) return NotPlain{"a tensor of a class of its own"};
        auto const& shape = meta.at("tensor_meta");
        auto const dtype = scalar_type_of_schema(shape.at("dtype").get<std::int64_t>());
        if (!dtype) return NotPlain{"a tensor of another dtype"};
        RawTensor tensor{.entry = entry, .layout = {}};
        tensor.layout.dtype = *dtype;
        for (auto const& size : shape.at("sizes")) tensor.layout.sizes.push_back(extent(size));
        for (auto const& stride : shape.at("strides")) {
            tensor.layout.strides.push_back(extent(stride));
        }
        tensor.layout.storage_offset = extent(shape.at("storage_offset"));
        return tensor;
    } catch (nlohmann::json::exception const& error) {
        throw InputError{where, "damaged: " + std::string{error.what()},
                         "what torch.export.save wrote"};
    }
}

Pt2Archive::Folder Pt2Archive::read_folder(std::string const& folder,
                                           std::string const& saved) const {
    Folder result;
    auto const path = root_ + "data/" + folder + "/";
    auto const config = path + model_ + "_" + folder + "_config.json";
    if (auto const text = archive_.read(config, config_limit)) {
        auto const where = archive_.where() + ":" + config;
        auto const document = parse_json(*text, where);
        auto const members = document.find("config");
        if (members == document.end() || !members->is_object()) {
            throw InputError{where, "no member \"config\"", "what torch.export.save wrote"};
        }
        for (auto const& [name, meta] : members->items()) {
            auto tensor = raw_tensor(meta, where + "#/config/" + name);
            if (auto* const raw = std::get_if<RawTensor>(&tensor)) raw->entry.insert(0, path);
            result.tensors.emplace(name, std::move(tensor));
        }
        return result;
    }
    auto const entry = model_.empty() ? root_ + saved : path + model_ + ".pt";
    result.saved = archive_.open_nested(entry);
    if (!result.saved) return result;
    constexpr std::string_view pickle = "data.pkl";
    for (auto const& name : result.saved->names()) {
        auto const at = after_root(name, pickle);
        if (at == std::string_view::npos || name.substr(at) != pickle) continue;
        auto const text = result.saved->read(name, pickle_limit);
        auto const where = result.saved->where() + ":" + name;
        auto const data = name.substr(0, at) + "data/";
        if (result.saved->read_part(name.substr(0, at) + "byteorder", 0, 3) == "big") {
            throw InputError{where, "was written on a big-endian machine", "a little-endian one"};
        }
        for (auto& [tensor, value] : read_pickled_tensors(*text, where)) {
            if (auto* const plain = std::get_if<PickledTensor>(&value)) {
                result.tensors.emplace(tensor, RawTensor{.entry = data + plain->storage,
                                                         .layout = std::move(plain->layout)});
            } else {
                result.tensors.emplace(tensor, std::get<NotPlain>(value));
            }
        }
        return result;
    }
    throw InputError{result.saved->where(), "holds no data.pkl", "a zip that torch.save wrote"};
}

std::optional<std::vector<std::byte>> Pt2Archive::read_elements(std::string const& name,
                                                                TensorValue const& value,
                                                                std::size_t size_limit) {
    if (!folders_) {
        std::vector<Folder> folders;
        folders.push_back(read_folder("weights", "serialized_state_dict.pt"));
        folders.push_back(read_folder("constants", "serialized_constants.pt"));
        folders_ = std::move(folders);
    }
    for (auto const& folder : *folders_) {
        auto const found = folder.tensors.find(name);
        if (found == folder.tensors.end()) continue;
        auto const& zip = folder.saved ? *folder.saved : archive_;
        auto const* const raw = std::get_if<RawTensor>(&found->second);
        if (raw == nullptr) {
            auto const& what = std::get<NotPlain>(found->second).what;
            bool const has_no_values =
                what == "torch._utils._rebuild_meta_tensor_no_storage" ||
                what == "torch._export.serde.serialize._reconstruct_fake_tensor";
            if (has_no_values) return std::nullopt;
            throw InputError{zip.where(), "tensor \"" + name + "\" is no plain tensor but " + what,
                             "an export whose integer tensors are plain ones"};
        }
        auto const where = zip.where() + ":" + raw->entry;
        if (raw->layout.dtype != value.dtype || raw->layout.sizes != value.sizes ||
            raw->layout.strides.size() != value.sizes.size()) {
            throw InputError{where, "tensor \"" + name + "\" has another dtype or shape there",
                             "those of the graph"};
        }
        auto layout = raw->layout;
        layout.sizes = distinct_sizes(value);
        auto const range = storage_range(layout);
        if (!range) throw InputError{where, "tensor \"" + name + "\" is too large", "2^48 bytes"};
        auto const distinct = layout.element_count() * bytes_per_element(layout.dtype);
        if (range->count > size_limit || distinct > static_cast<std::int64_t>(size_limit)) {
            return std::nullopt;
        }
        if (range->count == 0) return std::vector<std::byte>{};
        auto const bytes = zip.read_part(raw->entry, range->first, range->count);
        bool const is_whole = bytes && bytes->size() == range->count;
        // A tensor of the meta device has an entry of no bytes.
        if (!is_whole && bytes && zip.read_part(raw->entry, 0, 1)->empty()) return std::nullopt;
        if (!is_whole) {
            throw InputError{where, "shorter than tensor \"" + name + "\"",
                             "all elements of the tensor"};
        }
        layout.storage_offset = 0;
        return gather_elements(*bytes, layout);
    }
    return std::nullopt;
}

}  // namespace derate
