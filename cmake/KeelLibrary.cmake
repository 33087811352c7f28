# libkeel: shared and static, from the same objects.
#
# Tests and the command link keel_internal, which shows the names of every layer. The libkeel.a that
# users link is one object with all hidden names made local, so that short names of base cannot
# collide with theirs.

set(keel_objects "")
get_property(layers GLOBAL PROPERTY KEEL_LAYERS)
foreach(layer IN LISTS layers)
  if(TARGET keel_${layer})
    list(APPEND keel_objects $<TARGET_OBJECTS:keel_${layer}>)
  endif()
endforeach()

set(keel_private_libs keel_dep_liburing keel_dep_libisal keel_dep_libnvme Threads::Threads m)

add_library(keel_internal STATIC ${keel_objects})
set_target_properties(keel_internal PROPERTIES
  LINKER_LANGUAGE C
  ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/internal")
target_link_libraries(keel_internal PUBLIC ${keel_private_libs})

add_library(keel_shared SHARED ${keel_objects})
set_target_properties(keel_shared PROPERTIES
  LINKER_LANGUAGE C
  OUTPUT_NAME keel
  VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR})
target_include_directories(keel_shared INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(keel_shared PRIVATE keel_flags ${keel_private_libs})
if(NOT KEEL_SANITIZE)
  target_link_options(keel_shared PRIVATE -Wl,--no-undefined -Wl,--as-needed)
endif()

set(keel_archive "${CMAKE_BINARY_DIR}/lib/libkeel.a")
set(keel_single "${CMAKE_BINARY_DIR}/internal/keel.o")
add_custom_command(
  OUTPUT "${keel_archive}"
  COMMAND "${CMAKE_COMMAND}" -E rm -f "${keel_archive}"
  COMMAND "${CMAKE_COMMAND}" -E make_directory "${CMAKE_BINARY_DIR}/internal"
  COMMAND "${CMAKE_LINKER}" -r -o "${keel_single}" ${keel_objects}
  COMMAND "${CMAKE_OBJCOPY}" --localize-hidden "${keel_single}"
  COMMAND "${CMAKE_AR}" rcs "${keel_archive}" "${keel_single}"
  DEPENDS ${keel_objects}
  COMMAND_EXPAND_LISTS
  COMMENT "Making libkeel.a"
  VERBATIM)
add_custom_target(keel_static ALL DEPENDS "${keel_archive}")

# The same once more with seeded bugs (base/bug.h), for the tests that must catch them.
if(KEEL_TESTS AND NOT KEEL_RACE_ONLY AND EXISTS "${PROJECT_SOURCE_DIR}/base/bug.h")
  get_property(sources GLOBAL PROPERTY KEEL_SOURCES)
  add_library(keel_seeded STATIC EXCLUDE_FROM_ALL ${sources})
  set_target_properties(keel_seeded PROPERTIES ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/internal")
  target_compile_definitions(keel_seeded PUBLIC KEEL_SEEDED_BUGS)
  target_link_libraries(keel_seeded PRIVATE keel_flags PUBLIC ${keel_private_libs})
endif()
