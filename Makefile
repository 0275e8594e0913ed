# libae. Works with GNU make and BSD make.
#
#   make                  libae.a
#   make demo             an echo server, its clients and some timers, for three seconds
#   make examples         build/examples/*
#   make deps             installs what the tests need
#   make test             the tests, on every backend that can run here
#   make coverage         lines and branches that the tests reach: all of them, or it fails
#   make mcdc             conditions whose effect the tests show (needs clang 19)
#   make dropin           Redis, wrk and hiredis with our files for theirs, and their tests (Debian)
#   make dropin-all       likewise, every part of their tests, on every backend: two hours
#   make soak SECONDS=60  random programs against the model, on each backend for so long (Linux)
#   make fuzz SECONDS=60  the same under libFuzzer (Linux, clang)
#   make analyse          gcc -fanalyzer, clang-tidy, cppcheck; memory and thread sanitizers
#   make platforms        the tests on other compilers, C libraries, processors (Debian, qemu)
#   make load             examples/http with 10,000 connections, 1,000 a second coming and going
#   make dropin-redis REDIS_SRC=path   the same for any Redis tree
#   make bench            libae against libev, libevent, libuv and bare epoll: see bench/README.md
#   make bench-quick      less of it, in less than a minute
#   make bench-guard      fails when the loop has become more expensive than bench/limits
#   make lint             the format, and warnings of every compiler and standard at hand
#   make doc              the manual as HTML, in build/doc (needs mandoc)
#   make install          libae.a, ae.h, anet.h, ae.pc and the manual below $(DESTDIR)$(PREFIX)
#   make vendor DEST=path what another project needs, copied there; see vendor.sh
#   make dist             libae-$(VERSION).tar.gz, from the git tag v$(VERSION) or TAG
#   make version          prints it
#   make uninstall clean
#
# BACKEND=epoll, kqueue, evport or select forces a backend. CC, CFLAGS, CPPFLAGS, LDFLAGS, LDLIBS
# and AR mean what they always do.

# Of the macros in ae.h, which alone say it.
VERSION_OF = awk '/define AE_VERSION_/ { printf "%s%s", dot, $$3; dot = "." } END { print "" }'
VERSION = `$(VERSION_OF) ae.h`
TAG = v$(VERSION)

SECONDS = 60
BACKEND ?=
PREFIX ?= /usr/local

BACKEND_CPPFLAGS_ =
BACKEND_CPPFLAGS_epoll = -DAE_BACKEND_EPOLL
BACKEND_CPPFLAGS_kqueue = -DAE_BACKEND_KQUEUE
BACKEND_CPPFLAGS_evport = -DAE_BACKEND_EVPORT
BACKEND_CPPFLAGS_select = -DAE_BACKEND_SELECT
COMPILE = $(CC) $(BACKEND_CPPFLAGS_$(BACKEND)) $(CPPFLAGS) -O2 $(CFLAGS)

SOURCES = ae.c ae_epoll.c ae_kqueue.c ae_evport.c ae_select.c ae.h
EXAMPLES = build/examples/echo build/examples/ticker build/examples/http build/examples/demo \
    build/examples/chat build/examples/signals
HIREDIS = `pkg-config --cflags --libs hiredis 2>/dev/null || echo -lhiredis`

# The order of the goals counts (make deps test); what takes time is made in parallel further down.
.NOTPARALLEL:
.PHONY: all demo examples test deps lint coverage mcdc
.PHONY: dropin dropin-all dropin-redis
.PHONY: doc vendor dist version install uninstall clean ALWAYS
.PHONY: bench bench-quick bench-guard
.PHONY: soak fuzz analyse platforms load

all: libae.a

libae.a: build/ae.o build/anet.o
	rm -f $@
	$(AR) rcs $@ build/ae.o build/anet.o

build/ae.o: $(SOURCES) build/config
	$(COMPILE) -c ae.c -o $@

build/anet.o: anet.c anet.h build/config
	$(COMPILE) -c anet.c -o $@

# How things were built last time. It changes when that changes, and then they are built anew.
build/config: ALWAYS
	@mkdir -p build/examples
	@echo "$(COMPILE) $(LDFLAGS) $(LDLIBS)" | cmp -s - $@ || \
	    echo "$(COMPILE) $(LDFLAGS) $(LDLIBS)" > $@
ALWAYS:
	@:

examples: $(EXAMPLES) build/examples/threads build/examples/hiredis

$(EXAMPLES): examples/echo.c examples/ticker.c examples/http.c examples/demo.c examples/chat.c \
    examples/signals.c libae.a
	$(COMPILE) -I. $(LDFLAGS) -o $@ examples/$(@F).c libae.a $(LDLIBS)

build/examples/threads: examples/threads.c libae.a
	$(COMPILE) -I. -pthread $(LDFLAGS) -o $@ examples/threads.c libae.a $(LDLIBS)

# The one example that needs a library of others: without it, the rest is built all the same.
build/examples/hiredis: examples/hiredis.c libae.a
	@if echo '#include <hiredis/adapters/ae.h>' | $(CC) $(CPPFLAGS) -I. -E - >/dev/null 2>&1; then \
	    set -x; $(COMPILE) -I. $(LDFLAGS) -o $@ examples/hiredis.c libae.a $(HIREDIS) $(LDLIBS); \
	else echo "examples: hiredis is left out, there is no libhiredis-dev: run 'make deps'"; fi

