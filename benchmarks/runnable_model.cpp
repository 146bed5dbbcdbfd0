#include "benchmarks/runnable_model.hpp"

#include <utility>

#include "benchmarks/eager_model.hpp"

namespace derate::benchmarks {

std::unique_ptr<RunnableModel> make_runnable(Backend backend, ExportedProgram program,
                                             std::vector<int> const& subgraphs, std::uint64_t seed,
                                             TimingDevice& device, Extent extent) {
    switch (backend) {
        case Backend::eager:
            return std::make_unique<EagerModel>(std::move(program), subgraphs, seed, device,
                                                extent);
    }
    return nullptr;
}

}  // namespace derate::benchmarks
