# Hilum SDK for CMake: find_package(HilumSDK) gives hilum_add_plugin(). Needs a compiler and nothing of Hilum's.
# SPDX-License-Identifier: MIT
if(NOT TARGET Hilum::SDK)
  # <prefix>/lib/<arch>/cmake/HilumSDK or sdk/cmake of the source tree: the headers are found upwards.
  find_path(HILUM_SDK_INCLUDE_DIR hilum/plugin.h NO_DEFAULT_PATH PATHS
    ${CMAKE_CURRENT_LIST_DIR}/../include ${CMAKE_CURRENT_LIST_DIR}/../../../include
    ${CMAKE_CURRENT_LIST_DIR}/../../../../include)
  if(NOT HILUM_SDK_INCLUDE_DIR)
    set(HilumSDK_FOUND FALSE)
    set(HilumSDK_NOT_FOUND_MESSAGE "hilum/plugin.h is not above ${CMAKE_CURRENT_LIST_DIR}")
    return()
  endif()
  add_library(Hilum::SDK INTERFACE IMPORTED)
  set_target_properties(Hilum::SDK PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${HILUM_SDK_INCLUDE_DIR}")
  find_program(HILUM_PLUGIN_CHECK hilum-plugin-check HINTS ${HILUM_SDK_INCLUDE_DIR}/../bin)
endif()

# hilum_add_plugin(ID sources...): ID.so, as the host wants it: hidden symbols, bound at once, no unique symbols,
# linked to nothing of Hilum's. With enable_testing(), ctest asks hilum-plugin-check about it.
function(hilum_add_plugin id)
  add_library(${id} MODULE ${ARGN})
  target_link_libraries(${id} PRIVATE Hilum::SDK)
  target_compile_options(${id} PRIVATE "$<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique>")
  target_link_options(${id} PRIVATE -Wl,-z,now -Wl,-z,relro)
  set_target_properties(${id} PROPERTIES PREFIX "" C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON C_STANDARD 17)
  if(HILUM_PLUGIN_CHECK AND CMAKE_PROJECT_NAME STREQUAL PROJECT_NAME)
    add_test(NAME check_${id} COMMAND ${HILUM_PLUGIN_CHECK} $<TARGET_FILE:${id}>)
  endif()
endfunction()
