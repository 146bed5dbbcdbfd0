#include "benchmarks/bench_program.hpp"
#include "benchmarks/cpu_device.hpp"

int main(int argc, char** argv) {
    return derate::benchmarks::bench_program(argc, argv, [](derate::Precision precision) {
        return std::make_unique<derate::benchmarks::CpuDevice>(precision);
    });
}
