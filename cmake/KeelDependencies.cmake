# Other people's libraries. A missing one stops the configuration and names the Debian package.

find_package(PkgConfig)
if(NOT PKG_CONFIG_FOUND)
  message(FATAL_ERROR "pkg-config is missing: apt-get install pkg-config")
endif()

# keel_dependency(NAME pkg-config-name HEADER file LIBRARY name PACKAGE debian-package)
#
# Makes the target keel_dep_NAME. Falls back to the header and the library where the .pc file cannot
# be used: Debian 12's libnvme.pc asks for json-c's, which its package does not depend on.
function(keel_dependency name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "HEADER;LIBRARY;PACKAGE" "")
  if(TARGET keel_dep_${name})
    return()
  endif()

  add_library(keel_dep_${name} INTERFACE)
  pkg_check_modules(KEEL_${name} QUIET IMPORTED_TARGET ${name})
  if(KEEL_${name}_FOUND)
    target_link_libraries(keel_dep_${name} INTERFACE PkgConfig::KEEL_${name})
    return()
  endif()

  find_path(KEEL_${name}_INCLUDE ${arg_HEADER})
  find_library(KEEL_${name}_LIBRARY ${arg_LIBRARY})
  mark_as_advanced(KEEL_${name}_INCLUDE KEEL_${name}_LIBRARY)
  if(NOT KEEL_${name}_INCLUDE OR NOT KEEL_${name}_LIBRARY)
    message(FATAL_ERROR "${name} is missing: apt-get install ${arg_PACKAGE}")
  endif()
  target_include_directories(keel_dep_${name} SYSTEM INTERFACE "${KEEL_${name}_INCLUDE}")
  target_link_libraries(keel_dep_${name} INTERFACE "${KEEL_${name}_LIBRARY}")
endfunction()

keel_dependency(liburing HEADER liburing.h    LIBRARY uring PACKAGE liburing-dev)
keel_dependency(libisal  HEADER isa-l/crc.h   LIBRARY isal  PACKAGE libisal-dev)
keel_dependency(libnvme  HEADER libnvme.h     LIBRARY nvme  PACKAGE libnvme-dev)
