#include "workloads/zip_archive.hpp"

#include <zip.h>

#include <algorithm>

#include "core/input_error.hpp"

namespace derate {
namespace {

struct CloseEntry {
    void operator()(zip_file_t* entry) const { zip_fclose(entry); }
};
using Entry = std::unique_ptr<zip_file_t, CloseEntry>;

std::string message_of(zip_error_t& error) {
    std::string text = zip_error_strerror(&error);
    zip_error_fini(&error);
    return text;
}

[[noreturn]] void refuse_archive(std::string const& where, std::string const& reason) {
    throw InputError{where, "damaged zip file: " + reason,
                     "a file that torch.export.save wrote: "
                     "torch.export.save(torch.export.export(model.eval(), args), \"m.pt2\")"};
}

bool is_stored(zip_stat_t const& status) {
    return (status.valid & ZIP_STAT_COMP_METHOD) != 0 && status.comp_method == ZIP_CM_STORE;
}

/// What is stored is as long as it was: libzip 1.7.3 reads past the end of its buffers where the
/// directory says otherwise.
void refuse_unequal_sizes(zip_t* archive, zip_uint64_t index, std::string const& where) {
    zip_stat_t status;
    if (zip_stat_index(archive, index, 0, &status) != 0) return;  // the read says what is wrong
    bool const has_sizes = (status.valid & ZIP_STAT_SIZE) != 0 &&
                           (status.valid & ZIP_STAT_COMP_SIZE) != 0;
    if (is_stored(status) && has_sizes && status.size != status.comp_size) {
        refuse_archive(where, "an uncompressed entry has two sizes");
    }
}

/// Null when there is no such entry.
Entry open_entry(zip_t* archive, std::string const& where, std::string const& name) {
    auto const index = zip_name_locate(archive, name.c_str(), 0);
    if (index < 0) return nullptr;
    refuse_unequal_sizes(archive, static_cast<zip_uint64_t>(index), where + ":" + name);
    Entry entry{zip_fopen_index(archive, static_cast<zip_uint64_t>(index), 0)};
    if (!entry) throw InputError{where + ":" + name, zip_strerror(archive), "a readable entry"};
    return entry;
}

/// What comes out of the entry, at most `count` bytes. The directory may state any size: nothing is
/// set aside for it.
std::string take(zip_file_t* entry, std::string const& where, std::uint64_t count) {
    std::string bytes;
    char chunk[1 << 16];
    while (bytes.size() < count) {
        auto const wanted = std::min<std::uint64_t>(sizeof chunk, count - bytes.size());
        auto const got = zip_fread(entry, chunk, wanted);
        if (got < 0) {
            throw InputError{where, "damaged zip entry: " + std::string{zip_file_strerror(entry)},
                             "an undamaged file"};
        }
        if (got == 0) break;
        bytes.append(chunk, static_cast<std::size_t>(got));
    }
    return bytes;
}

}  // namespace

void ZipArchive::Close::operator()(zip* archive) const { zip_discard(archive); }

ZipArchive::ZipArchive(std::filesystem::path const& file) : where_{file.string()} {
    int code = 0;
    archive_.reset(zip_open(where_.c_str(), ZIP_RDONLY, &code));
    if (archive_) return;
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    refuse_archive(where_, message_of(error));
}

std::vector<std::string> ZipArchive::names() const {
    std::vector<std::string> names;
    auto const count = zip_get_num_entries(archive_.get(), 0);
    for (zip_int64_t i = 0; i < count; ++i) {
        char const* const name = zip_get_name(archive_.get(), static_cast<zip_uint64_t>(i), 0);
        if (name != nullptr) names.emplace_back(name);
    }
    return names;
}

std::optional<std::string> ZipArchive::read(std::string const& name, std::size_t size_limit) const {
    auto const entry = open_entry(archive_.get(), where_, name);
    if (!entry) return std::nullopt;
    auto text = take(entry.get(), where_ + ":" + name, size_limit + 1);
    if (text.size() > size_limit) {
        throw InputError{where_ + ":" + name,
                         "expands to more than " + std::to_string(size_limit >> 20) + " MiB",
                         "an exported program of at most that"};
    }
    return text;
}

std::optional<std::string> ZipArchive::read_part(std::string const& name, std::uint64_t first,
                                                 std::size_t count) const {
    auto const entry = open_entry(archive_.get(), where_, name);
    if (!entry) return std::nullopt;
    zip_stat_t status;
    if (zip_stat(archive_.get(), name.c_str(), 0, &status) != 0 ||
        (status.valid & ZIP_STAT_SIZE) == 0 || first >= status.size) {
        return "";
    }
    if (is_stored(status)) {
        if (zip_fseek(entry.get(), static_cast<zip_int64_t>(first), SEEK_SET) != 0) return "";
    } else {
        for (auto left = first; left > 0;) {
            auto const skipped =
                take(entry.get(), where_ + ":" + name, std::min<std::uint64_t>(left, 1 << 20));
            if (skipped.empty()) return "";
            left -= skipped.size();
        }
    }
    return take(entry.get(), where_ + ":" + name, count);
}

std::optional<ZipArchive> ZipArchive::open_nested(std::string const& name) const {
    auto const index = zip_name_locate(archive_.get(), name.c_str(), 0);
    if (index < 0 || read_part(name, 0, 1)->empty()) return std::nullopt;
    auto const where = where_ + ":" + name;
    zip_stat_t status;
    if (zip_stat_index(archive_.get(), static_cast<zip_uint64_t>(index), 0, &status) != 0 ||
        !is_stored(status)) {
        throw InputError{where, "is compressed", "the file as torch.export.save wrote it"};
    }
    zip_source_t* const source =
        zip_source_zip(archive_.get(), archive_.get(), static_cast<zip_uint64_t>(index), 0, 0, -1);
    if (source == nullptr) refuse_archive(where, zip_strerror(archive_.get()));
    zip_error_t error;
    zip_error_init(&error);
    zip_t* const nested = zip_open_from_source(source, ZIP_RDONLY, &error);
    if (nested == nullptr) {
        zip_source_free(source);
        refuse_archive(where, message_of(error));
    }
    zip_error_fini(&error);
    return ZipArchive{where, nested};
}

}  // namespace derate
