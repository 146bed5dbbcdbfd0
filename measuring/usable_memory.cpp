#include "measuring/usable_memory.hpp"

#include <algorithm>
#include <fstream>
#include <string>

#include "measuring/control_groups.hpp"

namespace derate {

double usable_memory_bytes(std::filesystem::path const& root) {
    double free_bytes = 8e9;
    std::ifstream file{root / "proc/meminfo"};
    std::string name;
    double kibibytes = 0;
    for (std::string unit; file >> name >> kibibytes; std::getline(file, unit)) {
        if (name == "MemAvailable:") free_bytes = kibibytes * 1024;
    }
    if (auto const left = free_group_memory_bytes(root)) free_bytes = std::min(free_bytes, *left);
    return free_bytes / 2;
}

}  // namespace derate
