#include "benchmarks/seeded_tensors.hpp"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_strided.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <stdexcept>

#include "benchmarks/scalar_types.hpp"
#include "measuring/cannot_time.hpp"
#include "workloads/input_values.hpp"

namespace derate::benchmarks {
namespace {

constexpr double irwin_hall_variance = 1431655765.0;  // of a sum of four uniforms on 0..65535
constexpr std::int32_t irwin_hall_mean = 131070;
constexpr std::int32_t one_in_tenth_deviations = 378372;

// Every element of every weight goes through here, some 10^9 of them in a launch.
__attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"))) void
fill_normal_elements(float* values, std::size_t count, std::uint64_t state, std::int32_t offset,
                     float scale) {
    for (std::size_t i = 0; i < count; ++i) {
        std::uint64_t z = state + (i + 1) * 0x9E3779B97F4A7C15U;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
        z ^= z >> 31;
        auto const sum = static_cast<std::int32_t>((z & 0xFFFF) + (z >> 16 & 0xFFFF) +
                                                   (z >> 32 & 0xFFFF) + (z >> 48));
        values[i] = static_cast<float>(sum - irwin_hall_mean + offset) * scale;
    }
}

struct Distribution {
    std::int32_t offset = 0;
    float scale = 1;
};

Distribution distribution_of(ProgramInput const& input, TensorValue const& tensor) {
    auto const scaled = [](double r, double f) {
        return static_cast<float>(r / std::sqrt(irwin_hall_variance * f));
    };
    if (input.kind == InputKind::user_input) return {.offset = 0, .scale = scaled(1, 1)};
    if (tensor.sizes.size() >= 2) {
        auto const fan_in =
            std::accumulate(tensor.sizes.begin() + 1, tensor.sizes.end(), 1.0, std::multiplies<>{});
        return {.offset = 0, .scale = scaled(1, fan_in)};
    }
    auto const part = input.name.substr(input.name.rfind('.') + 1);
    bool const is_factor = part == "weight" || part == "running_var";
    return {.offset = is_factor ? one_in_tenth_deviations : 0, .scale = scaled(0.1, 1)};
}

/// Calls `fill(first, count)` for pieces of 0..count - 1, on the threads that the timing uses.
template <class Fill>
void in_pieces(std::int64_t count, Fill const& fill) {
    constexpr std::int64_t grain = 1 << 16;
    at::parallel_for(0, count, grain,
                     [&](std::int64_t begin, std::int64_t end) { fill(begin, end - begin); });
}

/// Least and greatest value of an element, by its row-major place.
class Bounds {
  public:
    Bounds(InputValues const& values, TensorValue const& tensor)
        : values_{values}, sizes_{tensor.sizes} {}

    [[nodiscard]] double low(std::int64_t i) const { return values_.low[place(i)]; }
    [[nodiscard]] double high(std::int64_t i) const { return values_.high[place(i)]; }

  private:
    [[nodiscard]] std::size_t place(std::int64_t i) const {
        auto const& shape = values_.bounds_shape;
        std::int64_t place = 0;
        std::int64_t step = 1;
        for (std::size_t back = 1; back <= std::min(shape.size(), sizes_.size()); ++back) {
            auto const own = sizes_[sizes_.size() - back];
            auto const extent = shape[shape.size() - back];
            if (extent != 1) place += i % own * step;
            step *= extent;
            i /= own;
        }
        return static_cast<std::size_t>(place);
    }

    InputValues const& values_;
    std::vector<std::int64_t> const& sizes_;
};

/// Value of an integer or boolean input at row-major position `i`.
class IntegerValues {
  public:
    IntegerValues(InputValues const& values, TensorValue const& tensor, SeededValues const& seeded)
        : values_{values},
          seeded_{seeded},
          bounds_{values, tensor},
          count_{tensor.element_count()},
          columns_{tensor.sizes.empty() ? 1 : std::max<std::int64_t>(tensor.sizes.back(), 1)},
          rows_{tensor.sizes.size() < 2 ? 1
                                        : std::max<std::int64_t>(*(tensor.sizes.end() - 2), 1)} {}

