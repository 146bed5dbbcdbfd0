#pragma once
#include <nlohmann/json.hpp>

/// Who reads JSON's header precompiled takes the code of its values from storage/json_code.cpp instead of
/// making it again (cmake/Precompiled.cmake).
extern template class nlohmann::basic_json<>;
