# Layers: folders that see only what is below them.
#
# An edge is checked three times: what keel_layer() is told, what the targets link, and what the
# files include (the last one when configuring and again whenever a file changes).

include(KeelLayerScan)

set_property(GLOBAL PROPERTY KEEL_LAYERS "")

# keel_layer(NAME RANK n [DEPENDS layer...])
#
# Makes the object library keel_NAME from NAME/*.c. A layer without sources is only noted.
function(keel_layer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "RANK" "DEPENDS")
  if(NOT arg_RANK MATCHES "^[0-9]+$" OR arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "keel_layer(${name}): wants RANK number [DEPENDS layer...]")
  endif()

  get_property(layers GLOBAL PROPERTY KEEL_LAYERS)
  if(name IN_LIST layers)
    message(FATAL_ERROR "layer ${name} is in the table twice")
  endif()
  foreach(dep IN LISTS arg_DEPENDS)
    if(NOT dep IN_LIST layers)
      message(FATAL_ERROR "layer ${name} depends on ${dep}, which is not a layer below it in the table")
    endif()
    get_property(rank GLOBAL PROPERTY KEEL_LAYER_RANK_${dep})
    if(rank GREATER_EQUAL arg_RANK)
      message(FATAL_ERROR "layer ${name} (rank ${arg_RANK}) must not depend on ${dep} (rank ${rank}): "
                          "edges go downward only")
    endif()
  endforeach()

  set_property(GLOBAL APPEND PROPERTY KEEL_LAYERS ${name})
  set_property(GLOBAL PROPERTY KEEL_LAYER_RANK_${name} ${arg_RANK})
  set_property(GLOBAL PROPERTY KEEL_LAYER_SEES_${name} ${name} ${arg_DEPENDS})
  set_property(GLOBAL PROPERTY KEEL_LAYER_HEADERS_${name} ${name})

  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${name}/*.c")
  if(NOT sources)
    message(STATUS "layer ${name}: nothing to build yet")
    return()
  endif()
  set_property(GLOBAL APPEND PROPERTY KEEL_SOURCES ${sources})
  add_library(keel_${name} OBJECT ${sources})
  target_link_libraries(keel_${name} PRIVATE keel_flags keel_dep_liburing keel_dep_libisal keel_dep_libnvme)
endfunction()

# keel_layer_headers(NAME header...): further public headers of a layer, without folder and suffix.
function(keel_layer_headers name)
  set_property(GLOBAL APPEND PROPERTY KEEL_LAYER_HEADERS_${name} ${ARGN})
endfunction()

# Check all edges and keep on checking them in the build.
function(keel_layers_finish)
  get_property(layers GLOBAL PROPERTY KEEL_LAYERS)
  set(table "${CMAKE_BINARY_DIR}/layers.cmake")
  set(text "# Written by CMake from the layer table.\nset(KEEL_SCAN_LAYERS ${layers})\n")
  set(files "")
  foreach(layer IN LISTS layers)
    get_property(sees GLOBAL PROPERTY KEEL_LAYER_SEES_${layer})
    get_property(headers GLOBAL PROPERTY KEEL_LAYER_HEADERS_${layer})
    string(APPEND text "set(KEEL_SCAN_SEES_${layer} ${sees})\nset(KEEL_SCAN_HEADERS_${layer} ${headers})\n")

    file(GLOB_RECURSE own CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${layer}/*.[ch]")
    foreach(header IN LISTS headers)
      if(EXISTS "${PROJECT_SOURCE_DIR}/include/keel/${header}.h")
        list(APPEND own "${PROJECT_SOURCE_DIR}/include/keel/${header}.h")
      endif()
    endforeach()
    list(APPEND files ${own})
    keel_layer_check_links(${layer})
  endforeach()
  file(CONFIGURE OUTPUT "${table}" CONTENT "${text}" @ONLY)

  include("${table}")
  keel_scan_layers("${PROJECT_SOURCE_DIR}")

  set(script "${PROJECT_SOURCE_DIR}/cmake/KeelLayerScan.cmake")
  add_custom_command(
    OUTPUT "${CMAKE_BINARY_DIR}/layers.stamp"
    COMMAND "${CMAKE_COMMAND}" "-DKEEL_SCAN_ROOT=${PROJECT_SOURCE_DIR}" "-DKEEL_SCAN_TABLE=${table}" -P "${script}"
    COMMAND "${CMAKE_COMMAND}" -E touch "${CMAKE_BINARY_DIR}/layers.stamp"
    DEPENDS ${files} "${table}" "${script}"
    COMMENT "Checking the layers"
    VERBATIM)
  add_custom_target(keel_layers_check ALL DEPENDS "${CMAKE_BINARY_DIR}/layers.stamp")
endfunction()

function(keel_layer_check_links layer)
  if(NOT TARGET keel_${layer})
    return()
  endif()
  get_property(layers GLOBAL PROPERTY KEEL_LAYERS)
  get_property(sees GLOBAL PROPERTY KEEL_LAYER_SEES_${layer})
  get_target_property(links keel_${layer} LINK_LIBRARIES)
  foreach(link IN LISTS links)
    string(REGEX REPLACE "^keel_" "" other "${link}")
    if(other IN_LIST layers AND NOT other IN_LIST sees)
      message(FATAL_ERROR "layer ${layer} links ${link}, which the layer table does not allow")
    endif()
  endforeach()
endfunction()