    [[nodiscard]] std::int64_t operator()(std::int64_t i) const {
        auto const column = i % columns_;
        auto const row = i / columns_;
        switch (values_.pattern) {
            case ValuePattern::normal:
            case ValuePattern::smooth:
                break;  // of floating-point numbers
            case ValuePattern::spread:
                return low(i) + random_below(i, high(i) - low(i) + 1);
            case ValuePattern::ascending:
                return low(0) + column;
            case ValuePattern::offsets: {
                auto const steps = values_.total > 0 ? columns_ - 1 : columns_;
                return high(0) * column / std::max<std::int64_t>(steps, 1);
            }
            case ValuePattern::lengths:
                return length(i);
            case ValuePattern::causal:
                return flag(column <= row % rows_);
            case ValuePattern::padding:
                return flag(columns_ == 1 ||
                            column < columns_ - 1 - random_below(row, columns_ / 2));
            case ValuePattern::halves:
                return flag(columns_ > 1 ? column < (columns_ + 1) / 2 : i < (count_ + 1) / 2);
        }
        throw std::logic_error{"value pattern out of range"};
    }

  private:
    [[nodiscard]] std::int64_t low(std::int64_t i) const {
        return static_cast<std::int64_t>(bounds_.low(i));
    }
    [[nodiscard]] std::int64_t high(std::int64_t i) const {
        return static_cast<std::int64_t>(bounds_.high(i));
    }
    [[nodiscard]] std::int64_t random_below(std::int64_t i, std::int64_t bound) const {
        return static_cast<std::int64_t>(seeded_.bits(static_cast<std::uint64_t>(i)) %
                                         static_cast<std::uint64_t>(bound));
    }
    [[nodiscard]] std::int64_t flag(bool is_kept) const {
        return is_kept != values_.inverted ? 1 : 0;
    }
    [[nodiscard]] std::int64_t length(std::int64_t i) const {
        auto const longest = high(0);
        if (values_.total == 0) {
            auto const span = longest - low(0);
            return longest - span * i / std::max<std::int64_t>(count_ - 1, 1);
        }
        // The first is the longest, the others share what it leaves.
        auto const first = std::min(longest, values_.total - (count_ - 1));
        if (i == 0) return first;
        auto const left = values_.total - first;
        return left / (count_ - 1) + (i - 1 < left % (count_ - 1) ? 1 : 0);
    }

    InputValues const& values_;
    SeededValues const& seeded_;
    Bounds bounds_;
    std::int64_t count_;
    std::int64_t columns_;
    std::int64_t rows_;
};

/// A low-frequency field with a little noise on it, as images are: nodes of a coarse lattice in all
/// dimensions but the first (at most the last four), linear between them. In integers up to the
/// last step, so that C++ and Python agree.
class SmoothField {
  public:
    SmoothField(TensorValue const& tensor, std::string const& name)
        : sizes_{tensor.sizes},
          noise_{name},
          first_{
              std::max<std::size_t>(1, sizes_.size() - std::min<std::size_t>(sizes_.size(), 4))} {
        std::int64_t nodes = 1;
        for (std::size_t d = 0; d < sizes_.size(); ++d) {
            lattice_.push_back(d < first_ ? sizes_[d] : sizes_[d] / cell + 2);
            nodes *= lattice_.back();
        }
        SeededValues const seeded{name + "~field"};
        nodes_.resize(static_cast<std::size_t>(nodes));
        for (std::size_t i = 0; i < nodes_.size(); ++i) nodes_[i] = irwin_hall(seeded.bits(i));
        auto const dimensions = static_cast<double>(sizes_.size() - first_);
        unit_ = std::int64_t{1} << (4 * (sizes_.size() - first_));
        auto const unit = static_cast<double>(unit_);
        scale_ = static_cast<float>(
            1 / (unit * std::sqrt(irwin_hall_variance *
                                  (std::pow(2.0 / 3.0, dimensions) + noise_share * noise_share))));
    }

