#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/precision.hpp"
#include "workloads/value_ids.hpp"

namespace derate {

/// Element type of a tensor, or the value of a `dtype=` argument.
///
/// The numbers of torch.export's own enumeration are not those of c10; this one has names only.
enum class ScalarType {
    uint8,
    int8,
    int16,
    int32,
    int64,
    float16,
    float32,
    float64,  ///< occurs in arguments and one-element tensors only; the reader refuses the rest
    boolean,
    bfloat16,
};

/// As torch spells it without "torch.": "float32", "bool", ...
[[nodiscard]] std::string_view to_string(ScalarType type);
/// Reads what to_string writes; empty for anything else.
[[nodiscard]] std::optional<ScalarType> parse_scalar_type(std::string_view name);
[[nodiscard]] std::int64_t bytes_per_element(ScalarType type);
[[nodiscard]] bool is_floating_point(ScalarType type);

enum class MemoryFormat { contiguous, channels_last, channels_last_3d, preserve };
[[nodiscard]] std::string_view to_string(MemoryFormat format);

enum class Layout { strided };  ///< sparse tensors are refused by the reader

struct Device {
    std::string type;  ///< "cpu", "cuda": where the model was exported, not where it will run
    std::optional<std::int64_t> index;

    friend bool operator==(Device const&, Device const&) = default;
};

struct TensorArgument {
    ValueId value;
    friend bool operator==(TensorArgument, TensorArgument) = default;
};
struct TensorListArgument {
    std::vector<ValueId> values;
    friend bool operator==(TensorListArgument const&, TensorListArgument const&) = default;
};
/// What `aten.index.Tensor` takes: an absent entry is a full slice.
struct OptionalTensorListArgument {
    std::vector<std::optional<ValueId>> values;
    friend bool operator==(OptionalTensorListArgument const&,
                           OptionalTensorListArgument const&) = default;
};

/// One argument of an operator call. std::monostate is None. Shapes are static, so what the export
/// calls symbolic integers are plain ones here.
using ArgumentValue =
    std::variant<std::monostate, TensorArgument, TensorListArgument, OptionalTensorListArgument,
                 bool, std::int64_t, double, std::string, std::vector<bool>,
                 std::vector<std::int64_t>, std::vector<double>, std::vector<std::string>,
                 ScalarType, Device, Layout, MemoryFormat>;

struct NamedArgument {
    std::string name;  ///< in the operator's schema; arguments left at their default are absent
    ArgumentValue value;

    friend bool operator==(NamedArgument const&, NamedArgument const&) = default;
};

/// One result of a call: a tensor, a list of tensors (`split`), or one that nobody asked for.
using NodeOutput = std::variant<std::monostate, TensorArgument, TensorListArgument>;

/// One operator call. With the values its arguments name, this is all that a boxed dispatcher call
/// needs.
struct ProgramNode {
    std::string target;  ///< "torch.ops.aten.conv2d.default"
    std::string name;    ///< unique in the program
    std::string module;  ///< path of the module that calls it ("layer1.0.conv1"); empty: not known
    std::vector<NamedArgument> arguments;
    std::vector<NodeOutput> outputs;  ///< one per result of the operator's schema

    /// The argument of that name, or null when it is left at its default.
    [[nodiscard]] ArgumentValue const* find_argument(std::string_view argument) const;
    friend bool operator==(ProgramNode const&, ProgramNode const&) = default;
};

/// "conv2d" of "torch.ops.aten.conv2d.default".
[[nodiscard]] std::string_view operator_name(ProgramNode const& node);
/// "aten" of "torch.ops.aten.conv2d.default".
[[nodiscard]] std::string_view operator_namespace(ProgramNode const& node);
/// "default" of "torch.ops.aten.conv2d.default", "Tensor" of "torch.ops.aten.add.Tensor".
[[nodiscard]] std::string_view operator_overload(ProgramNode const& node);

/// All tensors that the call reads, in the order of its arguments, repeated when read twice.
[[nodiscard]] ValueIds tensors_read(ProgramNode const& node);
/// All tensors that the call returns, in order.
[[nodiscard]] ValueIds tensors_returned(ProgramNode const& node);

/// Shape and type of one tensor of the program, as the export traced it. The strides of a real run
/// may differ (fake and real tensors disagree on dimensions of size 1).
struct TensorValue {
    std::string name;
    ScalarType dtype = ScalarType::float32;
    std::vector<std::int64_t> sizes;    ///< >= 0 each; the product fits 63 bits
    std::vector<std::int64_t> strides;  ///< in elements, as many as sizes
    std::int64_t storage_offset = 0;

