#!/bin/sh
# The ways to use the library in another project: copied into its own directory, with the project's
# allocator, panic and backend, and linked. Prints a line for each behaviour.
set -u
cd "$(dirname "$0")/../.."
root=$PWD
cc=${CC:-cc}
flags=${CFLAGS:-}
strict="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wvla -Werror"
. tests/support/check.sh
. tests/support/markdown.sh
# These calls of make are independent of the make that runs this script: bmake would stop them all
# when one fails.
unset MAKEFLAGS MFLAGS MAKELEVEL

# A directory with only these files.
folder() {
    rm -rf "$box/project"
    mkdir "$box/project"
    for file in "$@"; do cp "$root/$file" "$box/project/" || return 1; done
    cd "$box/project" || return 1
}

three_copied_files_build_with_no_flag_and_no_other_file() {
    folder ae.h ae.c ae_$1.c tests/checks/embedding/server.c || return 1
    define=
    [ -z "${2:-}" ] || define=-DAE_BACKEND_$2
    $cc $flags $define server.c ae.c -o server && ./server | tee out && grep -q "^$1: 2" out
}

anet_is_a_pair_of_its_own() {
    folder anet.h anet.c || return 1
    $cc $flags -c anet.c && ! nm -u anet.o | grep -w 'ae[A-Z]'
}

# Solaris and AIX have none.
anet_h_has_AF_LOCAL_where_the_system_has_none() {
    folder anet.h anet.c && mkdir -p system/sys || return 1
    printf '%s\n' '#include_next <sys/socket.h>' '#undef AF_LOCAL' >system/sys/socket.h
    printf '%s\n' '#include "anet.h"' 'int family[AF_LOCAL == AF_UNIX ? 1 : -1];' >user.c
    $cc $flags -isystem system -Wall -Wextra -Werror -c anet.c user.c &&
        $cc $flags -Wall -Wextra -Werror -c user.c
}

# $1: -std=..., then more flags that projects use.
strict_modes_hide_nothing_that_is_needed() {
    folder ae.h ae.c ae_epoll.c ae_select.c anet.h anet.c || return 1
    for std in "$@"; do
        $cc $flags $std -Wall -Wextra -Werror -c ae.c &&
            $cc $flags $std -Wall -Wextra -Werror -DAE_BACKEND_SELECT -c ae.c &&
            $cc $flags $std -Wall -Wextra -Werror -c anet.c || return 1
    done
}

a_program_may_replace_the_allocator_and_the_panic() {
    folder ae.h ae.c ae_$1.c tests/checks/embedding/server.c tests/checks/embedding/allocator.h ||
        return 1
    $cc $flags -DAE_BACKEND_$2 -DOWN_FUNCTIONS -DAE_MALLOC=countedMalloc -DAE_REALLOC=countedRealloc \
        -DAE_FREE=countedFree -DAE_ALLOC_HEADER='"allocator.h"' -DAE_PANIC=ownPanic \
        server.c ae.c -o server && ./server || return 1
    ! nm ae.o 2>/dev/null | grep -wE 'U (malloc|free|abort)' || return 1
    [ $1 != epoll ] || {
        ./server break >out
        [ $? = 3 ] && grep -q '^panic: ae: epoll: epoll_p*wait2*: Bad file descriptor$' out
    }
}

# The backend in the manual.
a_program_may_have_its_own_backend() {
    folder ae.h ae.c tests/checks/embedding/server.c || return 1
    "$root/tests/support/manual.sh" "$root/doc/ae.3" "file: ae_mine.c" >ae_mine.c || return 1
    $cc $flags -std=c11 $strict -DAE_BACKEND_FILE='"ae_mine.c"' -c ae.c &&
        $cc $flags server.c ae.o -o server && ./server | tee out && grep -q '^mine: 2' out
}

# Every function of the headers, and no other.
promised() {
    grep -oE "\\b$1[A-Za-z0-9]+\\(" "$root/$2" | tr -d '(' | sort -u
}

