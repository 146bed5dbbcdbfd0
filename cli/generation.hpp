#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/estimate_breakdown.hpp"
#include "cli/estimate_inputs.hpp"
#include "workloads/decoder_dimensions.hpp"

namespace derate::cli {

struct GenerationFlags {
    EstimateFlags pricing;  ///< model, sizes and what a sweep draws are not in it
    std::string model;      ///< a shipped pair; else:
    std::string prefill;
    std::string decode;
    std::int64_t prompt = 0;                   ///< tokens
    std::int64_t new_tokens = 0;               ///< that are generated, the first by the prefill
    std::optional<int> batch;                  ///< sequences at once
    std::optional<std::int64_t> cache_length;  ///< allocated entries
    std::optional<std::string> prompt_dimension;
    std::optional<std::string> cache_dimension;
    std::vector<std::string> named;  ///< "NAME=VALUE"
};

/// A time in ms with its 95 % interval; no limits: not known.
struct GenerationTime {
    double ms = 0;
    std::optional<std::pair<double, double>> limits_ms{};
};

/// The prefill, or one decode step.
struct GenerationCall {
    std::int64_t keys = 0;  ///< entries of the cache that it attends to, its own among them
    GenerationTime time;
    double attention_share = 0;  ///< of the time
    std::string bound;           ///< what takes most of the time
    std::vector<std::string> notes;
    double steps =
        1;  ///< that it stands for: more than itself where lengths between are not priced
};

/// How many keys a step attends to.
enum class CacheUse {
    as_filled,  ///< those there are, one more each step
    allocated,  ///< all that the user says were allocated
    fixed       ///< all that the export has
};
[[nodiscard]] char const* name_of(CacheUse use);

/// What generating takes on one target.
struct Generation {
    std::string model;
    Precision precision = Precision::fp32;
    std::int64_t prompt = 0;
    std::int64_t new_tokens = 0;
    std::int64_t sequences = 1;
    CacheUse cache = CacheUse::as_filled;
    GenerationCall first_token;
    std::vector<GenerationCall> steps;  ///< by growing cache; one where all are alike
    GenerationTime token;               ///< mean of all steps
    GenerationTime total;               ///< first token and all steps
    std::vector<Warning> warnings;      ///< each kind once for the prefill, once for the steps
    std::vector<UsedCalibration> calibrations;  ///< that priced the prefill or the first step
};

/// Of all new_tokens - 1 steps.
///
/// Times add, and so do their limits, which is what limits of errors that go together do: a step is
/// the one before it with one key more, priced by the same curves at nearly the same places, so
/// that nothing of their errors averages out. Lengths between two priced ones lie on the line
/// through these.
///
/// \param steps  one or more
[[nodiscard]] GenerationTime sum_of(std::vector<GenerationCall> const& steps);

/// Which of `count` steps are priced: all, or `most` of them, evenly spaced with both ends; each
/// with how many steps it stands for, which add to `count`.
/// \param count  1 or more  \param most  2 or more
[[nodiscard]] std::vector<std::pair<std::int64_t, double>> priced_steps(std::int64_t count,
                                                                        std::int64_t most);

/// Prefill and decode step, read once.
class Decoder {
  public:
    /// \param flags  outlive this object
    /// \throws InputError  no such export, sizes that are none
    explicit Decoder(GenerationFlags const& flags);

    [[nodiscard]] std::string const& name() const { return name_; }
    /// \throws InputError  the export takes no such prompt
    [[nodiscard]] ModelToPrice prefill() const;
    /// \param index  of the step, 0 for that which makes the second token
    /// \throws InputError  the export is no decode step, or its cache is too short
    [[nodiscard]] ModelToPrice step(std::int64_t index) const;

    [[nodiscard]] CacheUse cache() const;
    [[nodiscard]] std::int64_t steps() const { return flags_.new_tokens - 1; }
    [[nodiscard]] std::int64_t sequences() const;

  private:
    struct Export {
        EstimateFlags flags;
        SymbolicModel source;
        DecoderDimensions dimensions;
    };
    [[nodiscard]] Export read(std::string const& name) const;
    [[nodiscard]] ModelToPrice bound(Export const& part, std::int64_t tokens,
                                     std::int64_t cache_entries) const;
    void refuse_unknown_names() const;

    GenerationFlags const& flags_;
    std::string name_;
    Export prefill_;
    Export decode_;
};

/// \param first  the prefill
[[nodiscard]] Generation generated(Decoder const& decoder, GenerationFlags const& flags,
                                   Target const& target, ModelToPrice const& first);

}  // namespace derate::cli
