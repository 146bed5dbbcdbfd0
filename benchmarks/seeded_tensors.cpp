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

#include "benchmarks/scalar_types.hpp"
#include "core/cannot_time.hpp"

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

/// Rows of the table that the token ids index: of the first embedding that reads them, directly or
/// through nodes that pass them on unchanged.
std::uint64_t token_bound(ExportedProgram const& program, ValueId input) {
    std::vector<bool> carries_ids(program.values.size(), false);
    carries_ids[static_cast<std::size_t>(input)] = true;
    for (auto const& node : program.nodes) {
        auto const name = operator_name(node);
        if (name == "embedding") {
            auto const* ids = node.find_argument("indices");
            auto const* table = node.find_argument("weight");
            if (ids == nullptr || table == nullptr) continue;
            auto const* id_tensor = std::get_if<TensorArgument>(ids);
            auto const* table_tensor = std::get_if<TensorArgument>(table);
            if (id_tensor == nullptr || table_tensor == nullptr) continue;
            if (!carries_ids[static_cast<std::size_t>(id_tensor->value)]) continue;
            auto const rows =
                program.values[static_cast<std::size_t>(table_tensor->value)].sizes.at(0);
            return static_cast<std::uint64_t>(std::max<std::int64_t>(rows, 1));
        }
        if (name == "view" || name == "reshape" || name == "alias") {
            auto const read = tensors_read(node);
            if (!read.empty() && carries_ids[static_cast<std::size_t>(read.front())]) {
                for (auto const made : tensors_returned(node)) {
                    carries_ids[static_cast<std::size_t>(made)] = true;
                }
            }
        }
    }
    return 2;
}

/// Calls `fill(first, count)` for pieces of 0..count - 1, on the threads that the timing uses.
template <class Fill>
void in_pieces(std::int64_t count, Fill const& fill) {
    constexpr std::int64_t grain = 1 << 16;
    at::parallel_for(0, count, grain,
                     [&](std::int64_t begin, std::int64_t end) { fill(begin, end - begin); });
}

at::Tensor contiguous_values(ExportedProgram const& program, ProgramInput const& input,
                             SeededValues const& seeded) {
    auto const& value = program.values[static_cast<std::size_t>(input.value)];
    auto const type = to_c10(value.dtype);
    at::Tensor tensor = at::empty(value.sizes, at::TensorOptions{}.dtype(type));
    auto const count = tensor.numel();
    if (auto const known = program.constants.find(input.value); known != program.constants.end()) {
        if (known->second.size() != tensor.nbytes()) {
            throw CannotTime{"constant '" + input.name + "' has another size than its shape says"};
        }
        std::memcpy(tensor.mutable_data_ptr(), known->second.data(), known->second.size());
        return tensor;
    }
    if (is_floating_point(value.dtype)) {
        auto const [offset, scale] = distribution_of(input, value);
        at::Tensor values = value.dtype == ScalarType::float32
                                ? tensor
                                : at::empty(value.sizes, at::TensorOptions{}.dtype(at::kFloat));
        auto* const data = values.mutable_data_ptr<float>();
        in_pieces(count, [&, offset = offset, scale = scale](auto first, auto size) {
            seeded.fill_normal({data + first, static_cast<std::size_t>(size)},
                               static_cast<std::uint64_t>(first), offset, scale);
        });
        return values.to(type);
    }
    auto const bound = value.dtype == ScalarType::boolean    ? 2
                       : input.kind == InputKind::user_input ? token_bound(program, input.value)
                                                             : 2;
    at::Tensor integers = at::empty(value.sizes, at::TensorOptions{}.dtype(at::kLong));
    auto* const data = integers.mutable_data_ptr<std::int64_t>();
    for (std::int64_t i = 0; i < count; ++i) {
        data[i] = static_cast<std::int64_t>(seeded.bits(static_cast<std::uint64_t>(i)) % bound);
    }
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
    TensorSlots slots(program.values.size());
    try {
        for (auto const& input : program.inputs) {
            auto const& value = program.values[static_cast<std::size_t>(input.value)];
            at::Tensor tensor =
                contiguous_values(program, input, SeededValues{signature_name(input, seed)});
            if (tensor.strides() != c10::IntArrayRef{value.strides} && tensor.numel() > 0) {
                at::Tensor strided =
                    at::empty_strided(value.sizes, value.strides, tensor.options());
                strided.copy_(tensor);
                tensor = strided;
            }
            slots[static_cast<std::size_t>(input.value)] = tensor.to(c10::Device{device});
        }
    } catch (c10::Error const& error) {
        throw CannotTime{std::string{"weights and inputs: "} + error.what_without_backtrace()};
    } catch (std::bad_alloc const&) {
        throw CannotTime{"weights and inputs: out of memory"};
    }
    return slots;
}

}  // namespace derate::benchmarks
