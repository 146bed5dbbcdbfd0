#include "benchmarks/bench_program.hpp"
#include "benchmarks/cuda_device.hpp"

int main(int argc, char** argv) {
    return derate::benchmarks::bench_program(argc, argv, derate::benchmarks::make_cuda_device);
}
