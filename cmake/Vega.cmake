# DERATE_VEGA_BUNDLE: the Vega scripts that HTML reports inline; NOTFOUND leaves HTML out.
if(NOT DERATE_VEGA_BUNDLE)
  execute_process(COMMAND ${PROJECT_SOURCE_DIR}/cmake/fetch_vega.sh --print-file
    OUTPUT_VARIABLE vega_file OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET
    RESULT_VARIABLE vega_absent)
  if(vega_absent)
    message(STATUS "Vega scripts: not at hand, HTML reports are left out (cmake/fetch_vega.sh brings them)")
  else()
    set(DERATE_VEGA_BUNDLE ${vega_file} CACHE FILEPATH "Vega scripts that HTML reports inline" FORCE)
  endif()
endif()
