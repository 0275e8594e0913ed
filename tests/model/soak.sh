#!/bin/sh
# Runs random programs on the model and on each backend, for SECONDS each, from a seed that is different
# each time.
set -eu
cd "$(dirname "$0")/../.."
. tests/support/backends.sh

for backend in $backends; do
    ${MAKE:-make} -s -f tests/Makefile BACKEND=$backend model
    build/$backend/model soak "${1:-60}"
done
