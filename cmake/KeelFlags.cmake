# Compiler flags. Everything of keel's links keel_flags; nothing of it reaches users of the library.

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release or RelWithDebInfo" FORCE)
endif()
set(CMAKE_C_FLAGS_RELEASE "-O2 -g -DNDEBUG")
# The sanitizers' build: debug checks stay on, and lines are all that a report shows.
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O1 -g1")

find_package(Threads REQUIRED)

add_library(keel_flags INTERFACE)
target_compile_definitions(keel_flags INTERFACE _GNU_SOURCE)
target_include_directories(keel_flags INTERFACE "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/include")
target_link_libraries(keel_flags INTERFACE Threads::Threads)
target_compile_options(keel_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes
  -Wmissing-prototypes -Wcast-qual -Wundef -Wvla -Wformat=2 -fno-omit-frame-pointer
  -fno-plt # a call of a library touches a page less, docs/adr/0063
  "-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=" # no machine's paths in messages
  $<$<BOOL:${KEEL_WERROR}>:-Werror>)

if(KEEL_SANITIZE)
  set(sanitize -fsanitize=${KEEL_SANITIZE} -fno-sanitize-recover=all)
  target_compile_options(keel_flags INTERFACE ${sanitize})
  target_link_options(keel_flags INTERFACE ${sanitize})
endif()

# Coverage for libFuzzer in everything; the fuzzer itself is linked by the targets alone.
if(KEEL_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "KEEL_FUZZ wants clang: cmake --preset fuzz")
  endif()
  target_compile_options(keel_flags INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(keel_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
