# Makes the page of a report one C++ string: page/page.html with its styles, its scripts and dygraphs' files put in.
#   cmake -D PAGE=<folder> -D DYGRAPHS=<folder of dygraph.min.js> -D OUTPUT=<file.cpp> -P embed.cmake
set(libraries ${DYGRAPHS}/dygraph.min.js)
set(styles ${DYGRAPHS}/dygraph.css ${PAGE}/style.css)
set(scripts)
foreach(name state dom series plots svg heatmap histogram scaling path export about main)
  list(APPEND scripts ${PAGE}/${name}.js)
endforeach()

file(READ ${PAGE}/page.html page)
foreach(kind libraries styles scripts)
  set(text "")
  foreach(path ${${kind}})
    file(READ ${path} content)
    if(content MATCHES "</(script|style)")
      message(FATAL_ERROR "${path} would end the element of the page that it stands in")
    endif()
    string(REGEX REPLACE "\n//# sourceMappingURL=[^\n]*" "" content "${content}")
    string(APPEND text "${content}\n")
  endforeach()
  string(REPLACE "@${kind}@" "${text}" page "${page}")
endforeach()
file(WRITE ${OUTPUT} "#include \"experiments/report/page.h\"

std::string_view az::experiments::report_page() {
  return R\"azimuth(${page})azimuth\";
}
")