    [[nodiscard]] std::int64_t element_count() const;
    friend bool operator==(TensorValue const&, TensorValue const&) = default;
};

/// The sizes, with 1 for every expanded dimension (stride 0): the elements that memory holds.
[[nodiscard]] std::vector<std::int64_t> distinct_sizes(TensorValue const& value);

enum class InputKind { user_input, parameter, buffer, tensor_constant };
[[nodiscard]] std::string_view to_string(InputKind kind);

struct ProgramInput {
    InputKind kind = InputKind::user_input;
    ValueId value = 0;
    std::string
        name;  ///< of the parameter in the module ("layer1.0.conv1.weight"), or of the input
    /// Of an extracted subgraph: the word of ProgramValues::words, where the time depends on it.
    std::string values{};

    friend bool operator==(ProgramInput const&, ProgramInput const&) = default;
};

/// The program hands back `source` so that its caller stores it in `target` (a buffer or user
/// input).
struct Mutation {
    ValueId source = 0;
    ValueId target = 0;

    friend bool operator==(Mutation const&, Mutation const&) = default;
};

/// What a torch.export file says: the operator calls of a model with every shape, and the values of
/// the integer tables that calls index with. Weights are not in it.
struct ExportedProgram {
    std::vector<TensorValue> values;
    std::vector<ProgramInput> inputs;  ///< in the order of the signature
    std::vector<ProgramNode> nodes;    ///< in execution order; each reads only what came before
    std::vector<ValueId> outputs;      ///< what the model returns; tensors only
    std::vector<Mutation> mutations;
    /// Elements of integer and boolean buffers and of small constants, row-major without gaps,
    /// little endian, in the dtype of the value; an expanded dimension (stride 0) is held once, so
    /// their shape is `distinct_sizes`. Everything else is unknown here.
    std::map<ValueId, std::vector<std::byte>> constants;
    std::string torch_version;  ///< that exported it; empty if the file does not say

    friend bool operator==(ExportedProgram const&, ExportedProgram const&) = default;
};

/// Reads `torch.export.save`'s zip, or the shipped weight-free form (gzip of its
/// models/model.json).
///
/// Never reads float weights, so a large model costs no more than its graph. Limits: 64 MiB of
/// graph, 100 levels of nesting, 200,000 nodes, 256 MiB of constants: what is beyond stays unknown.
///
/// \throws InputError  not such a file, beyond a limit, a schema of another major version, dynamic
///                     shapes, control flow, a dtype that cannot be timed; the message says what to
///                     do
[[nodiscard]] ExportedProgram read_exported_program(std::filesystem::path const& file);

/// The same from text in memory. \param where  names the text in error messages
[[nodiscard]] ExportedProgram parse_exported_program(std::string_view model_json,
                                                     std::string_view where);

/// Size of the first dimension that the user inputs share, the batch; empty when there is none, and
/// when an operator mixes its entries with each other (time steps of a recurrent network, tokens of
/// an attention, nodes of a graph): then it is no batch, and which dimension is one is not known.
[[nodiscard]] std::optional<int> batch_of(ExportedProgram const& program);

/// Number format that holds most of the parameters' elements (of all tensors when there are no
/// parameters): what a calibration must match.
[[nodiscard]] Precision precision_of(ExportedProgram const& program);

}  // namespace derate