    void fill(std::span<float> values, std::int64_t first) const {
        for (std::size_t i = 0; i < values.size(); ++i) {
            values[i] = at(first + static_cast<std::int64_t>(i));
        }
    }

  private:
    static constexpr std::int64_t cell = 16;
    static constexpr double noise_share = 1.0 / 16;

    static std::int64_t irwin_hall(std::uint64_t z) {
        return static_cast<std::int64_t>((z & 0xFFFF) + (z >> 16 & 0xFFFF) + (z >> 32 & 0xFFFF) +
                                         (z >> 48)) -
               irwin_hall_mean;
    }

    [[nodiscard]] float at(std::int64_t i) const {
        std::array<std::int64_t, 4> inside{};  // of a cell, by dimension from first_ on
        std::int64_t node = 0;
        std::int64_t stride = 1;
        std::array<std::int64_t, 4> step{};
        auto rest = i;
        for (std::size_t d = sizes_.size(); d-- > 0;) {
            auto const at = rest % sizes_[d];
            rest /= sizes_[d];
            node += (d < first_ ? at : at / cell) * stride;
            if (d >= first_) {
                inside[d - first_] = at % cell;
                step[d - first_] = stride;
            }
            stride *= lattice_[d];
        }
        auto const dimensions = sizes_.size() - first_;
        std::int64_t sum = 0;
        for (std::size_t corner = 0; corner < std::size_t{1} << dimensions; ++corner) {
            std::int64_t weight = 1;
            auto of = node;
            for (std::size_t d = 0; d < dimensions; ++d) {
                bool const far = (corner >> d & 1) != 0;
                weight *= far ? inside[d] : cell - inside[d];
                if (far) of += step[d];
            }
            if (weight != 0) sum += weight * nodes_[static_cast<std::size_t>(of)];
        }
        sum += irwin_hall(noise_.bits(static_cast<std::uint64_t>(i))) * (unit_ / cell);
        return static_cast<float>(sum) * scale_;
    }

