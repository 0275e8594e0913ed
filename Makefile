# libae. Works with GNU make and BSD make.
#
#   make                  libae.a
#   make demo             an echo server, its clients and some timers, for three seconds
#   make examples         build/examples/*
#   make deps             installs what the tests need
#   make test             the tests, on every backend that can run here
#   make coverage         lines and branches that the tests reach: all of them, or it fails
#   make mcdc             conditions whose effect the tests show (needs clang 19)
#   make analyse          gcc -fanalyzer, clang-tidy, cppcheck; memory and thread sanitizers
#   make platforms        the tests on other compilers, C libraries, processors (Debian, qemu)
#   make load             examples/http with 10,000 connections, 1,000 a second coming and going
#   make dropin           Redis 7.0.15 and 8.0.2 and wrk 4.1.0 with our files for theirs (Debian)
#   make dropin-redis REDIS_SRC=path   the same for any Redis tree
#   make lint             the format, and warnings of every compiler and standard at hand
#   make install          libae.a, ae.h, anet.h and ae.pc below $(DESTDIR)$(PREFIX)
#   make uninstall clean
#
# BACKEND=epoll, kqueue, evport or select forces a backend. CC, CFLAGS, CPPFLAGS, LDFLAGS, LDLIBS
# and AR mean what they always do.

VERSION = 0.1.0

BACKEND ?=
PREFIX ?= /usr/local

BACKEND_CPPFLAGS_ =
BACKEND_CPPFLAGS_epoll = -DAE_BACKEND_EPOLL
BACKEND_CPPFLAGS_kqueue = -DAE_BACKEND_KQUEUE
BACKEND_CPPFLAGS_evport = -DAE_BACKEND_EVPORT
BACKEND_CPPFLAGS_select = -DAE_BACKEND_SELECT
COMPILE = $(CC) $(BACKEND_CPPFLAGS_$(BACKEND)) $(CPPFLAGS) -O2 $(CFLAGS)

SOURCES = ae.c ae_epoll.c ae_kqueue.c ae_evport.c ae_select.c ae.h
EXAMPLES = build/examples/echo build/examples/ticker build/examples/http build/examples/demo

# The order of the goals counts (make deps test); what takes time is made in parallel further down.
.NOTPARALLEL:
.PHONY: all demo examples test deps coverage mcdc analyse platforms load dropin dropin-redis \
    install uninstall clean lint ALWAYS

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

examples: $(EXAMPLES)

$(EXAMPLES): examples/echo.c examples/ticker.c examples/http.c examples/demo.c libae.a
	$(COMPILE) -I. $(LDFLAGS) -o $@ examples/$(@F).c libae.a $(LDLIBS)

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
	tests/dropin/redis.sh "$$(tests/dropin/fetch.sh redis-8.0.2)"
	tests/dropin/wrk.sh "$$(tests/dropin/fetch.sh wrk-4.1.0)"

dropin-redis:
	tests/dropin/redis.sh "$(REDIS_SRC)"

build/ae.pc: Makefile
	@mkdir -p build
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' \
	    'Name: ae' 'Description: Event loop for file descriptors and timers' \
	    'Version: $(VERSION)' 'Libs: -L$${libdir} -lae' 'Cflags: -I$${includedir}' > $@

# To BSD make DESTDIR also says where the compiler finds its headers: there, build before you install.
install: build/ae.pc
	@test -f libae.a || $(MAKE) libae.a
	mkdir -p "$(DESTDIR)$(PREFIX)/lib/pkgconfig" "$(DESTDIR)$(PREFIX)/include"
	cp libae.a "$(DESTDIR)$(PREFIX)/lib/libae.a"
	cp ae.h anet.h "$(DESTDIR)$(PREFIX)/include/"
	cp build/ae.pc "$(DESTDIR)$(PREFIX)/lib/pkgconfig/ae.pc"

uninstall:
	rm -f "$(DESTDIR)$(PREFIX)/lib/libae.a" "$(DESTDIR)$(PREFIX)/include/ae.h" \
	    "$(DESTDIR)$(PREFIX)/include/anet.h" "$(DESTDIR)$(PREFIX)/lib/pkgconfig/ae.pc"

clean:
	rm -rf build libae.a
