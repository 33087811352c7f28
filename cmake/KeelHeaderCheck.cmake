# Every public header compiles alone, in C and in C++.

enable_language(CXX)

file(GLOB headers CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/include/keel/*.h")
set(c_files "")
set(cxx_files "")
foreach(header IN LISTS headers)
  string(REPLACE "/" "_" name "${header}")
  foreach(suffix c cc)
    set(file "${CMAKE_BINARY_DIR}/header_check/${name}.${suffix}")
    # Twice: a second time it must vanish behind its guard.
    file(CONFIGURE OUTPUT "${file}" CONTENT "#include <${header}>\n#include <${header}>\nextern int header_check;\n" @ONLY)
    if(suffix STREQUAL "c")
      list(APPEND c_files "${file}")
    else()
      list(APPEND cxx_files "${file}")
    endif()
  endforeach()
endforeach()

add_library(keel_headers_c OBJECT ${c_files})
add_library(keel_headers_cxx OBJECT ${cxx_files})
foreach(target keel_headers_c keel_headers_cxx)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/include")
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wundef $<$<BOOL:${KEEL_WERROR}>:-Werror>)
endforeach()
set_target_properties(keel_headers_c PROPERTIES C_EXTENSIONS OFF)
set_target_properties(keel_headers_cxx PROPERTIES CXX_STANDARD 11 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF)
