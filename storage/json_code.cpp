#include "storage/json_code.hpp"

template class nlohmann::basic_json<>;
