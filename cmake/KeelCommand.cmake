# bin/keel, and the examples. They need the whole library, up to the engine.

if(NOT TARGET keel_engine)
  return()
endif()

file(GLOB keel_sources CONFIGURE_DEPENDS
  "${PROJECT_SOURCE_DIR}/tools/*.c" "${PROJECT_SOURCE_DIR}/tools/*/*.c"
  "${PROJECT_SOURCE_DIR}/bench/*.c" "${PROJECT_SOURCE_DIR}/bench/*/*.c")
list(FILTER keel_sources EXCLUDE REGEX "/bench/peers/")
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

# keel_peer(NAME HEADER file LIBRARY name): a program that puts another library beside the job commit
# (bench/peers). Built where that library is installed; the command names the package where it is not.
function(keel_peer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "HEADER;LIBRARY" "")
  find_path(KEEL_PEER_${name}_INCLUDE ${arg_HEADER})
  find_library(KEEL_PEER_${name}_LIBRARY ${arg_LIBRARY})
  mark_as_advanced(KEEL_PEER_${name}_INCLUDE KEEL_PEER_${name}_LIBRARY)
  if(NOT KEEL_PEER_${name}_INCLUDE OR NOT KEEL_PEER_${name}_LIBRARY)
    return()
  endif()
  add_executable(keel-peer-${name} bench/peers/peer.c bench/peers/${name}.c bench/lib/crew.c bench/lib/result.c
    bench/lib/malloc_count.c bench/lib/proc.c tools/disk.c)
  target_include_directories(keel-peer-${name} SYSTEM PRIVATE "${KEEL_PEER_${name}_INCLUDE}")
  target_link_libraries(keel-peer-${name} PRIVATE keel_flags keel_internal keel_dep_jansson
    "${KEEL_PEER_${name}_LIBRARY}")
  add_dependencies(keel keel-peer-${name})
endfunction()

if(TARGET keel AND NOT KEEL_SANITIZE)
  keel_peer(wiredtiger HEADER wiredtiger.h LIBRARY wiredtiger)
  keel_peer(sqlite     HEADER sqlite3.h    LIBRARY sqlite3)
  keel_peer(lmdb       HEADER lmdb.h       LIBRARY lmdb)
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
