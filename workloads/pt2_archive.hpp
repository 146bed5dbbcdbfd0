#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct zip;

namespace derate {

/// The zip that torch.export.save writes, read entry by entry: opening costs its directory only.
class Pt2Archive {
  public:
    /// \throws InputError  not a zip, damaged, or without an exported program
    explicit Pt2Archive(std::filesystem::path const& file);
    ~Pt2Archive();
    Pt2Archive(Pt2Archive const&) = delete;
    Pt2Archive& operator=(Pt2Archive const&) = delete;

    /// The graph: `models/<name>.json`. \throws InputError  longer than `size_limit`, or damaged
    [[nodiscard]] std::string read_graph(std::size_t size_limit) const;

    /// What maps tensor names to files, `data/<folder>/<name>_<folder>_config.json` for the folders
    /// "weights" and "constants"; empty when the archive has none.
    [[nodiscard]] std::string read_payload_config(std::string_view folder,
                                                  std::size_t size_limit) const;

    /// The raw bytes of one tensor; empty when it is not there or longer than `size_limit`.
    [[nodiscard]] std::optional<std::string> read_payload(std::string_view folder,
                                                          std::string_view file,
                                                          std::size_t size_limit) const;

  private:
    struct Close {
        void operator()(zip* archive) const;
    };

    /// \return empty when there is no such entry
    [[nodiscard]] std::optional<std::string> read_entry(std::string const& name,
                                                        std::size_t size_limit) const;

    std::string where_;
    std::unique_ptr<zip, Close> archive_;
    std::string root_;   ///< folder that holds everything, with its '/', or empty
    std::string model_;  ///< name of the program, "model" unless its author chose another
};

}  // namespace derate
