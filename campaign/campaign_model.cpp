#include <utility>

#include "campaign/campaign_settings.hpp"
#include "core/input_error.hpp"
#include "workloads/partition.hpp"

namespace derate {
namespace {

/// The shipped file of single kernels; its inputs share no batch, and the whole of it means
/// nothing. A user's file of such a name is a model like any other.
bool is_probe_file(std::filesystem::path const& file) {
    std::error_code error;
    return file.filename().string().starts_with("probes_b") &&
           std::filesystem::equivalent(std::filesystem::absolute(file).parent_path(),
                                       models_directory(), error);
}

double bytes_of_tensors(ExportedProgram const& program) {
    double total = 0;
    for (auto const& value : program.values) {
        total += static_cast<double>(value.element_count()) *
                 static_cast<double>(bytes_per_element(value.dtype));
    }
    return total;
}

}  // namespace

CampaignModel campaign_model(LoadedModel const& loaded, Backend backend) {
    bool const probes = is_probe_file(loaded.file);
    CampaignModel model{.name = loaded.name,
                        .family = loaded.family,
                        .batch = loaded.batch,
                        .precision = loaded.precision,
                        .file = std::filesystem::absolute(loaded.file),
                        .dimensions = loaded.dimensions,
                        .tensor_bytes = bytes_of_tensors(loaded.program)};
    if (probes) {
        model.name = "probes";
        model.family = "probe";
        model.in_context = false;
        model.whole = false;
    }
    for (auto& part : partition(loaded.program, backend).subgraphs) {
        model.subgraphs.push_back(std::move(part.subgraph));
    }
    if (model.subgraphs.empty()) {
        throw InputError{loaded.file.string(), "it calls no operator: there is nothing to time",
                         "a model that computes"};
    }
    return model;
}

}  // namespace derate
