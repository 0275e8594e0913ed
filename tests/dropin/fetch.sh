#!/bin/sh
# Fetches the source of a host as a Debian source package, with a list of its own that leaves the
# machine's alone, and prints the folder. Nothing of it enters the repository.
#
#     tests/dropin/fetch.sh redis-7.0.15|redis-8.0.2|wrk-4.1.0|cmocka-1.1.5 [DIRECTORY]
set -eu
case $1 in
redis-7.0.15) package=redis release=bookworm version=5:7.0.15 ;;
redis-8.0.2) package=redis release=trixie version=5:8.0.2 ;;
wrk-4.1.0) package=wrk release=bookworm version=4.1.0 ;;
cmocka-1.1.5) package=cmocka release=bookworm version=1.1.7+really1.1.5 ;;
*) echo "fetch: no such host: $1" >&2 && exit 2 ;;
esac
box=${2:-build/dropin}
mkdir -p "$box/apt/lists/partial" "$box/apt/cache/archives/partial"
box=$(cd "$box" && pwd)
if [ ! -d "$box/$1" ]; then
    echo "deb-src http://deb.debian.org/debian $release main" >"$box/apt/sources.list"
    options="-q -o Dir::Etc::SourceList=$box/apt/sources.list -o Dir::Etc::SourceParts=/dev/null
        -o Dir::State::Lists=$box/apt/lists -o Dir::Cache=$box/apt/cache -o APT::Sandbox::User=root"
    apt-get $options update >&2
    full=$(apt-cache $options showsrc $package | sed -n "s/^Version: \($version[-+~].*\)/\1/p" |
        sort -V | tail -n 1)
    (cd "$box" && apt-get $options source $package="$full" >&2)
fi
echo "$box/$1"