    std::vector<std::int64_t> sizes_;
    SeededValues noise_;
    std::size_t first_;
    std::vector<std::int64_t> lattice_;
    std::vector<std::int64_t> nodes_;
    std::int64_t unit_ = 1;
    float scale_ = 1;
};

/// \param value   the input's tensor, an expanded dimension held once
/// \param values  what is drawn; null for floating-point weights
at::Tensor contiguous_values(ExportedProgram const& program, ProgramInput const& input,
                             TensorValue const& value, InputValues const* values,
                             std::string const& name) {
    auto const type = to_c10(value.dtype);
    at::Tensor tensor = at::empty(value.sizes, at::TensorOptions{}.dtype(type));
    if (auto const known = program.constants.find(input.value); known != program.constants.end()) {
        if (known->second.size() != tensor.nbytes()) {
            throw CannotTime{"constant '" + input.name + "' has another size than its shape says"};
        }
        std::memcpy(tensor.mutable_data_ptr(), known->second.data(), known->second.size());
        return tensor;
    }
    SeededValues const seeded{name};
    auto const in_floats = [&](auto const& fill) {
        at::Tensor floats = value.dtype == ScalarType::float32
                                ? tensor
                                : at::empty(value.sizes, at::TensorOptions{}.dtype(at::kFloat));
        auto* const data = floats.mutable_data_ptr<float>();
        in_pieces(tensor.numel(), [&](auto first, auto size) {
            fill(std::span{data + first, static_cast<std::size_t>(size)}, first);
        });
        return floats;
    };
    if (values == nullptr || values->pattern == ValuePattern::normal) {
        auto const distribution = distribution_of(input, value);
        return in_floats([&](std::span<float> piece, std::int64_t first) {
                   seeded.fill_normal(piece, static_cast<std::uint64_t>(first), distribution.offset,
                                      distribution.scale);
               })
            .to(type);
    }
    if (values->pattern == ValuePattern::smooth) {
        SmoothField const field{value, name};
        bool const is_image = !is_floating_point(value.dtype);
        return in_floats([&](std::span<float> piece, std::int64_t first) {
                   field.fill(piece, first);
                   if (!is_image) return;
                   for (auto& element : piece) {  // as a camera gives it
                       element = std::clamp(std::nearbyint(element * 48 + 128), 0.0F, 255.0F);
                   }
               })
            .to(type);
    }
    if (values->pattern == ValuePattern::spread && is_floating_point(value.dtype)) {
        Bounds const bounds{*values, value};
        return in_floats([&](std::span<float> piece, std::int64_t first) {
                   for (std::size_t k = 0; k < piece.size(); ++k) {
                       auto const i = first + static_cast<std::int64_t>(k);
                       auto const low = bounds.low(i);
                       auto const high = bounds.high(i);
                       auto const share =
                           static_cast<double>(seeded.bits(static_cast<std::uint64_t>(i)) >> 11);
                       piece[k] = static_cast<float>(low + share * 0x1p-53 * (high - low));
                   }
               })
            .to(type);
    }
    at::Tensor integers = at::empty(value.sizes, at::TensorOptions{}.dtype(at::kLong));
    auto* const data = integers.mutable_data_ptr<std::int64_t>();
    IntegerValues const of{*values, value, seeded};
    for (std::int64_t i = 0; i < integers.numel(); ++i) data[i] = of(i);
    return integers.to(type);
}

std::string signature_name(ProgramInput const& input, std::uint64_t seed) {
    return seed == 0 ? input.name : input.name + "#" + std::to_string(seed);
}

}  // namespace

SeededValues::SeededValues(std::string_view name) : hash{0xCBF29CE484222325U} {
    for (unsigned char const byte : name) hash = (hash ^ byte) * 0x100000001B3U;
}

std::uint64_t SeededValues::bits(std::uint64_t i) const {
    std::uint64_t z = hash + (i + 1) * 0x9E3779B97F4A7C15U;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

void SeededValues::fill_normal(std::span<float> values, std::uint64_t first, std::int32_t offset,
                               float scale) const {
    fill_normal_elements(values.data(), values.size(), hash + first * 0x9E3779B97F4A7C15U, offset,
                         scale);
}

TensorSlots seeded_inputs(ExportedProgram const& program, std::uint64_t seed,
                          std::string const& device) {
    return seeded_inputs(program, program.inputs, seed, device);
}

TensorSlots seeded_inputs(ExportedProgram const& program, std::span<ProgramInput const> inputs,
                          std::uint64_t seed, std::string const& device) {
    TensorSlots slots(program.values.size());
    auto const drawn = values_of(program).inputs;
    try {
        for (auto const& input : inputs) {
            auto const& value = program.values[static_cast<std::size_t>(input.value)];
            auto held = value;
            held.sizes = distinct_sizes(value);
            auto const found = drawn.find(input.value);
            at::Tensor tensor = contiguous_values(program, input, held,
                                                  found == drawn.end() ? nullptr : &found->second,
                                                  signature_name(input, seed));
            if (tensor.strides() != c10::IntArrayRef{value.strides} && tensor.numel() > 0) {
                at::Tensor strided = at::empty_strided(held.sizes, value.strides, tensor.options());
                strided.copy_(tensor);
                tensor = strided;
            }
            slots[static_cast<std::size_t>(input.value)] =
                tensor.to(c10::Device{device}).expand(value.sizes);
        }
    } catch (c10::Error const& error) {
        throw CannotTime{std::string{"weights and inputs: "} + error.what_without_backtrace()};
    } catch (std::bad_alloc const&) {
        throw CannotTime{"weights and inputs: out of memory"};
    }
    return slots;
}

}  // namespace derate::benchmarks
