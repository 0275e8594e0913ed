#!/usr/bin/env bash
# Projects that use libae through CMakeLists.txt and meson.build, each with a program in C and one in
# C++. Needs Linux, cmake, ninja and meson. Prints a line for each behaviour.
set -u
cd "$(dirname "$0")/../.."
root=$PWD
. tests/support/check.sh
. tests/support/markdown.sh
unset MAKEFLAGS MFLAGS MAKELEVEL DESTDIR CFLAGS CXXFLAGS LDFLAGS PKG_CONFIG_PATH CMAKE_PREFIX_PATH
for tool in cmake ninja meson pkg-config c++; do
    command -v $tool >/dev/null && continue
    echo "buildsystems: there is no $tool; apt-get install cmake ninja-build meson pkg-config g++" >&2
    exit 1
done
version=$(make -s version)
cp "$root/tests/checks/embedding/sockets.c" "$box/sockets.c"
cp "$root/tests/checks/embedding/sockets.c" "$box/sockets.cpp"
# A copy of the sources as a release holds them. A build must not write into it.
mkdir "$box/ae"
tar cf - --exclude=./build --exclude=./.git --exclude=./libae.a --exclude='./*.tar.gz' . |
    tar xf - -C "$box/ae"
find "$box/ae" | sort >"$box/sources"

# project BUILD_FILE LANGUAGES: begins a project in $box/project, with the build file from stdin.
project() {
    rm -rf "$box/project"
    mkdir "$box/project"
    cp "$box/sockets.c" "$box/sockets.cpp" "$box/project/"
    cat >"$box/project/$1"
}

# programs_run DIRECTORY [BACKEND]: both run, with the version of ae.h and this backend.
programs_run() {
    local program
    for program in in_c in_cxx; do
        [ "$("$1/$program" | tee /dev/stderr)" = "${2:-epoll} $version: received" ] || return 1
    done
}

# is_linked HOW PROGRAM
is_linked() {
    if [ "$1" = shared ]; then
        readelf -d "$2" | grep "NEEDED.*libae.so.${version%%.*}]"
    else
        ! readelf -d "$2" | grep 'NEEDED.*libae'
    fi
}

only_the_loop_is_installed() {
    [ -f "$box/prefix/include/ae.h" ] && nm "$box/prefix/lib/libae.a" >"$box/symbols" || return 1
    grep -w aeMain "$box/symbols" && ! grep ' T anet' "$box/symbols" &&
        [ -z "$(find "$box/prefix" -name 'anet*')" ]
}

the_sources_are_as_before() {
    find "$box/ae" | sort | diff "$box/sources" -
}

## CMake

# with_cmake HOW TO_GET_IT [OPTION...]
with_cmake() {
    local how=$1 shared=OFF
    [ "$how" = static ] || shared=ON
    project CMakeLists.txt <<END
cmake_minimum_required(VERSION 3.14)
project(user C CXX)
$2
add_executable(in_c sockets.c)
add_executable(in_cxx sockets.cpp)
target_link_libraries(in_c ae::ae)
target_link_libraries(in_cxx ae::ae)
END
    shift 2
    cmake -S "$box/project" -B "$box/project/build" -G Ninja -DBUILD_SHARED_LIBS=$shared \
        "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror" "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror" "$@" &&
        cmake --build "$box/project/build" && is_linked $how "$box/project/build/in_c" &&
        is_linked $how "$box/project/build/in_cxx" && the_sources_are_as_before
}

add_subdirectory_adds_it() {
    with_cmake $1 "add_subdirectory(\"$box/ae\" ae)" && programs_run "$box/project/build"
}

