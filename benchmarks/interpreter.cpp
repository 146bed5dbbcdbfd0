#include "benchmarks/interpreter.hpp"

#include <ATen/core/List.h>
#include <ATen/core/jit_type.h>
#include <ATen/ops/scalar_tensor.h>
#include <c10/core/Device.h>
#include <c10/core/MemoryFormat.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <optional>
#include <type_traits>
#include <utility>

#include "benchmarks/scalar_types.hpp"
#include "measuring/cannot_time.hpp"

namespace derate::benchmarks {
namespace {

c10::MemoryFormat to_c10(MemoryFormat format) {
    switch (format) {
        case MemoryFormat::contiguous:
            return c10::MemoryFormat::Contiguous;
        case MemoryFormat::channels_last:
            return c10::MemoryFormat::ChannelsLast;
        case MemoryFormat::channels_last_3d:
            return c10::MemoryFormat::ChannelsLast3d;
        case MemoryFormat::preserve:
            return c10::MemoryFormat::Preserve;
    }
    throw std::logic_error{"memory format out of range"};
}

/// `Optional[T]` of a schema accepts what T accepts.
c10::TypePtr without_optional(c10::TypePtr type) {
    while (auto const optional = type->cast<c10::OptionalType>()) type = optional->getElementType();
    return type;
}

bool takes_tensor(c10::Type const& type) { return type.kind() == c10::TypeKind::TensorType; }

bool takes_float(c10::Type const& type) { return type.kind() == c10::TypeKind::FloatType; }

/// A number where the schema wants a tensor: as Python does it, a scalar tensor that does not take
/// part in type promotion.
template <class Number>
at::Tensor wrapped_number(Number number) {
    auto const type = std::is_same_v<Number, bool>     ? c10::ScalarType::Bool
                      : std::is_same_v<Number, double> ? c10::ScalarType::Double
                                                       : c10::ScalarType::Long;
    at::Tensor tensor = at::scalar_tensor(number, at::TensorOptions{}.dtype(type));
    tensor.unsafeGetTensorImpl()->set_wrapped_number(true);
    return tensor;
}

template <class Element, class Source>
c10::IValue list_of(std::vector<Source> const& source) {
    c10::List<Element> list;
    list.reserve(source.size());
    for (auto const element : source) list.push_back(static_cast<Element>(element));
    return list;
}

/// A constant argument in the form that the operator's schema wants.
struct ToIValue {
    c10::TypePtr type;
    std::string const& device;

    c10::IValue operator()(std::monostate) const { return {}; }
    c10::IValue operator()(bool flag) const { return number(flag); }
    c10::IValue operator()(std::int64_t integer) const {
        if (type->kind() == c10::TypeKind::ListType) {
            return (*this)(std::vector<std::int64_t>{integer});
        }
        return takes_float(*type) ? c10::IValue{static_cast<double>(integer)} : number(integer);
    }
    c10::IValue operator()(double real) const { return number(real); }
    c10::IValue operator()(std::string const& text) const { return text; }
    c10::IValue operator()(std::vector<bool> const& flags) const { return list_of<bool>(flags); }
    c10::IValue operator()(std::vector<std::int64_t> const& integers) const {
        auto const list = type->cast<c10::ListType>();
        if (list && takes_float(*list->getElementType())) return list_of<double>(integers);
        return list_of<std::int64_t>(integers);
    }
    c10::IValue operator()(std::vector<double> const& reals) const {
        return list_of<double>(reals);
    }
    c10::IValue operator()(std::vector<std::string> const& texts) const {
        c10::List<std::string> list;
        for (auto const& text : texts) list.push_back(text);
        return list;
    }
    c10::IValue operator()(ScalarType scalar_type) const {
        return static_cast<std::int64_t>(benchmarks::to_c10(scalar_type));
    }
    c10::IValue operator()(Device const&) const { return c10::Device{device}; }
    c10::IValue operator()(Layout) const { return static_cast<std::int64_t>(c10::kStrided); }
    c10::IValue operator()(MemoryFormat format) const {
        return static_cast<std::int64_t>(to_c10(format));
    }
    template <class TensorLike>
    c10::IValue operator()(TensorLike const&) const {
        throw std::logic_error{"a tensor argument is not a constant"};
    }

