#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "measuring/environment.hpp"
#include "measuring/launch.hpp"

namespace derate::benchmarks {

/// Bytes of memory that a case reads, as the device addresses them.
struct MemoryRange {
    void const* begin = nullptr;
    std::size_t bytes = 0;
};

/// Where operators run and how they are timed there: a processor by its clock, a GPU by events on
/// the stream that does the work.
class TimingDevice {
  public:
    virtual ~TimingDevice() = default;

    [[nodiscard]] virtual std::string name() const = 0;  ///< as LibTorch calls it: "cpu", "cuda"

    /// Time of one call of `work`, ms, > 0, without the cost of reading the clock.
    [[nodiscard]] virtual double time_ms(std::function<void()> const& work) = 0;

    /// Times of work(0), work(1), ... run one after another, ms each, >= 0.
    [[nodiscard]] virtual std::vector<double> time_laps_ms(
        std::size_t count, std::function<void(std::size_t)> const& work) = 0;

    /// Takes these ranges out of every cache.
    virtual void evict(std::span<MemoryRange const> ranges) = 0;

    /// Brings the device to the state it has in the middle of a model: threads awake, clocks up.
    virtual void rouse() = 0;

    /// False after a failure that every later call would meet again: on a GPU an illegal access
    /// leaves the whole process without a device.
    [[nodiscard]] virtual bool is_usable() { return true; }

    [[nodiscard]] virtual double time_drift_probe(std::size_t probe) = 0;  ///< ms
    [[nodiscard]] virtual std::vector<PeakResult> measure_peaks() = 0;
    [[nodiscard]] virtual Environment describe() = 0;
};

[[nodiscard]] std::int64_t monotonic_now_ns();

}  // namespace derate::benchmarks
