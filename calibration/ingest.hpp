#pragma once
#include <span>
#include <string>
#include <vector>

#include "core/evidence.hpp"
#include "core/measurement.hpp"

namespace derate {

/// A part of the evidence and the file it came from, for messages.
struct EvidencePart {
    std::string where;
    Evidence evidence;
};

/// One measurement file as evidence: one model, its campaign, one case a distinct descriptor (in
/// files without descriptors: one a subgraph).
///
/// A measurement of the family "probe" is a set of single kernels timed for their regimes: its
/// cases are marked as probes and no model is made of it.
///
/// \param where  file name, for messages
/// \throws InputError  a descriptor occurs twice with different timings
[[nodiscard]] Evidence evidence_of(Measurement const& measurement, std::string_view where);

/// All parts as one, as if their repetitions had been aggregated at once.
///
/// Parts must agree in hardware, precision, threads, cache state, partition and FLOP rule.
/// Campaigns are the same when id, origin and environment are. Within a campaign a case's launches
/// are united: a launch is known by its number, in files that number none by its content, which
/// counts as often as the part that holds most of it says. So a file given twice changes nothing,
/// and the order of the parts does not matter: the result is the same bit for bit. Of several measured
/// peaks the one of the latest campaign is kept (the efficiencies of all are fractions of it; times
/// do not depend on it).
///
/// \param parts  one or more
/// \throws InputError  naming two parts that do not belong together and in what they differ, two
///                     different timings of one subgraph that no launches tell apart, or two of
///                     one launch
[[nodiscard]] Evidence merge(std::span<EvidencePart const> parts);

}  // namespace derate
