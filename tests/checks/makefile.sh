#!/bin/sh
# Tests the goals of the Makefile: install and uninstall, one test by name, dry runs, errors. Most
# tests work in a copy of the sources. Prints a line for each behaviour.
set -u
cd "$(dirname "$0")/../.."
root=$PWD
make=${MAKE:-make}
cc=${CC:-cc}
flags=${CFLAGS:-}
. tests/support/check.sh
# These calls of make are independent of the make that runs this script. bmake would stop them all
# when one fails.
unset MAKEFLAGS MFLAGS MAKELEVEL BACKEND AE_TEST DESTDIR PREFIX LIBDIR INCLUDEDIR MANDIR

# A clean copy of the sources, and nothing installed.
enter() {
    rm -rf "$box/ae" "$box/stage" "$box/bin"
    mkdir "$box/ae" "$box/bin"
    (cd "$root" && tar cf - --exclude=./build --exclude=./.git --exclude=./libae.a \
        --exclude='./*.tar.gz' .) | tar xf - -C "$box/ae"
    cd "$box/ae" || return 1
    stage=$box/stage
}

# Installs with the variables given, into $stage.
installs() {
    $make install DESTDIR="$stage" PREFIX=/opt/ae "$@"
}

# Builds the test program with what is installed, and prints its output.
runs_with_what_is_installed() {
    $cc $flags -I"$stage/opt/ae/include" tests/checks/embedding/server.c \
        -L"$stage/opt/ae/lib" -lae -o "$box/server" && "$box/server"
}

the_default() {
    case $(uname) in
    Linux) echo epoll ;;
    SunOS) echo evport ;;
    *BSD | DragonFly | Darwin) echo kqueue ;;
    *) echo select ;;
    esac
}

# Gives all files the same time, in the past: some makes compare whole seconds, and would miss a change
# within the same second.
age() {
    find . -type f -exec touch -t 202001010000 {} +
}

# Prints the names that the NAME section of a page lists.
names() {
    awk '/^\.Sh / { inside = $2 == "NAME" } inside && $1 == ".Nm" { print $2 }' "doc/$1.3"
}

install_builds_what_it_installs() {
    enter && installs && runs_with_what_is_installed | grep "^$(the_default): 2"
}

install_after_a_change_of_the_sources_installs_the_change() {
    enter && installs && age || return 1
    echo 'int aeAddedLater(void); int aeAddedLater(void) { return 1; }' >>ae.c
    echo 'int anetAddedLater(void); int anetAddedLater(void) { return 1; }' >>anet.c
    installs || return 1
    nm "$stage/opt/ae/lib/libae.a" >"$box/symbols"
    grep aeAddedLater "$box/symbols" && grep anetAddedLater "$box/symbols"
}

install_installs_the_backend_that_is_named() {
    enter && installs && age && installs BACKEND=select || return 1
    runs_with_what_is_installed | grep '^select: 2' || return 1
    age && installs && runs_with_what_is_installed | grep "^$(the_default): 2"
}

a_suite_is_rebuilt_when_its_flags_change() {
    enter || return 1
    suite="$make -f tests/Makefile BACKEND=select build/select/support.o"
    $suite && age && $suite && ! [ build/select/support.o -nt Makefile ] || return 1
    $suite CPPFLAGS=-DCHANGED && [ build/select/support.o -nt Makefile ] || return 1
    age && $suite && [ build/select/support.o -nt Makefile ]
}

every_directory_can_be_chosen() {
    enter && installs LIBDIR=/opt/lib64 INCLUDEDIR=/opt/headers/ae MANDIR=/opt/pages || return 1
    [ -f "$stage/opt/headers/ae/ae.h" ] && [ -f "$stage/opt/headers/ae/anet.h" ] &&
        [ -f "$stage/opt/lib64/libae.a" ] && [ -f "$stage/opt/lib64/pkgconfig/ae.pc" ] &&
        [ -f "$stage/opt/pages/man3/ae.3" ] && [ ! -e "$stage/opt/ae" ] || return 1
    grep -x libdir=/opt/lib64 "$stage/opt/lib64/pkgconfig/ae.pc" &&
        grep -x includedir=/opt/headers/ae "$stage/opt/lib64/pkgconfig/ae.pc" || return 1
    $make uninstall DESTDIR="$stage" LIBDIR=/opt/lib64 INCLUDEDIR=/opt/headers/ae \
        MANDIR=/opt/pages && [ -z "$(find "$stage" ! -type d)" ]
}

a_directory_may_have_a_blank_in_its_name() {
    enter && stage="$box/stage/with a blank" && installs && [ -f "$stage/opt/ae/lib/libae.a" ] &&
        $make uninstall DESTDIR="$stage" PREFIX=/opt/ae && [ -z "$(find "$stage" ! -type d)" ]
}

