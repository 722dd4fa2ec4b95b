#!/bin/bash
# The debs under systemd, in the guest: users and directories, the timer, the example of a unit, an upgrade and a removal
# while it runs. Run by `make guest-packages-test`; what needs no systemd is tested by tests/packaging.
set -euo pipefail
# shellcheck source=../packaging/lib.sh
. "$GUEST_SRC/tests/packaging/lib.sh"
trap 'rc=$?; [ $rc = 0 ] || { systemctl status --no-pager "web.service" "rkt-gc.*" || true; journalctl --no-pager -n 40 || true; }' EXIT
parts=(rkt rkt-stage1-linux rkt-network-cni rkt-fetcher-docker)
debs() { for n in "${parts[@]}"; do ls "$1/${n}_"*.deb; done; }
cp -r "$GUEST_SRC/dist/packages" /var/tmp/old # 9p is slow
cp -r "$GUEST_SRC/dist/next/packages" /var/tmp/new
cp -r "$GUEST_SRC/dist/fixtures" /opt/fixtures
rm -rf /var/lib/rkt

step "install"
dpkg -i $(debs /var/tmp/old) > /tmp/log 2>&1 || fail "$(cat /tmp/log)"
want nologin getent passwd rkt-fetch
[ "$(stat -c '%a %U:%G' /var/lib/rkt)" = "2711 root:rkt" ] || fail "/var/lib/rkt is $(stat -c '%a %U:%G' /var/lib/rkt)"
systemd-analyze verify --man=no /usr/lib/systemd/system/rkt-gc.timer /usr/lib/systemd/system/rkt-gc.service > /tmp/log 2>&1 || fail "$(cat /tmp/log)"
grep rkt-gc /tmp/log && fail "the units have faults"

step "the timer"
systemctl enable --now rkt-gc.timer
[ "$(systemctl is-active rkt-gc.timer)" = active ] || fail "the timer is not active"
want rkt-gc.service systemctl list-timers --no-pager rkt-gc.timer
# Before the first pod there is nothing to do, and that is no failure.
systemctl start rkt-gc.service
[ "$(systemctl show -P ConditionResult rkt-gc.service)" = no ] || fail "gc ran without pods"

step "the example of a unit"
cp "$GUEST_SRC/packaging/examples/web.service" /etc/systemd/system/
mkdir /etc/systemd/system/web.service.d
cat > /etc/systemd/system/web.service.d/image.conf <<-EOT
	[Service]
	Environment=IMAGE=oci:/opt/fixtures/layout:latest RUN_FLAGS=
	Environment="APP_FLAGS=--name=web --exec=/bin/sleep -- 1000"
EOT
systemd-analyze verify --man=no web.service > /tmp/log 2>&1 || fail "$(cat /tmp/log)"
systemctl daemon-reload
systemctl start web.service || fail "start"
id=$(cat /run/web.uuid)
want state=running rkt status "$id"
main=$(systemctl show -P MainPID web.service)
program=$(readlink "/proc/$main/exe")
want 'inet 10\.' rkt enter "$id" /bin/ip address

step "upgrade while it runs"
dpkg -i $(debs /var/tmp/new) > /tmp/log 2>&1 || fail "$(cat /tmp/log)"
want '2\.9\.9' rkt version
[ "$(systemctl show -P MainPID,ActiveState web.service | xargs)" = "$main active" ] || fail "the unit is $(systemctl show -P MainPID,ActiveState web.service | xargs)"
[ "$(readlink "/proc/$main/exe")" = "$program" ] || fail "the pod's process has another program"
[ "$(systemctl is-active rkt-gc.timer)" = active ] || fail "the timer ended with the upgrade"
want 'inet 10\.' rkt enter "$id" /bin/ip address
systemctl stop web.service || fail "stop"
[ "$(systemctl show -P Result web.service)" = success ] || fail "result is $(systemctl show -P Result web.service)"
want exit-code=0 rkt status "$id"

step "what the timer starts"
systemctl start rkt-gc.service || fail "gc"
want "pod \"$id\" is kept for the grace time of 24h0m0s" journalctl --no-pager -u rkt-gc.service
mkdir -p /etc/systemd/system/rkt-gc.service.d
printf '[Service]\nEnvironment=GRACE_PERIOD=0s\n' > /etc/systemd/system/rkt-gc.service.d/grace.conf
systemctl daemon-reload
systemctl start rkt-gc.service || fail "gc"
want "pod \"$id\" is removed" journalctl --no-pager -u rkt-gc.service
[ -z "$(rkt list --no-legend)" ] || fail "gc left pods: $(rkt list)"

step "removal while it runs"
systemctl start web.service || fail "start of the new version"
id=$(cat /run/web.uuid)
dpkg -r rkt-stage1-linux rkt-network-cni rkt-fetcher-docker > /tmp/log 2>&1 || fail "$(cat /tmp/log)"
want 'inet 10\.' rkt enter "$id" /bin/ip address
systemctl stop web.service || fail "stop without the plugin"
[ "$(systemctl show -P Result web.service)" = success ] || fail "result is $(systemctl show -P Result web.service)"
want exit-code=0 rkt status "$id"
[ "$(sed 1,2d /proc/net/dev | cut -d: -f1 | tr -d ' ')" = lo ] || fail "links are left: $(cat /proc/net/dev)"

step "purge"
rm -r /etc/systemd/system/web.service* /etc/systemd/system/rkt-gc.service.d
dpkg --purge "${parts[@]}" > /tmp/log 2>&1 || fail "$(cat /tmp/log)"
[ ! -L /etc/systemd/system/timers.target.wants/rkt-gc.timer ] || fail "the timer is still enabled"
[ "$(systemctl is-active rkt-gc.timer || true)" = inactive ] || fail "the timer is still active"
[ -e /var/lib/rkt/pods ] || fail "data is gone"
[ -z "$(find /usr -path '*rkt*' ! -path '/usr/share/doc/*' -print -quit)" ] || fail "files are left: $(find /usr -path '*rkt*')"
[ -z "$(systemctl --failed --no-legend --plain | grep -E 'rkt|web' || true)" ] || fail "failed: $(systemctl --failed --no-legend)"
echo "packages: ok"
