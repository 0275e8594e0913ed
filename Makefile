# libae. Works with GNU make and BSD make.
#
#   make                  libae.a
#   make help             prints this page
#   make demo             an echo server, its clients and some timers, for three seconds
#   make examples         build/examples/*
#   make deps             installs the packages that the tests need
#   make test             the tests, on every backend that can run here (make check is the same)
#   make test BACKEND=select TEST='fault_1*'   one backend, or the tests of this name, or both
#   make lint             the format, the words, and warnings of every compiler and standard at hand
#   make coverage         lines and branches that the tests reach: all of them, or it fails
#   make mcdc             conditions whose effect the tests show (needs clang 19)
#   make buildsystems     projects that use CMakeLists.txt, meson.build (needs cmake, meson, ninja)
#   make dropin           Redis, wrk and hiredis with our files for theirs, and their tests (Debian)
#   make dropin-all       the same with every part of their tests, on every backend: two hours
#   make dropin-redis REDIS_SRC=path   tests of sockets and timers, for an unmodified Redis tree
#   make soak SECONDS=60  random programs against the model, a minute on each backend (Linux)
#   make fuzz SECONDS=60  the same under libFuzzer (Linux, clang)
#   make analyse          gcc -fanalyzer, clang-tidy, cppcheck; memory and thread sanitizers
#   make prove            no undefined behaviour, by a sound analyser (Frama-C): tests/prove
#   make platforms        the tests with other compilers, C libraries, processors (Debian, qemu)
#   make cross            builds and links everything for the BSDs, macOS and musl (pip)
#   make load             examples/http with 10,000 connections, 1,000 a second coming and going
#   make bench            libae against libev, libevent, libuv and bare epoll: see bench/README.md
#   make bench-quick      fewer benches, in less than a minute
#   make bench-guard      fails when the loop costs more instructions than bench/limits
#   make doc              the manual as HTML, in build/doc (needs mandoc)
#   make install          builds and installs libae.a, ae.h, anet.h, ae.pc and the manual
#   make uninstall        removes them
#   make vendor DEST=path copies the files that another project needs; see tools/vendor.sh
#   make dist             libae-$(VERSION).tar.gz, from the git tag v$(VERSION) or TAG
#   make version          prints it
#   make clean
#
# BACKEND=epoll, kqueue, evport or select forces a backend. CC, CFLAGS, CPPFLAGS, LDFLAGS, LDLIBS
# and AR have their usual meaning; CFLAGS=-fPIC makes a libae.a that can be linked into a shared
# object. make install rebuilds changed files: give it the same variables as make.
#
# PREFIX (/usr/local) is the directory to install into. LIBDIR, INCLUDEDIR and MANDIR are
# $(PREFIX)/lib, $(PREFIX)/include and $(PREFIX)/share/man unless they are given. DESTDIR is put
# before each of them.

# The macros in ae.h are the only place where the version is written.
VERSION_OF = awk '/define AE_VERSION_/ { printf "%s%s", dot, $$3; dot = "." } END { print "" }'
VERSION = `$(VERSION_OF) ae.h`
TAG = v$(VERSION)

SECONDS = 60
TEST =
BACKEND ?=
PREFIX ?= /usr/local
LIBDIR = $(PREFIX)/lib
INCLUDEDIR = $(PREFIX)/include
MANDIR = $(PREFIX)/share/man

BACKEND_CPPFLAGS_ =
BACKEND_CPPFLAGS_epoll = -DAE_BACKEND_EPOLL
BACKEND_CPPFLAGS_kqueue = -DAE_BACKEND_KQUEUE
BACKEND_CPPFLAGS_evport = -DAE_BACKEND_EVPORT
BACKEND_CPPFLAGS_select = -DAE_BACKEND_SELECT
COMPILE = $(CC) $(BACKEND_CPPFLAGS_$(BACKEND)) $(CPPFLAGS) -O2 $(CFLAGS)

SOURCES = ae.c ae.h ae_*.c
EXAMPLES = build/examples/echo build/examples/ticker build/examples/http build/examples/demo \
    build/examples/chat build/examples/signals
# Systems whose sockets are in separate libraries.
SYSTEM_LIBS = `uname | sed -n 's/^SunOS$$/-lsocket -lnsl/p; s/^Haiku$$/-lnetwork/p'`
HIREDIS = `pkg-config --cflags --libs hiredis 2>/dev/null || echo -lhiredis`

# A "+" shares make's jobs with a script. Such a line also runs under make -n: then it ends here.
DRY = tests/support/is_dry.sh

# The order of the goals matters (make deps test); slow steps run in parallel further down.
.NOTPARALLEL:
.PHONY: all help demo examples test check deps lint coverage mcdc buildsystems
.PHONY: dropin dropin-all dropin-redis
.PHONY: doc vendor dist version install uninstall clean ALWAYS
.PHONY: bench bench-quick bench-guard
.PHONY: soak fuzz analyse prove platforms cross load

