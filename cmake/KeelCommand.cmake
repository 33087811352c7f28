# bin/keel, and the examples. They need the whole library, up to the engine.

if(NOT TARGET keel_engine)
  return()
endif()

file(GLOB keel_sources CONFIGURE_DEPENDS
  "${PROJECT_SOURCE_DIR}/tools/*.c" "${PROJECT_SOURCE_DIR}/tools/*/*.c"
  "${PROJECT_SOURCE_DIR}/bench/*.c" "${PROJECT_SOURCE_DIR}/bench/*/*.c")
set(generators ${keel_sources})
list(FILTER keel_sources EXCLUDE REGEX "_md\\.c$")
list(FILTER generators INCLUDE REGEX "_md\\.c$") # each prints a block of the documents

if(EXISTS "${PROJECT_SOURCE_DIR}/tools/keel.c" AND NOT KEEL_RACE_ONLY)
  keel_dependency(jansson HEADER jansson.h LIBRARY jansson PACKAGE libjansson-dev)
  keel_dependency(popt    HEADER popt.h    LIBRARY popt    PACKAGE libpopt-dev)
  keel_dependency(ncurses HEADER ncurses.h LIBRARY ncurses PACKAGE libncurses-dev)
  keel_dependency(libaio  HEADER libaio.h  LIBRARY aio     PACKAGE libaio-dev)
  add_executable(keel ${keel_sources})
  target_compile_definitions(keel PRIVATE KEEL_VERSION_TEXT="${PROJECT_VERSION}")
  target_link_libraries(keel PRIVATE keel_flags keel_internal keel_dep_jansson keel_dep_popt keel_dep_ncurses
    keel_dep_libaio)
endif()

foreach(source IN LISTS generators)
  cmake_path(GET source STEM name)
  add_executable(${name} ${source})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/generators")
  target_link_libraries(${name} PRIVATE keel_flags keel_internal)
endforeach()

# Examples see what a user sees: the public headers and the shared library.
file(GLOB examples CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/*.c")
if(NOT KEEL_RACE_ONLY)
  foreach(source IN LISTS examples)
    cmake_path(GET source STEM name)
    add_executable(example_${name} ${source})
    set_target_properties(example_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/examples")
    target_compile_options(example_${name} PRIVATE -Wall -Wextra $<$<BOOL:${KEEL_WERROR}>:-Werror>)
    target_link_libraries(example_${name} PRIVATE keel_shared Threads::Threads)
    if(KEEL_SANITIZE)
      target_link_options(example_${name} PRIVATE -fsanitize=${KEEL_SANITIZE})
    endif()
  endforeach()
endif()
