# Writes azimuth.h, which includes every header of the rooms but those that are a matter of our own. ${public_headers} are these
# and the command line's; they are installed, and include no others (tests/package builds against them alone).
set(own
  "core/autograd/node" "core/backend/" "core/base/(ascii|c_locale|cache_folder|clock|control_groups|cores|memory|names|utf8)"
  "core/config/(nearest|rules|spelling|syntax_error|unknown_key)" "core/kernels/" "core/ops/(chain|rows)"
  "core/tensor/(dirty_memory|heap|layout|tensor_impl)" "data/(archive|catalog|download)" "nn/layers/(fused|row_norms)"
  "optim/(adam_rate|equilibrium|guarded_gradient|newton_schulz|norm_control)"
  "experiments/(bench|cli/|damage|flame|html|interrupt|json_text|lessons/|log/|machine|precision|preflight|report/|say|sweep/|training_lines)")
list(JOIN own "|" own)
set(headers)
foreach(room ${rooms})
  file(GLOB_RECURSE of_room RELATIVE ${PROJECT_SOURCE_DIR} CONFIGURE_DEPENDS ${room}/*.h)
  list(APPEND headers ${of_room})
endforeach()
list(FILTER headers EXCLUDE REGEX "^(${own})")
foreach(name info operands startup tuning)
  list(APPEND headers core/backend/${name}.h)
endforeach()
list(APPEND headers core/kernels/params.h experiments/report/report.h)
set(public_headers ${headers} experiments/cli/program.h)
list(TRANSFORM headers REPLACE "(.+)" "#include \"\\1\"")
list(JOIN headers "\n" includes)
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/include/azimuth.h @ONLY CONTENT
  "#pragma once\n\n// Everything a program needs, in one include.\n${includes}\n")