demo: build/examples/demo
	build/examples/demo

deps:
	@CC="$(CC)" tests/deps.sh

test: examples
	+@MAKE="$(MAKE)" CC="$(CC)" CFLAGS="$(CFLAGS)" tests/run.sh

coverage:
	+@MAKE="$(MAKE)" tests/coverage.sh

mcdc:
	+@MAKE="$(MAKE)" tests/coverage.sh mcdc

soak:
	+@MAKE="$(MAKE)" CC="$(CC)" CFLAGS="$(CFLAGS)" tests/model/soak.sh "$(SECONDS)"

fuzz:
	+@MAKE="$(MAKE)" tests/model/fuzz.sh "$(SECONDS)"

analyse:
	+@MAKE="$(MAKE)" tests/analyse.sh

platforms:
	+@MAKE="$(MAKE)" tests/platforms.sh

load:
	@CC="$(CC)" CFLAGS="$(CFLAGS)" tests/load.sh

lint:
	@tests/lint.sh

dropin:
	tests/dropin/redis.sh "$$(tests/dropin/fetch.sh redis-7.0.15)"
	tests/dropin/wrk.sh "$$(tests/dropin/fetch.sh wrk-4.1.0)"
	CC="$(CC)" tests/dropin/hiredis.sh
	tests/dropin/abi.sh "$$(tests/dropin/fetch.sh redis-8.0.2)"

dropin-all: dropin
	tests/dropin/redis.sh "$$(tests/dropin/fetch.sh redis-7.0.15)" whole io-threads moduleapi sentinel
	tests/dropin/redis.sh "$$(tests/dropin/fetch.sh redis-8.0.2)" network whole io-threads moduleapi \
	    sentinel
	BACKEND=select tests/dropin/redis.sh "$$(tests/dropin/fetch.sh redis-7.0.15)"
	BACKEND=kqueue tests/dropin/redis.sh "$$(tests/dropin/fetch.sh redis-7.0.15)"
	BACKEND=evport tests/dropin/redis.sh "$$(tests/dropin/fetch.sh redis-7.0.15)"
	tests/dropin/cost.sh "$$(tests/dropin/fetch.sh redis-7.0.15)"

dropin-redis:
	tests/dropin/redis.sh "$(REDIS_SRC)"

# A page that is in doc gets a link of its own, any other one a link to Debian's.
doc:
	@mkdir -p build/doc
	cd doc && for page in ae anet; do \
	    mandoc -Thtml -O 'toc,man=%N.html;https://manpages.debian.org/%N.%S' $$page.3 \
	        > ../build/doc/$$page.html || exit 1; done

vendor:
	@DEST="$(DEST)" BACKEND="$(BACKEND)" ANET="$(ANET)" ./vendor.sh

version:
	@echo "$(VERSION)"

dist:
	@tag="$(TAG)" && version=`git show "$$tag:ae.h" | $(VERSION_OF)` && \
	if [ "$$tag" != "v$$version" ]; then \
	    echo "dist: there is no tag $$tag, or its ae.h says $$version" >&2; exit 1; fi && \
	git archive --prefix="libae-$$version/" "$$tag" | gzip -9n > "libae-$$version.tar.gz" && \
	echo "libae-$$version.tar.gz"

bench:
	+@MAKE="$(MAKE)" CC="$(CC)" REDIS_SRC="$(REDIS_SRC)" bench/run.sh

bench-quick:
	+@MAKE="$(MAKE)" CC="$(CC)" REDIS_SRC="$(REDIS_SRC)" bench/run.sh quick

bench-guard:
	+@MAKE="$(MAKE)" CC="$(CC)" bench/guard.sh

# Made each time: PREFIX may be another one.
build/ae.pc: ALWAYS
	@mkdir -p build
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' \
	    'Name: ae' 'Description: Event loop for file descriptors and timers' \
	    "Version: $(VERSION)" 'Libs: -L$${libdir} -lae' 'Cflags: -I$${includedir}' > $@

# To BSD make DESTDIR also says where the compiler finds its headers: there, build before you install.
install: build/ae.pc
	@test -f libae.a || $(MAKE) libae.a
	mkdir -p "$(DESTDIR)$(PREFIX)/lib/pkgconfig" "$(DESTDIR)$(PREFIX)/include" \
	    "$(DESTDIR)$(PREFIX)/share/man/man3"
	cp libae.a "$(DESTDIR)$(PREFIX)/lib/libae.a"
	cp ae.h anet.h "$(DESTDIR)$(PREFIX)/include/"
	cp build/ae.pc "$(DESTDIR)$(PREFIX)/lib/pkgconfig/ae.pc"
	cp doc/ae.3 doc/anet.3 "$(DESTDIR)$(PREFIX)/share/man/man3/"

uninstall:
	rm -f "$(DESTDIR)$(PREFIX)/lib/libae.a" "$(DESTDIR)$(PREFIX)/include/ae.h" \
	    "$(DESTDIR)$(PREFIX)/include/anet.h" "$(DESTDIR)$(PREFIX)/lib/pkgconfig/ae.pc" \
	    "$(DESTDIR)$(PREFIX)/share/man/man3/ae.3" "$(DESTDIR)$(PREFIX)/share/man/man3/anet.3"

clean:
	rm -rf build libae.a
