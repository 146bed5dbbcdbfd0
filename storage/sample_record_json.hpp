#pragma once
#include <string>
#include <string_view>

#include "measuring/sample_record.hpp"

namespace derate {

/// One line of a samples file, without its newline. A time that is not finite is written as null.
[[nodiscard]] std::string to_json_line(SampleRecord const& record);

/// \param where  names the line in messages, "x.samples.jsonl:17"
/// \throws InputError  not JSON, an unknown kind, a field of the wrong type
[[nodiscard]] SampleRecord sample_record_from_json(std::string_view line, std::string_view where);

}  // namespace derate
