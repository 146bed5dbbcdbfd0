#pragma once
#include <stdexcept>

namespace derate {

/// A case or model that cannot be timed here: an operator that LibTorch lacks, no memory, a result
/// that is not finite. `what()` is the reason. It becomes a record, and the run goes on.
class CannotTime : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

}  // namespace derate
