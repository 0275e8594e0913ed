#!/bin/sh
# Builds the peers from their own releases, each as a static library with -O2, in build/peers:
# include/, lib*/. The tarballs are those of Debian's pool, from the mirrors of the machine's own
# apt, without Debian's patches. Does nothing if they are built. Needs cmake.
set -eu
unset MAKEFLAGS MFLAGS MAKELEVEL
cd "$(dirname "$0")/.."

libev=libev_4.33 libevent=libevent_2.1.13-stable libuv=libuv1_1.50.0
sums="507eb7b8d1015fbec5b935f34ebed15bf346bed04a11ab82b8eee848c4205aea $libev
f7e9383b8c0baa81b687e5b5eecc01beefaf1b19b64151d95ed61647fe7a315c $libevent
ec9de6ecf2a780fd2afb3b007947d2cd57c3bb17f3b9e721a66774980d35cd4d $libuv"
box=$PWD/build/peers
stamp="$sums ${CC:-cc}"
[ "$(cat "$box/built" 2>/dev/null)" != "$stamp" ] || exit 0
rm -rf "$box"
mkdir -p "$box"

mirrors=$(tests/support/mirrors.sh)
[ "$mirrors" ] || {
    echo "peers: apt names no mirror" >&2
    exit 1
}

# fetch PACKAGE_VERSION: unpacks it into a directory of this name.
fetch() {
    sum=$(echo "$sums" | sed -n "s/ $1\$//p")
    for mirror in $mirrors; do
        /usr/lib/apt/apt-helper download-file \
            "$mirror/pool/main/$(echo "$1" | cut -c1-4)/${1%%_*}/$1.orig.tar.gz" \
            "$box/$1.tar.gz" "SHA256:$sum" >>"$box/log" 2>&1 || continue
        mkdir "$box/$1"
        tar xzf "$box/$1.tar.gz" -C "$box/$1" --strip-components=1
        return
    done
    echo "peers: none of apt's mirrors has $1" >&2
    exit 1
}

# withCMake FOLDER OPTION...
withCMake() {
    source=$1
    shift
    cmake -S "$box/$source" -B "$box/$source/build" -DCMAKE_BUILD_TYPE= -DCMAKE_C_FLAGS=-O2 \
        -DCMAKE_INSTALL_PREFIX="$box" -DCMAKE_INSTALL_LIBDIR=lib "$@"
    cmake --build "$box/$source/build" -j 2
    cmake --install "$box/$source/build"
}

build() {
    (cd "$box/$libev" &&
        ./configure CFLAGS=-O2 --prefix="$box" --disable-shared && make -j2 && make install) &&
        withCMake "$libevent" -DEVENT__LIBRARY_TYPE=STATIC -DEVENT__DISABLE_OPENSSL=ON \
            -DEVENT__DISABLE_MBEDTLS=ON -DEVENT__DISABLE_TESTS=ON -DEVENT__DISABLE_SAMPLES=ON \
            -DEVENT__DISABLE_BENCHMARK=ON &&
        withCMake "$libuv" -DLIBUV_BUILD_SHARED=OFF -DLIBUV_BUILD_TESTS=OFF -DBUILD_TESTING=OFF
}

for peer in $libev $libevent $libuv; do fetch "$peer"; done
build >>"$box/log" 2>&1 || {
    tail -n 30 "$box/log" >&2
    exit 1
}
echo "$stamp" >"$box/built"