all: libae.a

help:
	@sed '/^$$/q; s/^#//; s/^ //' Makefile

libae.a: build/ae.o build/anet.o
	rm -f $@
	$(AR) rcs $@ build/ae.o build/anet.o

build/ae.o: $(SOURCES) build/config
	$(COMPILE) -c ae.c -o $@

build/anet.o: anet.c anet.h build/config
	$(COMPILE) -c anet.c -o $@

# This file has the variables of the last build. When they change, everything is rebuilt.
build/config: ALWAYS
	@[ -z "$(BACKEND)" ] || [ -n "$(BACKEND_CPPFLAGS_$(BACKEND))" ] || { \
	    echo "make: there is no backend $(BACKEND); there are" ae_*.c >&2; exit 1; }
	@mkdir -p build/examples
	@echo "$(COMPILE) $(LDFLAGS) $(LDLIBS)" | cmp -s - $@ || \
	    echo "$(COMPILE) $(LDFLAGS) $(LDLIBS)" > $@
ALWAYS:
	@:

examples: $(EXAMPLES) build/examples/threads build/examples/hiredis

$(EXAMPLES): examples/echo.c examples/ticker.c examples/http.c examples/demo.c examples/chat.c \
    examples/signals.c libae.a
	$(COMPILE) -I. $(LDFLAGS) -o $@ examples/$(@F).c libae.a $(LDLIBS) $(SYSTEM_LIBS)

build/examples/threads: examples/threads.c libae.a
	$(COMPILE) -I. -pthread $(LDFLAGS) -o $@ examples/threads.c libae.a $(LDLIBS) $(SYSTEM_LIBS)

# Left out without hiredis: the other examples need no library.
build/examples/hiredis: examples/hiredis.c libae.a
	@if echo '#include <hiredis/adapters/ae.h>' | $(CC) $(CPPFLAGS) -I. -E - >/dev/null 2>&1; then \
	    set -x; $(COMPILE) -I. $(LDFLAGS) -o $@ examples/hiredis.c libae.a $(HIREDIS) $(LDLIBS) \
	        $(SYSTEM_LIBS); \
	else echo "examples: hiredis is left out, there is no libhiredis-dev: run 'make deps'"; fi

demo: build/examples/demo
	build/examples/demo

deps:
	@CC="$(CC)" tools/deps.sh

test check:
	+@$(DRY) || MAKE="$(MAKE)" CC="$(CC)" CFLAGS="$(CFLAGS)" BACKEND="$(BACKEND)" \
	    AE_TEST="$(TEST)" tests/run.sh

coverage:
	+@$(DRY) || MAKE="$(MAKE)" tests/checks/coverage.sh

mcdc:
	+@$(DRY) || MAKE="$(MAKE)" tests/checks/coverage.sh mcdc

soak:
	+@$(DRY) || MAKE="$(MAKE)" CC="$(CC)" CFLAGS="$(CFLAGS)" tests/model/soak.sh "$(SECONDS)"

fuzz:
	+@$(DRY) || MAKE="$(MAKE)" tests/model/fuzz.sh "$(SECONDS)"

analyse:
	+@$(DRY) || MAKE="$(MAKE)" tests/checks/analyse.sh

platforms: cross
	+@$(DRY) || MAKE="$(MAKE)" tests/checks/platforms.sh

buildsystems:
	@tests/checks/buildsystems.sh

cross:
	+@$(DRY) || MAKE="$(MAKE)" tests/checks/cross.sh

prove:
	@tests/prove/prove.sh

load:
	@CC="$(CC)" CFLAGS="$(CFLAGS)" tests/checks/load.sh

lint:
	@tests/checks/lint.sh

dropin:
	tests/dropin/fetch_test.sh
	tests/dropin/redis.sh "$$(tests/dropin/fetch.sh redis-6.0.16)" few
	tests/dropin/redis.sh "$$(tests/dropin/fetch.sh redis-7.0.15)"
	tests/dropin/wrk.sh "$$(tests/dropin/fetch.sh wrk-4.1.0)"
	CC="$(CC)" tests/dropin/hiredis.sh
	tests/dropin/abi.sh "$$(tests/dropin/fetch.sh redis-8.0.2)"