nothing_is_installed_outside_of_DESTDIR() {
    enter && installs PREFIX="$box/outside" && [ -f "$stage/$box/outside/lib/libae.a" ] &&
        [ ! -e "$box/outside" ]
}

uninstall_removes_what_was_installed_and_nothing_else() {
    enter && installs || return 1
    [ "$(find "$stage" ! -type d | wc -l)" -gt 40 ] || return 1
    touch "$stage/opt/ae/lib/other.a" "$stage/opt/ae/include/aeother.h" \
        "$stage/opt/ae/share/man/man3/aeOther.3"
    $make uninstall DESTDIR="$stage" PREFIX=/opt/ae || return 1
    [ "$(find "$stage" ! -type d | wc -l)" -eq 3 ] && [ -f "$stage/opt/ae/lib/other.a" ] &&
        [ -f "$stage/opt/ae/include/aeother.h" ] && [ -f "$stage/opt/ae/share/man/man3/aeOther.3" ]
}

uninstall_where_nothing_is_installed_succeeds() {
    enter && $make uninstall DESTDIR="$stage" PREFIX=/opt/ae && [ ! -e "$stage" ]
}

man_finds_every_function() {
    enter && installs || return 1
    for page in ae anet; do
        for name in $(names $page); do
            MANPAGER=cat $man -M "$stage/opt/ae/share/man" 3 $name >"$box/page" || return 1
            # Bold letters are printed twice, with a backspace between.
            sed "s/.$(printf '\b')//g" "$box/page" | grep -q "^ *$page, $page" || return 1
        done
    done
    [ "$(ls "$stage/opt/ae/share/man/man3" | grep -c '^ae[A-Z]')" -ge 18 ] &&
        [ "$(ls "$stage/opt/ae/share/man/man3" | grep -c '^anet[A-Z]')" -ge 24 ]
}

ae_pc_is_complete() {
    enter && installs || return 1
    PKG_CONFIG_PATH=$stage/opt/ae/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$stage
    export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
    pkg-config --validate ae || return 1
    [ "$(pkg-config --modversion ae)" = "$($make -s version)" ] || return 1
    for field in Name Description Version License Libs Cflags; do
        grep -E "^$field: [^ ]" "$PKG_CONFIG_PATH/ae.pc" || return 1
    done
    $cc $flags $(pkg-config --cflags ae) tests/checks/embedding/server.c $(pkg-config --libs ae) \
        -o "$box/server" && "$box/server" | grep "^$(the_default): 2"
}

# links_with SYSTEM LIBRARY...: ae.pc, `make vendor` and the commands that link examples and tests name
# these libraries where uname prints SYSTEM. The compiler only notes how it is called.
links_with() {
    enter || return 1
    printf '#!/bin/sh\necho %s\n' "$1" >"$box/bin/uname"
    cat >"$box/bin/note" <<'END'
#!/bin/sh
echo "$*" >>../commands
while [ $# -gt 1 ]; do
    [ "$1" != -o ] || touch "$2"
    shift
done
END
    chmod +x "$box/bin/uname" "$box/bin/note"
    PATH=$box/bin:$PATH
    : >"$box/commands"
    shift
    libraries=$*
    $make build/ae.pc && grep -x "Libs: -L\${libdir} -lae${libraries:+ $libraries}" build/ae.pc &&
        $make CC=note examples && $make -s vendor DEST=lib ANET=1 >"$box/lines" &&
        $make -f tests/Makefile CC=note BACKEND=select suites test-anet || return 1
    grep -E -e '-o build/(examples|.*test_)' "$box/commands" >"$box/linked"
    [ "$(wc -l <"$box/linked")" -gt 10 ] || return 1
    if [ -n "$libraries" ]; then
        ! grep -v -e " $libraries" "$box/linked" && grep -x "LDLIBS += $libraries" "$box/lines"
    else
        ! grep -E -e '-l(socket|nsl|network)' "$box/linked" && ! grep LDLIBS "$box/lines"
    fi
}

with_fPIC_the_library_can_become_part_of_a_shared_object() {
    enter && CFLAGS="$flags -fPIC" $make libae.a || return 1
    printf '%s\n' '#include "ae.h"' '#include "anet.h"' 'void *plugin(void);' \
        'void *plugin(void) { return aeCreateEventLoop(anetCloexec(0)); }' >plugin.c
    $cc $flags -fPIC -shared -I. plugin.c libae.a -o plugin.so
}

# rejects COMMAND...: it fails, names the backend, and builds nothing.
rejects() {
    if "$@" >"$box/said" 2>&1; then return 1; fi
    cat "$box/said"
    grep -q 'backend.foo' "$box/said" && [ -z "$(find . -name 'libae.a' -o -name '*.o')" ]
}

a_backend_that_does_not_exist_is_an_error() {
    enter && rejects $make BACKEND=foo && rejects $make test BACKEND=foo &&
        rejects $make test BACKEND=foo "TEST=fault_1*" && rejects $make vendor DEST=lib BACKEND=foo &&
        rejects $make -f tests/Makefile BACKEND=foo suites && rejects installs BACKEND=foo &&
        [ ! -e "$stage/opt/ae" ]
}

goals() {
    sed -n 's/^\.PHONY: //p' Makefile | tr ' ' '\n' | grep -vx ALWAYS
}

help_names_every_goal() {
    enter && $make help >"$box/help" || return 1
    goals | grep -x install || return 1
    for goal in $(goals | grep -vx all); do
        grep -qE "make $goal( |\$)" "$box/help" || { echo "help does not name $goal" && return 1; }
    done
}

# All scripts are replaced by one that creates a file.
a_dry_run_runs_and_changes_nothing() {
    enter || return 1
    find . -name '*.sh' ! -name is_dry.sh >"$box/scripts"
    while read -r script; do
        printf '#!/bin/sh\ntouch "%s/ran"\n' "$box" >"$script"
    done <"$box/scripts"
    find . | sort >"$box/before"
    for goal in $(goals); do
        for options in -n "-n -j2" "-s -n" $(case $make in *bmake*) ;; *) echo -kn ;; esac); do
            $make $options $goal DEST=lib DESTDIR="$box/stage" >"$box/said" 2>&1 || {
                echo "make $options $goal fails" && cat "$box/said" && return 1
            }
            [ ! -e "$box/ran" ] || { echo "make $options $goal runs a script" && return 1; }
        done
    done
    find . | sort | diff "$box/before" - && [ ! -e "$box/stage" ] || return 1
    # Without -n, the file that this test looks for is created.
    $make test && [ -e "$box/ran" ] && rm "$box/ran" && $make -j2 coverage && [ -e "$box/ran" ]
}

