#pragma once
#include <map>
#include <string>
#include <vector>

#include "workloads/input_values.hpp"
#include "workloads/wanted_values.hpp"

namespace derate {

/// A word for what an input holds (ProgramValues::words).
[[nodiscard]] std::string word_of(InputValues const& values);

/// Words for all tensors, by ValueId.
/// \param inputs  words of the program's inputs, by ValueId
/// \param values  what inputs hold
[[nodiscard]] std::vector<std::string> value_words(ExportedProgram const& program,
                                                   WantedValues const& wanted,
                                                   std::vector<std::string> inputs,
                                                   std::map<ValueId, InputValues> const& values);

}  // namespace derate
