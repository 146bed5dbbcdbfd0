// fits_schema SCHEMA FILE...: prints every place where a JSON file departs from the schema; exit 1
// where there is one.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "storage/file.hpp"
#include "storage/schema_check.hpp"

int main(int argc, char** argv) {
    if (argc < 3) return 2;
    auto const schema = derate::read_json(argv[1]);
    bool fits = true;
    for (int i = 2; i < argc; ++i) {
        for (auto const& [pointer, problem, required] :
             derate::check_schema(derate::read_json(argv[i]), schema)) {
            std::printf("%s#%s: %s (%s)\n", argv[i], pointer.c_str(), problem.c_str(),
                        required.c_str());
            fits = false;
        }
    }
    return fits ? 0 : 1;
}