no_symbol_but_those_of_the_header_leaves_an_object() {
    folder ae.h ae.c ae_epoll.c ae_select.c anet.h anet.c || return 1
    $cc -O0 -c ae.c anet.c || return 1
    nm ae.o | sed -n 's/.* [A-TV-Z] //p' | sort >have
    promised ae ae.h | grep -vE 'Proc$' >ae.names
    promised ae ae.h | grep -E '^aeSet(Before|After)SleepProc$' >>ae.names
    sort -o ae.names ae.names
    diff have ae.names || return 1
    nm anet.o | sed -n 's/.* [A-TV-Z] //p' | sort >have
    promised anet anet.h >anet.names
    diff have anet.names
}

no_object_has_writable_static_data() {
    folder ae.h ae.c ae_epoll.c ae_select.c anet.h anet.c || return 1
    for backend in EPOLL SELECT; do
        $cc -O0 -DAE_BACKEND_$backend -c ae.c anet.c || return 1
        ! nm ae.o anet.o | grep -E ' [bBdDcC] ' || return 1
    done
}

headers_stand_alone_in_c_and_in_cxx() {
    folder ae.h anet.h || return 1
    for header in ae.h anet.h; do
        for std in c99 c11 c17 c2x; do
            echo "#include \"$header\"" | $cc -std=$std $strict -I. -x c -c - -o x.o || return 1
        done
        command -v c++ >/dev/null || continue
        for std in c++11 c++14 c++17 c++20; do
            echo "#include \"$header\"" |
                c++ -std=$std -Wall -Wextra -Wpedantic -Wold-style-cast -Werror -I. -x c++ -c - \
                    -o x.o || return 1
        done
    done
}

# The headers of Redis that ae.h and ae.c look for, with the parts that they use; with a
# redisassert.c, as since Redis 7.0, unless $1 is old.
redis_headers() {
    printf '%s\n' '#include <stddef.h>' 'void *zmalloc(size_t size);' \
        'void *zrealloc(void *ptr, size_t size);' 'void zfree(void *ptr);' >zmalloc.h
    printf '%s\n' 'void _serverPanic(const char *file, int line, const char *msg, ...);' \
        '#define panic(...) _serverPanic(__FILE__, __LINE__, __VA_ARGS__)' >redisassert.h
    printf '%s\n' '#ifndef M_H' '#define M_H' '#define _GNU_SOURCE' '#include <stdint.h>' \
        'typedef uint64_t monotime;' 'extern monotime (*getMonotonicUs)(void);' '#endif' >monotonic.h
    printf '%s\n' '#include <stdlib.h>' '#include "zmalloc.h"' \
        'void *zmalloc(size_t size) { return malloc(size); }' \
        'void *zrealloc(void *ptr, size_t size) { return realloc(ptr, size); }' \
        'void zfree(void *ptr) { free(ptr); }' >zmalloc.c
    [ "${1:-}" = old ] || printf '%s\n' '#include "redisassert.h"' '#include <stdlib.h>' \
        'void _serverPanic(const char *file, int line, const char *msg, ...) {' \
        '    (void)file, (void)line, (void)msg, abort();' '}' >redisassert.c
}

# The sources of Redis include monotonic.h only through ae.h.
in_a_redis_tree_monotonic_h_comes_with_ae_h() {
    folder ae.h ae.c ae_epoll.c ae_select.c && redis_headers || return 1
    printf '%s\n' '#include "ae.h"' 'monotime x;' >user.c
    $cc -std=c11 $strict -c ae.c user.c
}

# $1: the flags; then the functions that memory and panic must use, and those that they must not use.
in_a_redis_tree() {
    folder ae.h ae.c ae_epoll.c && redis_headers || return 1
    $cc -O0 -std=c11 -Wall -Wextra -Werror $1 -c ae.c || return 1
    for symbol in $2; do nm ae.o | grep -qw "U $symbol" || return 1; done
    for symbol in $3; do ! nm ae.o | grep -w "U $symbol" || return 1; done
}

