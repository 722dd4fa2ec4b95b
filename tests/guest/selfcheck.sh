#!/bin/bash
# Proves that the guest is what the suite needs it to be. Runs inside it: tests/guest/run tests/guest/selfcheck.sh
set -u
bad=0
check() { # check NAME WANT GOT
	if [ "$3" = "$2" ]; then echo "ok    $1: $3"; else echo "FAIL  $1: got '$3', want '$2'"; bad=1; fi
}
check "init" systemd "$(cat /proc/1/comm)"
check "hierarchy" cgroup2fs "$(stat -f -c %T /sys/fs/cgroup)"
for c in cpu memory pids cpuset io; do
	check "controller $c" yes "$(grep -qw $c /sys/fs/cgroup/cgroup.controllers && echo yes || echo no)"
done
own=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
check "delegated unit" 1 "$(busctl get-property org.freedesktop.systemd1 /org/freedesktop/systemd1/unit/guest_2eservice org.freedesktop.systemd1.Service Delegate | grep -c true)"
check "own cgroup" /sys/fs/cgroup/system.slice/guest.service "$own"
systemd-run --quiet --wait --pipe --collect sh -c 'exit 7'
check "systemd-run's status" 7 $?
systemd-run --quiet --wait --pipe --collect -p MemoryMax=20M -p MemorySwapMax=0 sh -c 'head -c 100M /dev/zero | tail -c 90M' >/dev/null 2>&1
check "memory limit kills" yes "$([ $? -ne 0 ] && echo yes || echo no)"
busctl call org.freedesktop.DBus / org.freedesktop.DBus ListNames >/dev/null
check "D-Bus" 0 $?
logger -t selfcheck hello && journalctl --sync && check "journal" hello "$(journalctl -q -o cat -t selfcheck -n 1)"
check "disk" ext2/ext3 "$(stat -f -c %T /var/lib/rkt)"
mkdir -p /var/tmp/o/{l,u,w,m} && mount -t overlay -o lowerdir=/var/tmp/o/l,upperdir=/var/tmp/o/u,workdir=/var/tmp/o/w o /var/tmp/o/m
check "overlay" 0 $?
umount /var/tmp/o/m
ip link add v0 type veth peer name v1 && ip link add b0 type bridge && ip link set v0 master b0
check "veth and bridge" 0 $?
ip link del v0; ip link del b0
nft add table inet t && nft add chain inet t c '{ type nat hook postrouting priority srcnat; }' && nft add rule inet t c masquerade && nft delete table inet t
check "nft masquerade" 0 $?
iptables -t nat -S >/dev/null
check "iptables" 0 $?
unshare -Urpf --mount-proc true
check "user namespace" 0 $?
for p in curl jq socat gpg skopeo buildah docker-registry strace busybox ps tc; do
	check "program $p" yes "$(command -v $p >/dev/null && echo yes || echo no)"
done
check "source tree" yes "$([ -f $GUEST_SRC/go.mod ] && echo yes || echo no)"
echo "kernel $(uname -r), systemd $(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p'), up $(cut -d' ' -f1 /proc/uptime) s"
exit $bad
