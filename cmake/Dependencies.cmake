# What ocelli builds on. Apt packages by their own CMake or pkg-config files; LibTorch from the pinned wheel in .venv.
find_package(Threads REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(ZLIB REQUIRED)
find_package(PkgConfig REQUIRED)

function(ocelli_pkg target module)
  pkg_check_modules(${target} REQUIRED IMPORTED_TARGET GLOBAL ${module})
  add_library(${target}::${target} ALIAS PkgConfig::${target})
endfunction()
ocelli_pkg(webp libwebp)
ocelli_pkg(pcre2 libpcre2-8)
ocelli_pkg(utf8proc libutf8proc)
ocelli_pkg(xxhash libxxhash)
ocelli_pkg(zstd libzstd)

if(OCELLI_TESTS)
  find_package(GTest REQUIRED)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  # pch_defines, time_macros: what ccache needs to accept precompiled headers.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE})
endif()

if(OCELLI_TORCH)
  find_package(tomlplusplus REQUIRED)
  find_package(CLI11 REQUIRED)
  set(OCELLI_TORCH_DIR "" CACHE PATH "Folder of the torch package (default: the one in .venv)")
  if(NOT OCELLI_TORCH_DIR)
    file(GLOB OCELLI_TORCH_DIR ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch)
  endif()
  if(NOT EXISTS "${OCELLI_TORCH_DIR}/include/ATen/ATen.h")
    message(FATAL_ERROR "LibTorch not found (looked in '${OCELLI_TORCH_DIR}'). Run scripts/setup, or pass -DOCELLI_TORCH_DIR=<site-packages/torch>.")
  endif()
  # The wheel carries headers of a newer fmt without its library; a folder searched before the wheel's keeps one fmt for all.
  get_target_property(OCELLI_FMT_INCLUDE fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/fmt_first)
  file(CREATE_LINK ${OCELLI_FMT_INCLUDE}/fmt ${CMAKE_BINARY_DIR}/fmt_first/fmt SYMBOLIC)
  # Described here rather than through TorchConfig.cmake, which sets global flags.
  add_library(ocelli_libtorch INTERFACE)
  target_include_directories(ocelli_libtorch SYSTEM INTERFACE
    ${CMAKE_BINARY_DIR}/fmt_first ${OCELLI_TORCH_DIR}/include ${OCELLI_TORCH_DIR}/include/torch/csrc/api/include)
  target_link_libraries(ocelli_libtorch INTERFACE
    ${OCELLI_TORCH_DIR}/lib/libtorch.so ${OCELLI_TORCH_DIR}/lib/libtorch_cpu.so ${OCELLI_TORCH_DIR}/lib/libc10.so)
  target_link_options(ocelli_libtorch INTERFACE -Wl,--no-as-needed)
  if(OCELLI_CUDA)
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
    target_compile_definitions(ocelli_libtorch INTERFACE OCELLI_CUDA)
    target_link_libraries(ocelli_libtorch INTERFACE
      ${OCELLI_TORCH_DIR}/lib/libtorch_cuda.so ${OCELLI_TORCH_DIR}/lib/libc10_cuda.so CUDA::cudart)
  endif()

  # Arrow: the pyarrow wheel carries its C++ headers and libraries, the version in their names. Without it there is no Parquet.
  set(OCELLI_ARROW_DIR "" CACHE PATH "Folder of the pyarrow package (default: the one in .venv)")
  if(NOT OCELLI_ARROW_DIR)
    file(GLOB OCELLI_ARROW_DIR ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/pyarrow)
  endif()
  file(GLOB OCELLI_ARROW_LIBRARIES ${OCELLI_ARROW_DIR}/libparquet.so.* ${OCELLI_ARROW_DIR}/libarrow.so.*)
  if(OCELLI_ARROW_LIBRARIES)
    set_source_files_properties(${PROJECT_SOURCE_DIR}/ocelli/data/parquet_file.cpp PROPERTIES SKIP_PRECOMPILE_HEADERS ON
      COMPILE_DEFINITIONS OCELLI_ARROW COMPILE_OPTIONS "-isystem;${OCELLI_ARROW_DIR}/include")
  else()
    message(STATUS "pyarrow not found (looked in '${OCELLI_ARROW_DIR}'): building without Parquet; scripts/setup installs it")
  endif()
endif()
