#!/bin/bash
# rkt run as a systemd unit, in the guest: Type=notify, limits below the unit's own cgroup, systemctl stop, exit
# codes, and a scope of its own when started outside a delegated unit.
set -eu
fail() { echo "FAIL: $*"; systemctl status --no-pager web.service || true; exit 1; }

conf=$(mktemp -d /var/lib/rkt-units-XXXX)
chmod 0755 $conf # fetchers run unprivileged and must reach their staging directory
export RKT_DIR=$conf/data RKT_LOCAL_CONFIG=$conf/etc
rkt fetch oci:/opt/fixtures/layout:latest
image=$(rkt image list --no-legend --full | awk '{print $1}')

unit() { # unit NAME TYPE EXTRA COMMAND...
	local name=$1 type=$2 extra=$3; shift 3
	printf '[Service]\nType=%s\n%b\nKillMode=mixed\nEnvironment=RKT_DIR=%s RKT_LOCAL_CONFIG=%s\nExecStart=/opt/rkt/bin/rkt run --net=none --uuid-file-save=/run/%s.uuid %s\n' \
		"$type" "$extra" "$RKT_DIR" "$RKT_LOCAL_CONFIG" "$name" "$*" > /run/systemd/system/$name.service
	systemctl daemon-reload
}

# Type=notify: start returns when the apps have started, and the main process is the supervisor
unit web notify 'Delegate=yes' "$image --name=busybox --memory=64Mi --exec=/bin/sleep -- 1000"
systemctl start web.service || fail "start"
uuid=$(cat /run/web.uuid)
rkt status $uuid | grep -q '^state=running$' || fail "not running when start returned"
[ -e $RKT_DIR/pods/run/$uuid/ready ] || fail "started before ready"
main=$(systemctl show -P MainPID web.service)
[ "$main" = "$(cat $RKT_DIR/pods/run/$uuid/pid)" ] || fail "main process $main is not the supervisor"
cg=/sys/fs/cgroup/system.slice/web.service
max=$(cat $cg/rkt-$uuid/app-busybox/memory.max)
[ "$max" = 67108864 ] || fail "memory.max below the unit is $max"

# systemctl stop: in order, no failure, nothing left
systemctl stop web.service || fail "stop"
[ "$(systemctl show -P Result web.service)" = success ] || fail "result is $(systemctl show -P Result web.service)"
rkt status $uuid | grep -q '^exit-code=0$' || fail "exit code after stop"
[ ! -e $cg ] || fail "the unit's cgroup is left"

# the pod's exit status is the unit's
unit code simple 'Delegate=yes' "$image --exec=/bin/sh -- -c 'exit 42'"
systemctl start code.service
until [ "$(systemctl show -P ActiveState code.service)" != active ]; do sleep 0.2; done
[ "$(systemctl show -P ExecMainStatus code.service)" = 42 ] || fail "status is $(systemctl show -P ExecMainStatus code.service)"

# the unit's processes are killed: the next command reads it as exited, and gc cleans
unit killed notify 'Delegate=yes' "$image --exec=/bin/sleep -- 1000"
systemctl start killed.service
uuid=$(cat /run/killed.uuid)
systemctl kill -s KILL killed.service
rkt status --wait $uuid | grep -q '^state=exited$' || fail "not exited after SIGKILL"

# without Delegate, and from a shell: a scope of its own in machine.slice
unit plain notify '' "$image --name=busybox --memory=32Mi --exec=/bin/sleep -- 1000"
systemctl start plain.service || fail "start without Delegate"
uuid=$(cat /run/plain.uuid)
[ "$(cat /sys/fs/cgroup/machine.slice/rkt-$uuid.scope/pod/app-busybox/memory.max)" = 33554432 ] || fail "no scope with limits: $(cat /proc/$(cat $RKT_DIR/pods/run/$uuid/pid)/cgroup)"
rkt stop $uuid || fail "rkt stop"

rkt gc --grace-period=0s
[ -z "$(rkt list --no-legend)" ] || fail "gc left pods"
rm -rf $conf
echo "systemd: ok"