dropin-all: dropin
	tests/dropin/redis.sh "$$(tests/dropin/fetch.sh redis-7.0.15)" whole io-threads moduleapi sentinel
	tests/dropin/redis.sh "$$(tests/dropin/fetch.sh redis-8.0.2)" network whole io-threads moduleapi \
	    sentinel
	tests/dropin/redis.sh "$$(tests/dropin/fetch.sh redis-unstable)"
	tests/dropin/redis.sh "$$(tests/dropin/fetch.sh redis-experimental)"
	BACKEND=select tests/dropin/redis.sh "$$(tests/dropin/fetch.sh redis-7.0.15)"
	BACKEND=kqueue tests/dropin/redis.sh "$$(tests/dropin/fetch.sh redis-7.0.15)"
	BACKEND=evport tests/dropin/redis.sh "$$(tests/dropin/fetch.sh redis-7.0.15)"
	tests/dropin/cost.sh "$$(tests/dropin/fetch.sh redis-7.0.15)"

dropin-redis:
	tests/dropin/redis.sh "$(REDIS_SRC)"

# A page that is in doc gets a link to it, any other page a link to Debian's.
doc:
	@mkdir -p build/doc
	cd doc && for page in ae anet; do \
	    mandoc -Thtml -O 'toc,man=%N.html;https://manpages.debian.org/%N.%S' $$page.3 \
	        > ../build/doc/$$page.html || exit 1; done

vendor:
	@CC="$(CC)" DEST="$(DEST)" BACKEND="$(BACKEND)" ANET="$(ANET)" SYSTEM_LIBS="$(SYSTEM_LIBS)" \
	    tools/vendor.sh

version:
	@echo "$(VERSION)"

dist:
	@tag="$(TAG)" && version=`git show "$$tag:ae.h" 2>/dev/null | $(VERSION_OF)` && \
	if [ "$$tag" != "v$$version" ]; then \
	    echo "dist: there is no tag $$tag, or its ae.h has another version: git tag it" >&2; \
	    exit 1; fi && \
	git archive --prefix="libae-$$version/" "$$tag" | gzip -9n > "libae-$$version.tar.gz" && \
	echo "libae-$$version.tar.gz"

bench:
	+@$(DRY) || MAKE="$(MAKE)" CC="$(CC)" REDIS_SRC="$(REDIS_SRC)" bench/run.sh

bench-quick:
	+@$(DRY) || MAKE="$(MAKE)" CC="$(CC)" REDIS_SRC="$(REDIS_SRC)" bench/run.sh quick

bench-guard:
	+@$(DRY) || MAKE="$(MAKE)" CC="$(CC)" bench/guard.sh

# Made each time, since it depends on variables.
build/ae.pc: ALWAYS
	@mkdir -p build
	@set -- -lae $(SYSTEM_LIBS) && printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' \
	    'includedir=$(INCLUDEDIR)' '' 'Name: ae' \
	    'Description: Event loop for file descriptors and timers, and sockets (ae.h, anet.h)' \
	    "Version: $(VERSION)" 'License: MIT' "Libs: -L\$${libdir} $$*" 'Cflags: -I$${includedir}' > $@

# BSD make on Linux also uses DESTDIR as the directory of the compiler's headers, so the library is
# built without it.
install: build/ae.pc
	@MAKEFLAGS=$$(printf '%s' "$$MAKEFLAGS" | sed -E 's/DESTDIR=(\\.|[^\\ ])*//') && \
	    export MAKEFLAGS && unset DESTDIR && $(MAKE) libae.a
	mkdir -p "$(DESTDIR)$(LIBDIR)/pkgconfig" "$(DESTDIR)$(INCLUDEDIR)" "$(DESTDIR)$(MANDIR)/man3"
	cp libae.a "$(DESTDIR)$(LIBDIR)/libae.a"
	cp ae.h anet.h "$(DESTDIR)$(INCLUDEDIR)/"
	cp build/ae.pc "$(DESTDIR)$(LIBDIR)/pkgconfig/ae.pc"
	cp doc/ae.3 doc/anet.3 "$(DESTDIR)$(MANDIR)/man3/"
	for page in ae anet; do for name in `$(NAMES) doc/$$page.3`; do \
	    ln -sf $$page.3 "$(DESTDIR)$(MANDIR)/man3/$$name.3" || exit 1; done; done

# The functions in the NAME section of a manual page: each gets a link to the page.
NAMES = sed -n '/^\.Sh LIBRARY/q; s/^\.Nm \(a[a-z]*[A-Z][A-Za-z0-9]*\).*/\1/p'

uninstall:
	rm -f "$(DESTDIR)$(LIBDIR)/libae.a" "$(DESTDIR)$(LIBDIR)/pkgconfig/ae.pc" \
	    "$(DESTDIR)$(INCLUDEDIR)/ae.h" "$(DESTDIR)$(INCLUDEDIR)/anet.h"
	for name in ae anet `$(NAMES) doc/ae.3; $(NAMES) doc/anet.3`; do \
	    rm -f "$(DESTDIR)$(MANDIR)/man3/$$name.3" || exit 1; done

clean:
	rm -rf build libae.a
