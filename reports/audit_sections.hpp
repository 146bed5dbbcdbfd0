#pragma once
#include <string>
#include <vector>

#include "reports/audit.hpp"
#include "reports/report_text.hpp"

namespace derate {

/// All that was found of one calibration, as tables: where it comes from, what it covers, how well
/// its times are known, what legacy values say, whether its evidence holds.
[[nodiscard]] std::vector<ReportSection> sections_of(CalibrationAudit const& one,
                                                     Audit const& audit);

/// "FP32 measured, 2 threads"; rules hold rates for several precisions.
[[nodiscard]] std::string name_of(ProvenanceAudit const& provenance);

/// "legacy" where a file has "legacy_hardcoded".
[[nodiscard]] std::string source_label(CurveSource source);

/// "3 days old, stale".
[[nodiscard]] std::string age_of(ProvenanceAudit const& provenance);

/// "0.42 to 3.1 times what this calibration says (median 1.2)".
///
/// \param models  one or more
[[nodiscard]] std::string spread_of(std::vector<LegacyModel> const& models);

}  // namespace derate
