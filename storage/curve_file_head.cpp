#include "storage/curve_file_head.hpp"

#include <charconv>

namespace derate {
namespace {

/// The value of a field of the outermost object, as it stands there up to the comma. A string of
/// JSON holds no line break, so that no text within can pass for one.
std::string_view value_of_field(std::string_view text, std::string_view begin_of_line) {
    auto const at = text.rfind(begin_of_line);
    if (at == text.npos) return {};
    auto const value = text.substr(at + begin_of_line.size());
    return value.substr(0, value.find_first_of(",\n"));
}

std::string_view unquoted(std::string_view value) {
    if (value.size() < 2 || value.front() != '"' || value.back() != '"') return {};
    return value.substr(1, value.size() - 2);
}

}  // namespace

std::optional<CurveFileHead> skim_curve_file(std::string_view text) {
    if (!text.starts_with("{\n  \"") || !text.ends_with("\n}\n")) return std::nullopt;
    auto const source = parse_curve_source(unquoted(value_of_field(text, "\n  \"source\": ")));
    auto const precision = parse_precision(unquoted(value_of_field(text, "\n  \"precision\": ")));
    auto const threads = value_of_field(text, "\n  \"threads\": ");
    if (!source || !precision || threads.empty()) return std::nullopt;
    CurveFileHead head{.source = *source, .precision = *precision};
    if (threads == "null") return head;
    int count = 0;
    auto const read = std::from_chars(threads.data(), threads.data() + threads.size(), count);
    if (read.ec != std::errc{} || read.ptr != threads.data() + threads.size() || count < 1) {
        return std::nullopt;
    }
    head.threads = count;
    return head;
}

}  // namespace derate
