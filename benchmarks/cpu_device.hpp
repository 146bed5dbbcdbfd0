#pragma once
#include <memory>

#include "benchmarks/timing_device.hpp"
#include "core/precision.hpp"

namespace derate::benchmarks {

/// The processor that this program runs on, timed by CLOCK_MONOTONIC.
class CpuDevice : public TimingDevice {
  public:
    /// \param precision  of the peaks that are asked for
    explicit CpuDevice(Precision precision);

    [[nodiscard]] std::string name() const override { return "cpu"; }
    [[nodiscard]] double time_ms(std::function<void()> const& work) override;
    [[nodiscard]] std::vector<double> time_laps_ms(
        std::size_t count, std::function<void(std::size_t)> const& work) override;
    void evict(std::span<MemoryRange const> ranges) override;
    void rouse() override;
    [[nodiscard]] double time_drift_probe(std::size_t probe) override;
    [[nodiscard]] std::vector<PeakResult> measure_peaks() override;
    [[nodiscard]] Environment describe() override;

  private:
    Precision precision_;
    double clock_cost_ms_;  // of one reading
};

}  // namespace derate::benchmarks
