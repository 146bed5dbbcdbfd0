#include "reports/vega_scripts.hpp"

#include "reports/html_page.hpp"

#ifdef DERATE_VEGA_BUNDLE
// The assembler copies the file as it is: a string literal of a megabyte would cost the compiler
// minutes.
__asm__(
    ".section .rodata\n"
    ".global derate_vega_begin\n"
    ".global derate_vega_end\n"
    "derate_vega_begin:\n"
    ".incbin \"" DERATE_VEGA_BUNDLE
    "\"\n"
    "derate_vega_end:\n"
    ".previous\n");
extern "C" char const derate_vega_begin[];  // NOLINT: named by the assembler
extern "C" char const derate_vega_end[];    // NOLINT
#endif

namespace derate {

std::string_view vega_scripts() {
#ifdef DERATE_VEGA_BUNDLE
    return {derate_vega_begin, static_cast<std::size_t>(derate_vega_end - derate_vega_begin)};
#else
    return {};
#endif
}

std::string vega_scripts_missing() {
    return vega_scripts().empty() ? "this build has no Vega scripts (they were not at hand when it "
                                    "was configured)"
                                  : "";
}

}  // namespace derate
