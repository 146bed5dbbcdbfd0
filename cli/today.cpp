#include "cli/today.hpp"

#include <time.h>

#include <ctime>

namespace derate::cli {

std::string today() {
    std::time_t const now = std::time(nullptr);
    std::tm calendar{};
    ::gmtime_r(&now, &calendar);
    char date[16];
    std::strftime(date, sizeof date, "%Y-%m-%d", &calendar);
    return date;
}

}  // namespace derate::cli