# As redis-cli and redis-benchmark from Redis 4.0 to 6.2.
a_tool_without_the_servers_panic_links() {
    folder ae.h ae.c ae_epoll.c tests/checks/embedding/server.c && redis_headers old || return 1
    rm monotonic.h
    $cc $flags server.c ae.c zmalloc.c -o tool && ./tool | tee out && grep -q '^epoll: 2' out &&
        $cc -O0 -c ae.c && nm ae.o | grep -qw 'U zmalloc'
}

# As those from Redis 7.0 on.
a_tool_with_a_panic_of_its_own_links() {
    folder ae.h ae.c ae_epoll.c tests/checks/embedding/server.c && redis_headers || return 1
    $cc $flags server.c ae.c zmalloc.c redisassert.c -o tool && ./tool | tee out &&
        grep -q '^epoll: 2' out
}

one_of_the_two_headers_of_redis_is_not_enough() {
    in_a_redis_tree "" "" "" && rm redisassert.h || return 1
    $cc -O0 -c ae.c && nm ae.o | grep -qw 'U malloc' && ! nm ae.o | grep -w 'U zmalloc'
}

# A header of that name that is not Redis's: it does not compile without others of its project.
foreign_headers() {
    for name in "$@"; do echo 'typedef struct { Stamp stamp; } Foreign;' >"$name"; done
}

# A project's own header may have any of Redis's names, beside the files or on the path.
a_foreign_header_is_not_looked_at() {
    for names in monotonic.h zmalloc.h redisassert.h "monotonic.h zmalloc.h" \
        "monotonic.h redisassert.h"; do
        folder ae.h ae.c ae_epoll.c tests/checks/embedding/server.c && foreign_headers $names &&
            $cc $flags server.c ae.c -o server && ./server || return 1
        folder tests/checks/embedding/server.c && foreign_headers $names && mkdir ae &&
            cp "$root/ae.h" "$root/ae.c" "$root/ae_epoll.c" ae &&
            $cc $flags -I. -Iae server.c ae/ae.c -o server && ./server || return 1
    done
}

AE_STANDALONE_keeps_all_headers_of_redis_out() {
    folder ae.h ae.c ae_epoll.c tests/checks/embedding/server.c || return 1
    foreign_headers monotonic.h zmalloc.h redisassert.h
    $cc $flags -DAE_STANDALONE server.c ae.c -o server && ./server
}

# The library exists, and the header is in a system directory, as after make install.
an_installed_ae_h_looks_at_no_foreign_header() {
    folder tests/checks/embedding/server.c && mkdir include || return 1
    (cd "$root" && ${MAKE:-make} libae.a) && cp "$root/ae.h" include/ && foreign_headers monotonic.h &&
        $cc $flags -I. -isystem include server.c "$root/libae.a" -o server && ./server || return 1
    foreign_headers zmalloc.h redisassert.h
    $cc $flags -DAE_STANDALONE -I. -isystem include server.c "$root/libae.a" -o server && ./server
}

# A program with its own loop and its own anet, whose objects are beside their sources.
programWithItsOwnLoop() {
    rm -rf "$box/program" "$box/untouched"
    mkdir -p "$box/program/src" || return 1
    for file in ae.c ae.h $(cd "$root" && echo ae_*.c) anet.c anet.h; do
        echo "/* the program's own $file */" >"$box/program/src/$file" || return 1
    done
    printf '%s\n' 'all:' "	cd src && $cc -O2 -c ae.c anet.c" 'distclean:' '	rm -f src/*.o' \
        >"$box/program/Makefile" && cp -R "$box/program" "$box/untouched" &&
        (cd "$box/program" && ${MAKE:-make})
}

# follow NUMBER: runs a block of doc/DROPIN.md, with the paths in place of its two placeholders.
follow() {
    block "$root/doc/DROPIN.md" text $1 | sed "s|PROGRAM|$box/program|; s|LIBAE|$root|g" >"$box/block.sh"
    [ -s "$box/block.sh" ] && PATH=$box/bin:$PATH sh -eux "$box/block.sh"
}

