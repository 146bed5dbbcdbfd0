#pragma once
#include <optional>
#include <string_view>

#include "core/calibration.hpp"

namespace derate {

/// What says whether a curve file can answer a request.
struct CurveFileHead {
    CurveSource source = CurveSource::measured;
    Precision precision = Precision::fp32;
    std::optional<int> threads{};  ///< empty: the file says none

    friend bool operator==(CurveFileHead const&, CurveFileHead const&) = default;
};

/// The head of a curve file as derate writes it, found by its indentation, without reading the
/// rest: of a machine's files most answer no given request.
///
/// \return empty for a file in another layout, which only reading it whole can tell
[[nodiscard]] std::optional<CurveFileHead> skim_curve_file(std::string_view text);

}  // namespace derate
