#pragma once
#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "storage/file.hpp"
#include "workloads/symbolic_program.hpp"

namespace derate {

/// Graphs of workloads/testdata/make_symbolic_graphs.py (PyTorch 2.15.0), by name.
inline nlohmann::json const& symbolic_graphs() {
    static auto const all = [] {
        auto const file = std::filesystem::path{DERATE_TEST_DATA} / "symbolic_graphs.json.gz";
        constexpr std::size_t limit = std::size_t{64} << 20;
        return nlohmann::json::parse(gzip_expand(read_text(file, limit), file.string(), limit));
    }();
    return all;
}

inline SymbolicProgram symbolic_graph(std::string const& name) {
    return parse_symbolic_program(symbolic_graphs().at(name).at("symbolic").dump(), name);
}

}  // namespace derate
