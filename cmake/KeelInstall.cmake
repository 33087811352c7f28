# Installing: libraries, public headers, the command and a pkg-config file.

install(TARGETS keel_shared LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(FILES "${CMAKE_BINARY_DIR}/lib/libkeel.a" DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/keel" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.h")
if(TARGET keel)
  install(TARGETS keel RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()

# The file finds its prefix from its own place, so that cmake --install --prefix works too.
file(RELATIVE_PATH KEEL_PC_UP "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file("${PROJECT_SOURCE_DIR}/cmake/keel.pc.in" "${CMAKE_BINARY_DIR}/keel.pc" @ONLY)
install(FILES "${CMAKE_BINARY_DIR}/keel.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
