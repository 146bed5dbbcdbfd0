#pragma once
#include <string>

#include "core/input_error.hpp"

namespace derate {

/// What the InputError of `action` says; empty when it does not throw one.
template <class Action>
std::string refusal(Action&& action) {
    try {
        action();
    } catch (InputError const& error) {
        return error.what();
    }
    return {};
}

}  // namespace derate
