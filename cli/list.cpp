#include <CLI/App.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/commands.hpp"
#include "cli/json_output.hpp"
#include "core/input_error.hpp"
#include "storage/fields.hpp"
#include "workloads/model_set.hpp"

namespace derate::cli {
namespace {

/// "any (FP32), any (BF16)"; of static exports "1 4 16 (FP32)".
std::string variants_of(CatalogueEntry const& entry) {
    std::map<std::string, std::set<std::string>> batches;
    for (auto const& file : entry.files) {
        batches[std::string{to_string(file.precision)}].insert(
            file.batch ? std::to_string(*file.batch) : "any");
    }
    std::string text;
    for (auto const precision : {"FP32", "BF16", "FP16"}) {
        auto const found = batches.find(precision);
        if (found == batches.end()) continue;
        if (!text.empty()) text += ", ";
        for (auto const& batch : found->second) text += batch + " ";
        text += "(" + found->first + ")";
    }
    return text;
}

ExitCode list_models(CommonFlags const& common) {
    auto const catalogue = read_catalogue(models_directory());
    if (common.json) {
        nlohmann::json all = nlohmann::json::array();
        for (auto const& entry : catalogue) {
            nlohmann::json files = nlohmann::json::array();
            for (auto const& file : entry.files) {
                files.push_back({{"batch", json_or_null(file.batch)},
                                 {"precision", to_string(file.precision)}});
            }
            all.push_back({{"model", entry.name},
                           {"family", entry.family},
                           {"role", to_string(entry.role)},
                           {"variants", files}});
        }
        print_json("output_list_models_v1.json", std::move(all));
        return exit_pass;
    }
    std::printf("%-20s %-14s %-12s %s\n", "model", "family", "role", "batch sizes (precision)");
    for (auto const& entry : catalogue) {
        std::printf("%-20s %-14s %-12s %s\n", entry.name.c_str(), entry.family.c_str(),
                    std::string{to_string(entry.role)}.c_str(), variants_of(entry).c_str());
    }
    return exit_pass;
}

}  // namespace

Run add_list(CLI::App& command) {
    auto const what = std::make_shared<std::string>();
    command.add_option("what", *what, "models or hardware");
    return [what](CommonFlags const& common) -> ExitCode {
        if (*what == "models") {
            if (!common.registries.empty()) {
                throw InputError{"--registry", "no registry holds models",
                                 "derate list hardware"};
            }
            return list_models(common);
        }
        if (*what == "hardware") return print_hardware(common);
        if (what->empty()) throw InputError{"list", "nothing is named", "models or hardware"};
        throw InputError{"list", "got '" + *what + "'", "models or hardware"};
    };
}

}  // namespace derate::cli
