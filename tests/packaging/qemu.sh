#!/bin/bash
# Real dpkg in a clean root that has QEMU: the flavor's package beside it. A pod in a machine, emulated, lives through an
# upgrade and through the removal of its flavor. Run by `run`.
set -euo pipefail
. /test/lib.sh
old=/test/old new=/test/new
of() { for n in rkt rkt-stage1-qemu rkt-fetcher-docker rkt-network-cni; do ls "$1/${n}"_*.deb; done; }

step "install"
dpkg -i $(of $old) > /tmp/log 2>&1 || fail "$(cat /tmp/log)"
[ -z "$(dpkg --audit)" ] || fail "$(dpkg --audit)"
cp -r /test/fixtures/layout /var/tmp/layout

step "what the host lacks is said, and by which word it is emulated"
rkt plugin check stage1-qemu > /tmp/log 2>&1 && fail "this host has KVM: $(cat /tmp/log)"
grep -q '"accel":"tcg"' /tmp/log || fail "$(cat /tmp/log)"
echo '{"accel": "tcg", "bootSeconds": 600}' > /etc/rkt/plugins/stage1-qemu.json
want valid rkt plugin config check stage1-qemu
want 'kernel is /boot/vmlinuz-' rkt plugin check stage1-qemu

step "the only stage1 there is needs no name"
want "$(basename /lib/modules/*)" rkt run --net=none oci:/var/tmp/layout:latest --exec=/bin/uname -- -r
rkt run --detach --uuid-file-save=/run/uuid oci:/var/tmp/layout:latest --name=web --exec=/bin/sleep -- 1000
id=$(cat /run/uuid)
want 'inet 10\.' rkt enter "$id" /bin/ip address

step "upgrade while the machine runs"
dpkg -i $(of $new) > /tmp/log 2>&1 || fail "$(cat /tmp/log)"
want '2\.9\.9' rkt plugin list
want 'state=running' rkt status "$id"
want 'inet 10\.' rkt enter "$id" /bin/ip address
want running rkt plugin in-use stage1-qemu

step "remove the flavor of the machine"
dpkg -r rkt-stage1-qemu > /tmp/log 2>&1 || fail "$(cat /tmp/log)"
want 'inet 10\.' rkt enter "$id" /bin/ip address
rkt stop "$id" > /dev/null
want 'exit-code=0' rkt status "$id"
rkt gc --grace-period=0s 2> /dev/null
[ -z "$(rkt list --no-legend)" ] || fail "pods are left: $(rkt list)"

step "purge keeps what the administrator wrote"
dpkg --purge rkt rkt-fetcher-docker rkt-network-cni > /tmp/log 2>&1 || fail "$(cat /tmp/log)"
[ "$(find /etc/rkt)" = "$(printf '/etc/rkt\n/etc/rkt/plugins\n/etc/rkt/plugins/stage1-qemu.json')" ] || fail "$(find /etc/rkt)"