  private:
    template <class Number>
    c10::IValue number(Number value) const {
        return takes_tensor(*type) ? c10::IValue{wrapped_number(value)} : c10::IValue{value};
    }
};

std::string qualified_name(ProgramNode const& node) {
    return std::string{operator_namespace(node)} + "::" + std::string{operator_name(node)};
}

c10::OperatorHandle find_operator(ProgramNode const& node) {
    std::string overload{operator_overload(node)};
    if (overload == "default") overload.clear();
    auto const found = c10::Dispatcher::singleton().findSchema({qualified_name(node), overload});
    if (!found) {
        throw CannotTime{"operator " + node.target + " is not in this LibTorch"};
    }
    return *found;
}

}  // namespace

Interpreter::Interpreter(ExportedProgram const& program, std::string const& device)
    : slot_count_{program.values.size()}, kept_(slot_count_, false), is_input_(slot_count_, false) {
    calls_.reserve(program.nodes.size());
    for (auto const& node : program.nodes) calls_.push_back(prepare(node, device));
    for (auto const& input : program.inputs) {
        kept_[static_cast<std::size_t>(input.value)] = true;
        is_input_[static_cast<std::size_t>(input.value)] = true;
    }
    for (auto const output : program.outputs) kept_[static_cast<std::size_t>(output)] = true;
    find_dead_slots(program);
}

Interpreter::Call Interpreter::prepare(ProgramNode const& node, std::string const& device) const {
    Call call{.op = find_operator(node), .arguments = {}, .outputs = {}, .dead = {}};
    auto const& schema = call.op.schema();
    for (auto const& given : node.arguments) {
        if (!schema.argumentIndexWithName(given.name)) {
            throw CannotTime{node.target + ": this LibTorch knows no argument '" + given.name +
                             "'"};
        }
    }
    for (auto const& formal : schema.arguments()) {
        Argument argument;
        argument.written = formal.alias_info() != nullptr && formal.alias_info()->isWrite();
        auto const* given = node.find_argument(formal.name());
        if (given == nullptr) {
            if (!formal.default_value()) {
                throw CannotTime{node.target + ": argument '" + formal.name() + "' is missing"};
            }
            argument.constant = *formal.default_value();
        } else if (auto const* tensor = std::get_if<TensorArgument>(given)) {
            argument.kind = Argument::Kind::tensor;
            argument.slots = {tensor->value};
        } else if (auto const* tensors = std::get_if<TensorListArgument>(given)) {
            argument.kind = Argument::Kind::tensors;
            argument.slots = tensors->values;
            // A list of tensors may stand where the operator takes optional ones (index).
            auto const list = without_optional(formal.type())->cast<c10::ListType>();
            if (list && list->getElementType()->kind() == c10::TypeKind::OptionalType) {
                argument.kind = Argument::Kind::optional_tensors;
            }
        } else if (auto const* optionals = std::get_if<OptionalTensorListArgument>(given)) {
            argument.kind = Argument::Kind::optional_tensors;
            for (auto const& entry : optionals->values)
                argument.slots.push_back(entry.value_or(-1));
        } else {
            argument.constant = std::visit(
                ToIValue{.type = without_optional(formal.type()), .device = device}, *given);
        }
        call.arguments.push_back(std::move(argument));
    }
    for (auto const& output : node.outputs) {
        if (auto const* tensor = std::get_if<TensorArgument>(&output)) {
            call.outputs.push_back({.is_list = false, .slots = {tensor->value}});
        } else if (auto const* tensors = std::get_if<TensorListArgument>(&output)) {
            call.outputs.push_back({.is_list = true, .slots = tensors->values});
        } else {
            call.outputs.push_back({});
        }
    }
    if (call.outputs.size() > schema.returns().size()) {
        throw CannotTime{node.target +
                         ": this LibTorch returns fewer results than the export says"};
    }
    return call;
}

void Interpreter::find_dead_slots(ExportedProgram const& program) {
    std::vector<bool> read_later = kept_;
    for (std::size_t i = calls_.size(); i-- > 0;) {
        auto candidates = tensors_read(program.nodes[i]);
        candidates.append(tensors_returned(program.nodes[i]));
        for (auto const slot : candidates) {
            if (read_later[static_cast<std::size_t>(slot)]) continue;
            read_later[static_cast<std::size_t>(slot)] = true;
            calls_[i].dead.push_back(slot);
        }
    }
}

void Interpreter::run(TensorSlots& slots, std::size_t first, std::size_t last) {
    auto const at = [&](ValueId slot) -> at::Tensor& {
        return slots[static_cast<std::size_t>(slot)];
    };
    for (std::size_t i = first; i < last; ++i) {
        auto const& call = calls_[i];
        stack_.clear();
        for (auto const& argument : call.arguments) {
            switch (argument.kind) {
                case Argument::Kind::constant:
                    stack_.push_back(argument.constant);
                    break;
                case Argument::Kind::tensor:
                    stack_.emplace_back(at(argument.slots[0]));
                    break;
                case Argument::Kind::tensors: {
                    c10::List<at::Tensor> list;
                    list.reserve(argument.slots.size());
                    for (auto const slot : argument.slots) list.push_back(at(slot));
                    stack_.emplace_back(std::move(list));
                    break;
                }
                case Argument::Kind::optional_tensors: {
                    c10::List<std::optional<at::Tensor>> list;
                    list.reserve(argument.slots.size());
                    for (auto const slot : argument.slots) {
                        list.push_back(slot < 0 ? std::optional<at::Tensor>{} : at(slot));
                    }
                    stack_.emplace_back(std::move(list));
                    break;
                }
            }
        }
        call.op.callBoxed(stack_);
        for (std::size_t o = 0; o < call.outputs.size(); ++o) {
            auto const& output = call.outputs[o];
            if (output.slots.empty()) continue;
            if (output.is_list) {
                auto const list = stack_[o].toTensorVector();
                for (std::size_t k = 0; k < output.slots.size(); ++k)
                    at(output.slots[k]) = list.at(k);
            } else {
                at(output.slots[0]) = std::move(stack_[o]).toTensor();
            }
        }
        // The stack holds references: drop them first, so that a dead tensor's memory goes back
        // now.
        stack_.clear();
        for (auto const slot : call.dead) at(slot).reset();
    }
}

std::vector<ValueId> Interpreter::changed_by(std::size_t node) const {
    std::vector<ValueId> changed;
    for (auto const& argument : calls_.at(node).arguments) {
        if (argument.written) {
            std::ranges::copy_if(argument.slots, std::back_inserter(changed),
                                 [](ValueId slot) { return slot >= 0; });
        }
    }
    return changed;
}

void Interpreter::release_results(TensorSlots& slots) const {
    for (std::size_t slot = 0; slot < slots.size(); ++slot) {
        if (!is_input_[slot]) slots[slot].reset();
    }
}

}  // namespace derate::benchmarks
