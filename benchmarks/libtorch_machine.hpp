#pragma once
#include <map>
#include <memory>
#include <type_traits>

#include "benchmarks/runnable_model.hpp"
#include "benchmarks/timing_device.hpp"
#include "measuring/cannot_time.hpp"
#include "measuring/launch.hpp"
#include "measuring/plan.hpp"

namespace derate::benchmarks {

/// LibTorch as what a launch times: models in memory, isolated cases as Google Benchmark cases.
class LibTorchMachine : public TimedMachine {
  public:
    /// Both outlive this object.
    LibTorchMachine(Plan const& plan, TimingDevice& device) : plan_{plan}, device_{device} {}

    [[nodiscard]] std::int64_t now_ns() override { return monotonic_now_ns(); }
    void load_model(std::size_t model) override;
    void unload_model(std::size_t model) override { models_.erase(model); }
    [[nodiscard]] Repetition time_case(std::size_t index, RepetitionPolicy const& policy) override;
    [[nodiscard]] Repetition time_whole(std::size_t model,
                                        RepetitionPolicy const& policy) override {
        return on_usable_device(
            [&] { return take_repetition(models_.at(model)->whole(), policy); });
    }
    [[nodiscard]] InContextRun time_in_context(std::size_t model,
                                               RepetitionPolicy const& policy) override {
        return on_usable_device([&] { return models_.at(model)->time_in_context(policy); });
    }
    [[nodiscard]] double time_drift_probe(std::size_t probe) override {
        return on_usable_device([&] { return device_.time_drift_probe(probe); });
    }
    [[nodiscard]] std::vector<PeakResult> measure_peaks() override {
        return on_usable_device([&] { return device_.measure_peaks(); });
    }
    [[nodiscard]] Environment describe() override { return device_.describe(); }

  private:
    /// Ends the process where `work` failed and left no usable device: every later case would be
    /// recorded as failed. The campaign lays it to the case in flight and starts another process.
    template <class Work>
    std::invoke_result_t<Work const&> on_usable_device(Work const& work) {
        try {
            return work();
        } catch (CannotTime const& error) {
            if (device_.is_usable()) throw;
            end_without_device(error);
        }
    }
    [[noreturn]] static void end_without_device(CannotTime const& error);

    Plan const& plan_;
    TimingDevice& device_;
    std::map<std::size_t, std::unique_ptr<RunnableModel>> models_;
};

}  // namespace derate::benchmarks