the_lines_of_DROPIN_swap_update_and_go_back() {
    mkdir -p "$box/bin" && printf '#!/bin/sh\nexec %s "$@"\n' "$(command -v ${MAKE:-make})" \
        >"$box/bin/make" && chmod +x "$box/bin/make" && programWithItsOwnLoop || return 1
    for _ in swap update; do
        follow 1 || return 1
        for file in ae.c ae.h ae_*.c anet.c anet.h; do
            cmp "$file" "$box/program/src/$file" || return 1
        done
        cmp LICENSE "$box/program/src/LICENSE.libae" || return 1
        marks "$box/program/src/ae.o" || return 1
    done
    follow 2 && ! marks "$box/program/src/ae.o" && rm "$box/program"/src/*.o &&
        diff -r "$box/untouched" "$box/program"
}

# marks PROGRAM: the command with which doc/DROPIN.md tells that a program has our loop.
marks() {
    command=$(sed -n "s/^ *\(grep -c '[^']*'\) src.*/\1/p" "$root/doc/DROPIN.md")
    [ -n "$command" ] && [ "$(eval "$command \"$1\"")" = 1 ]
}

a_stripped_program_still_shows_that_it_has_our_loop() {
    folder ae.h ae.c ae_epoll.c ae_select.c tests/checks/embedding/server.c || return 1
    for backend in EPOLL SELECT; do
        $cc $flags -O3 -DAE_BACKEND_$backend server.c ae.c -o server && strip server &&
            marks server || return 1
    done
}

the_README_swaps_as_DROPIN_does() {
    block README.md text 2 >"$box/readme" && block doc/DROPIN.md text 1 | diff "$box/readme" - &&
        [ -s "$box/readme" ]
}

a_tree_that_is_already_swapped_is_refused() {
    mkdir -p "$box/swapped/src" && cp ae.h "$box/swapped/src/" && touch "$box/swapped/src/server.h" ||
        return 1
    ! ${MAKE:-make} dropin-redis REDIS_SRC="$box/swapped" >"$box/said" 2>&1 && cat "$box/said" &&
        grep -q 'ae.h is that of libae' "$box/said" && ! grep -q builds "$box/said"
}

# vendors FILES VARIABLE=VALUE ...: copies no other file, and prints all lines that a makefile needs.
vendors() {
    folder tests/checks/embedding/server.c || return 1
    echo "$1 LICENSE" | tr ' ' '\n' | sort >expected
    shift
    (cd "$root" && ${MAKE:-make} -s vendor DEST="$box/project/lib" "$@") >Makefile || return 1
    ls lib | diff expected - || return 1
    [ "$(wc -l <Makefile)" = 2 ] || return 1
    printf '%s\n\t%s\n' 'server: $(SOURCES)' \
        "$cc $flags"' $(CPPFLAGS) server.c $(SOURCES) -o server' >>Makefile
    ${MAKE:-make} server || return 1
    ./server | tee out && grep -q "^$backend: 2" out
}

make_vendor_loses_no_licence() {
    folder || return 1
    mkdir lib && echo mine >lib/LICENSE
    ! (cd "$root" && ${MAKE:-make} -s vendor DEST="$box/project/lib") &&
        [ "$(cat lib/LICENSE)" = mine ] && [ "$(ls lib)" = LICENSE ]
}

make_vendor_says_what_it_cannot_do() {
    ! (cd "$root" && ${MAKE:-make} -s vendor) 2>"$box/said" && grep -q 'say where to' "$box/said" &&
        ! (cd "$root" && ${MAKE:-make} -s vendor DEST="$box/none" BACKEND=iocp) 2>"$box/said" &&
        grep -q 'no backend iocp' "$box/said" && [ ! -e "$box/none" ]
}

