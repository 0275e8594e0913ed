#!/bin/sh
# Runs random programs on the model and on each backend, for SECONDS each, from a seed that is different
# each time.
set -eu
cd "$(dirname "$0")/../.."

for backend in epoll select kqueue netbsd evport; do
    ${MAKE:-make} -s -f tests/Makefile BACKEND=$backend model
    build/$backend/model soak "${1:-60}"
done
