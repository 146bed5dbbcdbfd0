# Target derate::warnings: the warnings every module of this project compiles with.
add_library(derate_warnings INTERFACE)
add_library(derate::warnings ALIAS derate_warnings)
target_compile_options(derate_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wcast-qual
  -Wno-missing-field-initializers  # a designated initialiser leaves the other fields at their defaults
  $<$<BOOL:${DERATE_WERROR}>:-Werror>)
