// usage: price_model CURVES.json MODEL      prints the latency of MODEL and its 95 % interval
#include <cstdio>
#include <vector>

#include "estimator/compiled_calibration.hpp"
#include "estimator/prepared_model.hpp"
#include "storage/calibration_files.hpp"
#include "workloads/model_set.hpp"
#include "workloads/partition.hpp"

int main(int, char** argv) {
    auto const calibration = derate::read_calibration(argv[1]);
    derate::CompiledCalibration const curves{calibration};
    auto const cut = derate::partition(derate::load_model(argv[2]).program,
                                       calibration.condition.execution.backend);
    std::vector<derate::Subgraph> subgraphs;
    for (auto const& part : cut.subgraphs) subgraphs.push_back(part.subgraph);
    auto const latency = derate::estimate(curves, derate::prepare(curves, subgraphs, cut.rule));
    std::printf("%.3f ms, 95 %%: %.3f to %.3f ms\n", latency.latency_ms, latency.ci_95_lower_ms,
                latency.ci_95_upper_ms);
}
