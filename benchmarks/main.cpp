#include <iostream>

#include "benchmarks/library_facts.hpp"

int main() {
    auto const f = derate::benchmarks::library_facts();
    std::cout << f.libtorch_version << '\n'
              << f.cpu_capability << '\n'
              << f.mkl_version.value_or("?") << '\n'
              << f.onednn_version.value_or("?") << '\n'
              << f.parallel_settings << '\n';
    for (auto const& l : f.libraries) std::cout << l.name << ' ' << l.path << '\n';
}
