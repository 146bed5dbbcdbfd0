#include "workloads/pt2_archive.hpp"

#include <zip.h>

#include "core/input_error.hpp"

namespace derate {
namespace {

constexpr char const* how_to_export =
    "a file that torch.export.save wrote: "
    "torch.export.save(torch.export.export(model.eval(), args), \"m.pt2\")";

std::string message_of(int zip_code) {
    zip_error_t error;
    zip_error_init_with_code(&error, zip_code);
    std::string text = zip_error_strerror(&error);
    zip_error_fini(&error);
    return text;
}

}  // namespace

void Pt2Archive::Close::operator()(zip* archive) const { zip_discard(archive); }

Pt2Archive::Pt2Archive(std::filesystem::path const& file) : where_{file.string()} {
    int code = 0;
    archive_.reset(zip_open(where_.c_str(), ZIP_RDONLY, &code));
    if (!archive_) {
        throw InputError{where_, "damaged zip file: " + message_of(code), how_to_export};
    }

    constexpr std::string_view folder = "models/";
    constexpr std::string_view ending = ".json";
    auto const count = zip_get_num_entries(archive_.get(), 0);
    bool found = false;
    bool old_format = false;
    for (zip_int64_t i = 0; i < count; ++i) {
        char const* raw = zip_get_name(archive_.get(), static_cast<zip_uint64_t>(i), 0);
        if (raw == nullptr) continue;
        std::string_view const name = raw;
        old_format |= name.ends_with("serialized_exported_program.json");
        auto const at = name.find(folder);
        bool const at_root = at == 0 || (at != std::string_view::npos && name[at - 1] == '/' &&
                                         name.find('/') == at - 1);
        if (!at_root || !name.ends_with(ending)) continue;
        auto const model =
            name.substr(at + folder.size(), name.size() - at - folder.size() - ending.size());
        if (model.empty() || model.find('/') != std::string_view::npos) continue;
        if (found) {
            throw InputError{where_, "holds several exported programs", "one program a file"};
        }
        found = true;
        root_ = name.substr(0, at);
        model_ = model;
    }
    if (!found && old_format) {
        throw InputError{where_, "was written by PyTorch 2.6 or earlier",
                         "an export by PyTorch 2.7 or later"};
    }
    if (!found) throw InputError{where_, "zip without an exported program", how_to_export};
}

Pt2Archive::~Pt2Archive() = default;

std::string Pt2Archive::read_graph(std::size_t size_limit) const {
    auto text = read_entry(root_ + "models/" + model_ + ".json", size_limit);
    if (!text) throw InputError{where_, "zip without an exported program", how_to_export};
    return *std::move(text);
}

std::string Pt2Archive::read_payload_config(std::string_view folder, std::size_t size_limit) const {
    std::string const name{folder};
    return read_entry(root_ + "data/" + name + "/" + model_ + "_" + name + "_config.json",
                      size_limit)
        .value_or("");
}

std::optional<std::string> Pt2Archive::read_payload(std::string_view folder, std::string_view file,
                                                    std::size_t size_limit) const {
    auto const name = root_ + "data/" + std::string{folder} + "/" + std::string{file};
    zip_stat_t status;
    if (zip_stat(archive_.get(), name.c_str(), 0, &status) != 0) return std::nullopt;
    if ((status.valid & ZIP_STAT_SIZE) != 0 && status.size > size_limit) return std::nullopt;
    return read_entry(name, size_limit);
}

std::optional<std::string> Pt2Archive::read_entry(std::string const& name,
                                                  std::size_t size_limit) const {
    auto const index = zip_name_locate(archive_.get(), name.c_str(), 0);
    if (index < 0) return std::nullopt;
    auto const refuse_size = [&] {
        throw InputError{where_ + ":" + name,
                         "expands to more than " + std::to_string(size_limit >> 20) + " MiB",
                         "an exported program of at most that"};
    };
    struct CloseFile {
        void operator()(zip_file_t* file) const { zip_fclose(file); }
    };
    std::unique_ptr<zip_file_t, CloseFile> const file{
        zip_fopen_index(archive_.get(), static_cast<zip_uint64_t>(index), 0)};
    if (!file) {
        throw InputError{where_ + ":" + name, zip_strerror(archive_.get()), "a readable entry"};
    }
    // The directory may state any size: what counts is what comes out.
    std::string text;
    char chunk[1 << 16];
    for (;;) {
        auto const got = zip_fread(file.get(), chunk, sizeof chunk);
        if (got < 0) {
            throw InputError{where_ + ":" + name,
                             "damaged zip entry: " + std::string{zip_file_strerror(file.get())},
                             "an undamaged file"};
        }
        if (got == 0) return text;
        text.append(chunk, static_cast<std::size_t>(got));
        if (text.size() > size_limit) refuse_size();
    }
}

}  // namespace derate