# In the sources themselves, where the suites are built.
one_test_can_be_run_by_name_on_one_backend() {
    $make test BACKEND=select "TEST=fault_1_*" >"$box/said" 2>&1 || { cat "$box/said" && return 1; }
    sed -n 's/^\[ RUN *\] //p' "$box/said" >"$box/names"
    grep fault_1_ "$box/names" && ! grep -v '^fault_1_' "$box/names" || return 1
    sed -n 's/^== //p' "$box/said" | sort -u >"$box/suites"
    grep '^build/select/test_' "$box/suites" && ! grep -v '^build/select/test_' "$box/suites"
}

a_name_that_no_test_has_is_an_error() {
    if $make test BACKEND=select TEST=no_test_has_it >"$box/said" 2>&1; then return 1; fi
    grep -x 'test: no test is named no_test_has_it' "$box/said"
}

check "install builds what it installs" install_builds_what_it_installs
check "install after a change of the sources installs the change" \
    install_after_a_change_of_the_sources_installs_the_change
check "install installs the backend that is named" install_installs_the_backend_that_is_named
check "a suite is rebuilt when its flags change" a_suite_is_rebuilt_when_its_flags_change
check "every directory can be chosen" every_directory_can_be_chosen
check "a directory may have a blank in its name" a_directory_may_have_a_blank_in_its_name
check "nothing is installed outside of DESTDIR" nothing_is_installed_outside_of_DESTDIR
check "uninstall removes what was installed and nothing else" \
    uninstall_removes_what_was_installed_and_nothing_else
check "uninstall where nothing is installed succeeds" uninstall_where_nothing_is_installed_succeeds
man=$(command -v man || command -v mman)
if [ -n "$man" ]; then
    check "man finds every function" man_finds_every_function
else
    leave_out "man finds every function" "there is no man"
fi
if command -v pkg-config >/dev/null; then
    check "ae.pc is complete" ae_pc_is_complete
else
    leave_out "ae.pc is complete" "there is no pkg-config"
fi
check "on Linux no library is needed for sockets" links_with Linux
check "on Solaris and illumos there are libraries for sockets" links_with SunOS -lsocket -lnsl
check "on Haiku there is a library for sockets" links_with Haiku -lnetwork
check "with -fPIC the library can become part of a shared object" \
    with_fPIC_the_library_can_become_part_of_a_shared_object
check "a backend that does not exist is an error" a_backend_that_does_not_exist_is_an_error
check "help names every goal" help_names_every_goal
check "a dry run runs and changes nothing" a_dry_run_runs_and_changes_nothing
check "one test can be run by name on one backend" one_test_can_be_run_by_name_on_one_backend
check "a name that no test has is an error" a_name_that_no_test_has_is_an_error
finish
