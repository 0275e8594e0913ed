#!/bin/bash
# Runs the idle bench in an emulated machine, because some systems do not let a process have 100,000 fds:
# Debian's kernel under qemu, with only the benches, no limit of fds and one processor. The times are those
# of the emulator: compare them only with each other. Writes bench/results/emulated.csv; takes two minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
. bench/support.sh
need cmake qemu-system-x86_64 busybox cpio
build
libraries="epoll libae libev libevent libuv"
box=$PWD/build/bench/emulated
rm -rf "$box"
mkdir -p "$box/root/bin" "$box/root/proc" "$box/root/dev"

for library in $libraries; do cp "build/bench/$library" "$box/root/bin"; done
# A static busybox, the benches and the shared libraries that they need.
cp "$(command -v busybox)" "$box/root/bin"
ldd "$box"/root/bin/lib* | grep -o '/[^ ]*\.so[^ ]*' | sort -u | xargs cp --parents -Lt "$box/root"
cat >"$box/root/init" <<EOF
#!/bin/busybox sh
busybox mount -t proc proc /proc
ulimit -n 1000000
for n in 1000 10000 100000; do
    for round in 1 2 3; do
        for library in $libraries; do \$library idle \$n; done
    done
done
busybox poweroff -f
EOF
chmod +x "$box/root/init"
(cd "$box/root" && find . | cpio --quiet -o -H newc | gzip >"$box/initrd")

cd "$box"
kernel=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends:/ { print $2; exit }')
apt-get download -q "$kernel" >download.log 2>&1 || { cat download.log >&2 && exit 1; }
dpkg -x "$kernel"_*.deb kernel
qemu-system-x86_64 -m 2000 -nographic -no-reboot -kernel kernel/boot/vmlinuz-* -initrd initrd \
    -append "console=ttyS0 quiet panic=1 init=/init PATH=/bin" >console.log </dev/null
tr -d '\r' <console.log | sed -n 's/.*idle,/emulated,/p' >raw.csv
[ "$(wc -l <raw.csv)" = 45 ] || { cat console.log >&2 && exit 1; }
cd - >/dev/null
awk -f bench/table.awk -v workload=emulated -v csv=bench/results/emulated.csv "$box/raw.csv"
bench/texts.sh
echo "$kernel, $(qemu-system-x86_64 --version | head -n 1)"
