# Writes revision.cpp: what the program is built from. Run at every build, because a commit changes no
# file that a build depends on; the file is written only when it would differ.
#   cmake -D SOURCE=<source folder> -D OUTPUT=<file> -P WriteRevision.cmake
cmake_minimum_required(VERSION 3.25)

function(git_output variable)
  execute_process(COMMAND git --no-optional-locks -C ${SOURCE} ${ARGN}
    OUTPUT_VARIABLE output OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    set(output "unknown")
  endif()
  set(${variable} "${output}" PARENT_SCOPE)
endfunction()

# Only a repository of derate's own: an unpacked archive may lie in somebody else's.
git_output(root rev-parse --show-toplevel)
file(REAL_PATH "${SOURCE}" source)
set(revision "std::nullopt")
set(dirty "std::nullopt")
if(root STREQUAL source)
  git_output(commit rev-parse HEAD)
  git_output(changes status --porcelain --untracked-files=no)
  if(commit MATCHES "^[0-9a-f]+$")
    set(revision "\"${commit}\"")
    if(changes STREQUAL "")
      set(dirty "false")
    elseif(NOT changes STREQUAL "unknown")
      set(dirty "true")
    endif()
  endif()
endif()
configure_file(${SOURCE}/cli/revision.cpp.in ${OUTPUT} @ONLY)
