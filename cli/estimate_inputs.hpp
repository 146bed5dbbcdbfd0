#pragma once
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/commands.hpp"
#include "cli/dimension_flags.hpp"
#include "core/calibration.hpp"
#include "core/hardware.hpp"
#include "core/subgraph.hpp"
#include "core/warning.hpp"
#include "storage/registry.hpp"
#include "workloads/model_set.hpp"
#include "workloads/unknown_work.hpp"

namespace CLI {
class App;
}

namespace derate::cli {

struct EstimateFlags {
    std::string model;
    std::vector<std::string> hardware;
    std::optional<std::filesystem::path> calibration;
    DimensionFlags dimensions;
    std::optional<std::string> precision;
    std::optional<int> threads;
    std::optional<std::string> source;
    std::optional<std::string> allocator;
    std::optional<int> explain;
    std::optional<std::string> target;
    std::optional<std::filesystem::path> output;
    bool csv = false;
    bool ascii = false;
};

/// What prices a model: --hardware, --calibration, --precision, --threads, --source, --allocator.
void add_target_flags(CLI::App& command, EstimateFlags& flags);

/// What is to be priced, from an export or from a measurement file (whose times are not used).
struct ModelToPrice {
    std::string name;
    std::optional<int> batch;
    Precision precision = Precision::fp32;
    std::string partition;
    std::vector<Subgraph> subgraphs;
    std::vector<Warning> warnings;
    UnknownWork unknown;  ///< nothing in a measurement file: its kernels were timed
    std::vector<BoundDimension> dimensions{};  ///< of a symbolic export
    std::optional<Allocator> allocator{};  ///< that a measurement was taken under
};

/// What a model is priced with.
struct Target {
    std::string hardware_id;
    std::optional<Hardware> hardware;
    std::vector<Calibration> calibrations;     ///< one or more, best first
    std::vector<std::filesystem::path> files;  ///< of each of them
    PassedOver passed_over;                    ///< files beside them that could not be read
    /// Flags by which `derate validate` chooses the first of them too; empty: only its path does.
    std::string chosen_by;
};

/// \throws InputError  flags that do not go with the model
[[nodiscard]] ModelToPrice model_to_price(EstimateFlags const& flags);

/// The model of the flags as read from its file, for any sizes.
/// \throws InputError  no export
[[nodiscard]] SymbolicModel model_source(EstimateFlags const& flags);

/// That model at one size.
[[nodiscard]] ModelToPrice model_to_price(SymbolicModel const& source,
                                          RequestedDimensions const& dimensions,
                                          EstimateFlags const& flags);

/// The same with its subgraphs known already, and nothing asked of operators that the table does
/// not know.
[[nodiscard]] ModelToPrice model_to_price(SymbolicModel const& source,
                                          RequestedDimensions const& dimensions,
                                          EstimateFlags const& flags,
                                          std::span<Subgraph const> subgraphs);

/// What `--calibration` or each `--hardware` names, of it those calibrations that price the state
/// of malloc that is asked for.
///
/// \throws InputError  none is named, or one has nothing that prices such a run of the model
[[nodiscard]] std::vector<Target> targets_of(EstimateFlags const& flags, ModelToPrice const& model,
                                             CommonFlags const& common);

}  // namespace derate::cli