the_version_is_the_same_everywhere() {
    version=$(cd "$root" && ${MAKE:-make} -s version)
    echo "$version" | grep -qE '^[0-9]+\.[0-9]+\.[0-9]+$' || return 1
    (cd "$root" && ${MAKE:-make} -s build/ae.pc) && grep -qx "Version: $version" "$root/build/ae.pc" &&
        sed -n 's/^## \([^ ]*\).*/\1/p' "$root/CHANGELOG.md" | head -n 1 | grep -qxF "$version"
}

for backend in epoll:EPOLL select:SELECT; do
    check "three copied files build with no flag and no other file: ${backend%:*}" \
        three_copied_files_build_with_no_flag_and_no_other_file ${backend%:*} \
        $([ $backend = epoll:EPOLL ] || echo ${backend#*:})
    check "a program may replace the allocator and the panic: ${backend%:*}" \
        a_program_may_replace_the_allocator_and_the_panic ${backend%:*} ${backend#*:}
done
check "a program may have its own backend" a_program_may_have_its_own_backend
check "anet is a pair of its own" anet_is_a_pair_of_its_own
check "anet.h has AF_LOCAL where the system has none" anet_h_has_AF_LOCAL_where_the_system_has_none
check "strict modes hide nothing that is needed" strict_modes_hide_nothing_that_is_needed \
    "-std=c99 -pedantic" "-std=c11 -pedantic" "-std=c99 -Wpointer-arith" \
    "-std=c99 -D_POSIX_C_SOURCE=200112L -D_DEFAULT_SOURCE" \
    "-std=gnu11 -O3 -flto -Wstrict-prototypes -Werror=deprecated-declarations" "-D_GNU_SOURCE"
check "no symbol but those of the header leaves an object" \
    no_symbol_but_those_of_the_header_leaves_an_object
check "no object has writable static data" no_object_has_writable_static_data
check "headers stand alone in C and in C++" headers_stand_alone_in_c_and_in_cxx
check "in a Redis tree monotonic.h comes with ae.h" in_a_redis_tree_monotonic_h_comes_with_ae_h
check "in a Redis tree memory and panic are the server's" in_a_redis_tree \
    "" "zmalloc zrealloc zfree _serverPanic" "malloc realloc free abort"
check "AE_STANDALONE denies the Redis tree" in_a_redis_tree \
    -DAE_STANDALONE "malloc realloc free abort" "zmalloc zrealloc zfree _serverPanic"
check "one of the two headers of Redis is not enough" one_of_the_two_headers_of_redis_is_not_enough
check "a tool without the server's panic links" a_tool_without_the_servers_panic_links
check "a tool with a panic of its own links" a_tool_with_a_panic_of_its_own_links
check "a foreign header is not looked at" a_foreign_header_is_not_looked_at
check "AE_STANDALONE keeps all headers of Redis out" AE_STANDALONE_keeps_all_headers_of_redis_out
check "an installed ae.h looks at no foreign header" an_installed_ae_h_looks_at_no_foreign_header
check "the lines of DROPIN swap, update and go back" the_lines_of_DROPIN_swap_update_and_go_back
check "a stripped program still shows that it has our loop" \
    a_stripped_program_still_shows_that_it_has_our_loop
check "the README swaps as DROPIN does" the_README_swaps_as_DROPIN_does
check "a tree that is already swapped is refused" a_tree_that_is_already_swapped_is_refused
backend=epoll
check "make vendor copies what is needed here" vendors "ae.h ae.c ae_epoll.c" BACKEND=
backend=select
check "make vendor copies the backend named" vendors "ae.h ae.c ae_select.c" BACKEND=select
backend=epoll
check "make vendor copies all, and anet" vendors \
    "ae.h ae.c $(echo ae_*.c) anet.c anet.h" BACKEND=all ANET=1
check "make vendor loses no licence" make_vendor_loses_no_licence
check "make vendor says what it cannot do" make_vendor_says_what_it_cannot_do
check "the version is the same everywhere" the_version_is_the_same_everywhere
finish
