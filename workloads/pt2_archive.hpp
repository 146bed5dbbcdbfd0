#pragma once
#include <cstddef>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "workloads/exported_program.hpp"
#include "workloads/pickle.hpp"
#include "workloads/zip_archive.hpp"

namespace derate {

/// The zip that torch.export.save writes, in any of its layouts:
///
/// - PyTorch 2.6 and 2.7: `serialized_exported_program.json`, its tensors in
///   `serialized_state_dict.pt` and `serialized_constants.pt`;
/// - 2.8: `ROOT/models/NAME.json`, `ROOT/data/weights/NAME.pt`, `ROOT/data/constants/NAME.pt`;
/// - 2.9 and on: `ROOT/models/NAME.json`, raw bytes beside it, and whose they are in
///   `ROOT/data/weights/NAME_weights_config.json` and its like of the constants.
///
/// A .pt is a zip of its own, as torch.save writes it.
class Pt2Archive {
  public:
    /// \throws InputError  not a zip, damaged, or without an exported program
    explicit Pt2Archive(std::filesystem::path const& file);

    /// \throws InputError  longer than `size_limit`, or damaged
    [[nodiscard]] std::string read_graph(std::size_t size_limit) const;

    /// The elements of one parameter, buffer or constant, as ExportedProgram::constants holds them.
    ///
    /// \param name   of the tensor in the module
    /// \param value  the tensor as the graph knows it
    /// \return       empty where the file holds no values (a model on the meta device) or more than
    ///               `size_limit` bytes would be read
    /// \throws InputError  damaged, or not the tensor that the graph knows
    [[nodiscard]] std::optional<std::vector<std::byte>> read_elements(std::string const& name,
                                                                      TensorValue const& value,
                                                                      std::size_t size_limit);

  private:
    /// A tensor whose bytes are an entry of their own.
    struct RawTensor {
        std::string entry;
        TensorValue layout;
    };
    using StoredTensor = std::variant<RawTensor, NotPlain>;

    /// What the file says of the tensors of one folder, "weights" or "constants".
    struct Folder {
        std::map<std::string, StoredTensor> tensors;
        std::optional<ZipArchive> saved;  ///< what holds the entries; empty: the archive itself
    };

    [[nodiscard]] Folder read_folder(std::string const& folder, std::string const& saved) const;
    [[nodiscard]] StoredTensor raw_tensor(nlohmann::json const& meta,
                                          std::string const& where) const;

    ZipArchive archive_;
    std::string graph_;  ///< name of its entry
    std::string root_;   ///< folder that holds everything, with its '/', or empty
    std::string model_;  ///< name of the program, "model" unless its author chose another
    std::optional<std::vector<Folder>> folders_;  ///< read when the first tensor is asked for
};

}  // namespace derate
