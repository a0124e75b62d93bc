# Writes OUTPUT, the definition of source_commit() for the tree SOURCE, when that has changed:
#   cmake -D SOURCE=. -D OUTPUT=commit.cpp -P commit.cmake
cmake_minimum_required(VERSION 3.22)
execute_process(COMMAND git -C ${SOURCE} rev-parse --show-cdup
  RESULT_VARIABLE failed OUTPUT_VARIABLE above OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
# Unpacked inside somebody else's repository, the tree has no commit of its own.
if(failed EQUAL 0 AND above STREQUAL "")
  execute_process(COMMAND git -C ${SOURCE} describe --always --dirty
    OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT commit)
  set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[
#include "experiments/cli/commands.h"

std::string az::cli::source_commit() { return "@commit@"; }
]])
