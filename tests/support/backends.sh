# Sourced by the scripts that test each backend: sets `backends` to those that this system can run.
# Linux has emulations of other kernels. plain is epoll without epoll_pwait2, netbsd is kqueue as on
# older NetBSD; tests/Makefile has their flags.
case $(uname) in
Linux) backends="epoll plain select kqueue netbsd evport" ;;
FreeBSD | NetBSD | OpenBSD | DragonFly | Darwin) backends="kqueue select" ;;
SunOS) backends="evport select" ;;
*) backends=select ;;
esac
