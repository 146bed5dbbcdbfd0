#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/precision.hpp"
#include "workloads/exported_program.hpp"
#include "workloads/symbolic_program.hpp"

namespace derate {

/// What a shipped model is for.
enum class CatalogueRole {
    calibration,  ///< measured by `derate calibrate` unless told otherwise
    held_out,     ///< predicted and compared by `derate calibrate` unless told otherwise
    extra,        ///< there to be asked for
};
[[nodiscard]] std::string_view to_string(CatalogueRole role);

struct ModelFile {
    std::filesystem::path path;
    std::optional<int> batch{};  ///< of a static export; empty: any
    Precision precision = Precision::fp32;
};

struct CatalogueEntry {
    std::string name;    ///< "resnet18"
    std::string family;  ///< "resnet": models that share an architecture
    CatalogueRole role = CatalogueRole::extra;
    std::vector<ModelFile> files;  ///< one or more
    std::optional<std::int64_t> sequence{};  ///< length that is meant where nobody says one
    /// Other sizes that are meant then, by axis of an input: {"caches_0[2]", 128}.
    std::vector<std::pair<std::string, std::int64_t>> sizes{};

    /// Whether a file is of that batch and precision. \return  null: none is
    [[nodiscard]] ModelFile const* find(int batch, Precision precision) const;
};

inline constexpr std::array catalogued_batches{1, 4,
                                               16};  ///< that the shipped models are audited at

/// Where the shipped exports lie: the environment's DERATE_MODELS, the installed
/// share/derate/models, or the source tree that the program was built from. \throws InputError none
/// of them has a catalogue.json
[[nodiscard]] std::filesystem::path models_directory();

/// Reads `<directory>/catalogue.json`, in the order of the file.
/// \throws InputError
[[nodiscard]] std::vector<CatalogueEntry> read_catalogue(std::filesystem::path const& directory);

/// The shipped entry of that name.
/// \throws InputError  naming the nearest known model
[[nodiscard]] CatalogueEntry find_model(std::string_view name);

struct LoadedModel {
    std::string name;          ///< of the shipped model, or the file's name without ".pt2"
    std::string family;        ///< a user's file is a family of its own: its name
    std::optional<int> batch;  ///< empty when the inputs of a user's file share no first dimension
    Precision precision = Precision::fp32;
    std::filesystem::path file;
    ExportedProgram program;
    std::vector<BoundDimension> dimensions{};  ///< of a symbolic export
    std::vector<std::string> notes{};          ///< sentences about them
};

/// A model as read from its file, to be bound at several sizes.
struct SymbolicModel {
    std::string name;  ///< as LoadedModel has it, without sizes
    std::string family;
    std::filesystem::path file;
    SymbolicProgram program;
    RequestedDimensions defaults{};  ///< of a shipped model: batch 1, its lengths
};

/// Reads a shipped model by name, or a file, as load_model() does.
/// \param batch, precision  of a shipped model's static files; default 1 and FP32
/// \throws InputError
[[nodiscard]] SymbolicModel read_model(std::string_view name_or_file, std::optional<int> batch = {},
                                       std::optional<Precision> precision = {});

/// The model at one size.
/// \throws InputError  as load_model()
[[nodiscard]] LoadedModel at(SymbolicModel const& model, RequestedDimensions const& dimensions,
                             std::optional<Precision> precision = {});

/// Loads a shipped model by name, or a file: anything with a '/' or ending in ".pt2" or ".json.gz".
///
/// \param dimensions  a static file must agree; a symbolic one needs a value for each symbol, where
///                    a shipped model has defaults
/// \param precision   of a shipped model default FP32; a user's file must agree
/// \throws InputError  unknown name (with the nearest one), no such file, or a batch or precision
///                     that the model was not exported with (with the Python line that exports it)
[[nodiscard]] LoadedModel load_model(std::string_view name_or_file,
                                     RequestedDimensions const& dimensions,
                                     std::optional<Precision> precision = {});
[[nodiscard]] LoadedModel load_model(std::string_view name_or_file, std::optional<int> batch = {},
                                     std::optional<Precision> precision = {});

}  // namespace derate