FetchContent_adds_it() {
    with_cmake $1 "include(FetchContent)
FetchContent_Declare(ae SOURCE_DIR \"$box/ae\")
FetchContent_MakeAvailable(ae)" && programs_run "$box/project/build"
}

FetchContent_adds_the_tarball_of_a_release() {
    rm -rf "$box/release"
    mkdir "$box/release"
    tar czf "$box/release/libae.tar.gz" -C "$box" ae
    with_cmake $1 "include(FetchContent)
FetchContent_Declare(ae URL \"$box/release/libae.tar.gz\")
FetchContent_MakeAvailable(ae)" && programs_run "$box/project/build"
}

# install_with_cmake HOW [OPTION...]: into $box/prefix.
install_with_cmake() {
    local shared=OFF
    [ "$1" = static ] || shared=ON
    shift
    rm -rf "$box/build" "$box/prefix" "$box/project"
    cmake -S "$box/ae" -B "$box/build" -G Ninja -DBUILD_SHARED_LIBS=$shared \
        -DCMAKE_INSTALL_PREFIX="$box/prefix" "$@" && cmake --build "$box/build" &&
        cmake --install "$box/build"
}

# What was installed is moved: it must be found at another place, too.
find_package_finds_it() {
    install_with_cmake $1 && rm -rf "$box/installed" && mv "$box/prefix" "$box/installed" || return 1
    [ -f "$box/installed/share/man/man3/ae.3" ] && [ -f "$box/installed/include/anet.h" ] || return 1
    with_cmake $1 "find_package(ae ${version%.*} REQUIRED)" -DCMAKE_PREFIX_PATH="$box/installed" &&
        programs_run "$box/project/build" || return 1
    ! with_cmake $1 "find_package(ae 99 REQUIRED)" -DCMAKE_PREFIX_PATH="$box/installed"
}

cmake_builds_the_backend_that_is_named() {
    with_cmake static "add_subdirectory(\"$box/ae\" ae)" -DAE_BACKEND=select &&
        programs_run "$box/project/build" select
}

cmake_rejects_a_backend_that_does_not_exist() {
    if cmake -S "$box/ae" -B "$box/rejected" -DAE_BACKEND=foo >"$box/said" 2>&1; then return 1; fi
    cat "$box/said"
    grep 'no backend foo: give one of epoll' "$box/said"
}

cmake_leaves_anet_out() {
    install_with_cmake static -DANET=OFF && only_the_loop_is_installed
}

# cmake_links SYSTEM FLAGS: for such a system. Nothing is compiled: the commands are read.
cmake_links() {
    project CMakeLists.txt <<END
cmake_minimum_required(VERSION 3.14)
project(user C)
add_subdirectory("$box/ae" ae)
add_executable(in_c sockets.c)
target_link_libraries(in_c ae::ae)
END
    cmake -S "$box/project" -B "$box/project/build" -G Ninja -DCMAKE_SYSTEM_NAME="$1" \
        -DCMAKE_C_COMPILER_WORKS=1 || return 1
    grep 'LINK_LIBRARIES.*libae.a' "$box/project/build/build.ninja" | tee /dev/stderr >"$box/said"
    if [ -n "$2" ]; then grep -e "$2" "$box/said"; else ! grep -e '-l' "$box/said"; fi
}

## Meson

with_meson() {
    local how=$1
    project meson.build <<END
project('user', 'c', 'cpp', default_options: ['werror=true', 'warning_level=2'])
ae = dependency('ae', version: '>=${version%.*}')
executable('in_c', 'sockets.c', dependencies: ae)
executable('in_cxx', 'sockets.cpp', dependencies: ae)
END
    shift
    if [ "${1:-}" = subproject ]; then
        shift
        mkdir -p "$box/project/subprojects"
        cp -R "$box/ae" "$box/project/subprojects/ae"
    fi
    meson setup "$box/project/build" "$box/project" -Ddefault_library=$how "$@" || return 1
    ninja -C "$box/project/build" && is_linked $how "$box/project/build/in_c" &&
        is_linked $how "$box/project/build/in_cxx"
}

a_subproject_of_meson_is_built() {
    with_meson $1 subproject --force-fallback-for=ae && programs_run "$box/project/build"
}

install_with_meson() {
    local how=$1
    shift
    rm -rf "$box/build" "$box/prefix"
    meson setup "$box/build" "$box/ae" -Ddefault_library=$how --prefix "$box/prefix" --libdir lib \
        "$@" && meson install -C "$box/build" && the_sources_are_as_before
}

pkg_config_finds_what_meson_installed() {
    install_with_meson $1 && rm -rf "$box/installed" && mv "$box/prefix" "$box/installed" || return 1
    sed -i "s|^prefix=.*|prefix=$box/installed|" "$box/installed/lib/pkgconfig/ae.pc"
    export PKG_CONFIG_PATH=$box/installed/lib/pkgconfig LD_LIBRARY_PATH=$box/installed/lib
    [ "$(pkg-config --modversion ae)" = "$version" ] && pkg-config --validate ae &&
        [ -f "$box/installed/share/man/man3/ae.3" ] || return 1
    with_meson $1 && programs_run "$box/project/build"
}

meson_builds_the_backend_that_is_named() {
    with_meson static subproject --force-fallback-for=ae -Dae:ae_backend=select &&
        programs_run "$box/project/build" select
}

meson_rejects_a_backend_that_does_not_exist() {
    if meson setup "$box/rejected.meson" "$box/ae" -Dae_backend=foo >"$box/said" 2>&1; then
        return 1
    fi
    cat "$box/said"
    grep foo "$box/said"
}

meson_leaves_anet_out() {
    install_with_meson static -Danet=false && only_the_loop_is_installed
}

# meson_links SYSTEM LIBRARY...: in ae.pc, for such a system.
meson_links() {
    cat >"$box/cross" <<END
[binaries]
c = 'cc'
ar = 'ar'
[host_machine]
system = '$1'
cpu_family = 'x86_64'
cpu = 'x86_64'
endian = 'little'
END
    rm -rf "$box/build"
    meson setup "$box/build" "$box/ae" -Ddefault_library=static --cross-file "$box/cross" || return 1
    shift
    grep -x "Libs: -L\${libdir} -lae${*:+ $*}" "$box/build/meson-private/ae.pc"
}

## The README, as pasted

the_cmake_lines_of_the_README_build_its_program() {
    { printf '%s\n' 'cmake_minimum_required(VERSION 3.14)' 'project(user C)' && block README.md cmake 1; } |
        project CMakeLists.txt
    block README.md c 1 >"$box/project/server.c"
    cp -R "$box/ae" "$box/project/libae"
    cmake -S "$box/project" -B "$box/project/build" -G Ninja && cmake --build "$box/project/build" &&
        [ -x "$box/project/build/server" ]
}

the_meson_lines_of_the_README_build_its_program() {
    { echo "project('user', 'c')" && block README.md meson 1; } | project meson.build
    block README.md c 1 >"$box/project/server.c"
    mkdir "$box/project/subprojects"
    cp -R "$box/ae" "$box/project/subprojects/ae"
    meson setup "$box/project/build" "$box/project" && ninja -C "$box/project/build" &&
        [ -x "$box/project/build/server" ]
}

for how in static shared; do
    check "add_subdirectory adds it: $how" add_subdirectory_adds_it $how
    check "FetchContent adds it: $how" FetchContent_adds_it $how
    check "find_package finds what CMake installed: $how" find_package_finds_it $how
    check "a subproject of Meson is built: $how" a_subproject_of_meson_is_built $how
    check "pkg-config finds what Meson installed: $how" pkg_config_finds_what_meson_installed $how
done
check "FetchContent adds the tarball of a release" FetchContent_adds_the_tarball_of_a_release static
check "CMake builds the backend that is named" cmake_builds_the_backend_that_is_named
check "Meson builds the backend that is named" meson_builds_the_backend_that_is_named
check "CMake rejects a backend that does not exist" cmake_rejects_a_backend_that_does_not_exist
check "Meson rejects a backend that does not exist" meson_rejects_a_backend_that_does_not_exist
check "CMake leaves anet out" cmake_leaves_anet_out
check "Meson leaves anet out" meson_leaves_anet_out
check "CMake links the libraries of sockets: Linux" cmake_links Linux ""
check "CMake links the libraries of sockets: Solaris, illumos" cmake_links SunOS "-lsocket *-lnsl"
check "CMake links the libraries of sockets: Haiku" cmake_links Haiku "-lnetwork"
check "Meson links the libraries of sockets: Linux" meson_links linux
check "Meson links the libraries of sockets: Solaris, illumos" meson_links sunos -lsocket -lnsl
check "Meson links the libraries of sockets: Haiku" meson_links haiku -lnetwork
check "the CMake lines of the README build its program" the_cmake_lines_of_the_README_build_its_program
check "the Meson lines of the README build its program" the_meson_lines_of_the_README_build_its_program
finish
