#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct zip;

namespace derate {

/// A zip file, read entry by entry: opening costs its directory only.
class ZipArchive {
  public:
    /// \throws InputError  not a zip, or damaged
    explicit ZipArchive(std::filesystem::path const& file);

    [[nodiscard]] std::string const& where() const { return where_; }
    [[nodiscard]] std::vector<std::string> names() const;

    /// A whole entry; empty when there is none of that name.
    /// \throws InputError  longer than `size_limit`, or damaged
    [[nodiscard]] std::optional<std::string> read(std::string const& name,
                                                  std::size_t size_limit) const;

    /// `count` bytes of an entry from byte `first` on, fewer where it ends before; empty when there
    /// is none of that name. What lies before `first` is skipped unread in an uncompressed entry.
    [[nodiscard]] std::optional<std::string> read_part(std::string const& name, std::uint64_t first,
                                                       std::size_t count) const;

    /// An entry that is itself a zip, not compressed in this one. It must not outlive this one.
    /// Empty when there is none of that name, or an empty one. \throws InputError  damaged
    [[nodiscard]] std::optional<ZipArchive> open_nested(std::string const& name) const;

  private:
    struct Close {
        void operator()(zip* archive) const;
    };

    ZipArchive(std::string where, zip* archive) : where_{std::move(where)}, archive_{archive} {}

    std::string where_;
    std::unique_ptr<zip, Close> archive_;
};

}  // namespace derate
