#!/bin/bash
# Real dpkg in a clean root without systemd: install, use, upgrade while a pod runs, remove plugins that are in use,
# purge. Run by `run`.
set -euo pipefail
. /test/lib.sh
old=/test/old new=/test/new
running() { grep -qx state=running <<<"$(rkt status "$1")"; }
files > /tmp/before

step "a package that lacks what it needs is refused"
dpkg -i $old/rkt-stage1-linux_*.deb > /tmp/log 2>&1 && fail "stage1-linux without rkt"
grep -q 'depends on rkt' /tmp/log || fail "$(cat /tmp/log)"
dpkg --purge rkt-stage1-linux > /dev/null

step "install all"
dpkg -i $(ls $old/*.deb | grep -v stage1-qemu) > /tmp/log 2>&1 || fail "$(cat /tmp/log)"
dpkg -i $old/rkt-stage1-qemu_*.deb > /tmp/log 2>&1 && fail "stage1-qemu without QEMU"
grep -q 'depends on qemu-system-x86 | qemu-system' /tmp/log || fail "$(cat /tmp/log)"
dpkg --purge rkt-stage1-qemu > /dev/null
[ -z "$(dpkg --audit)" ] || fail "$(dpkg --audit)"

step "what is there: programs, plugins, users, directories, the manual"
before=$(rkt version --format=json)
rkt plugin list
[ "$(rkt plugin list --no-legend | grep -c ' ok  ')" = 6 ] || fail "not six plugins that are ok"
want ':/usr/sbin/nologin$' getent passwd rkt-fetch
[ "$(stat -c '%a %U:%G' /var/lib/rkt)" = "2711 root:rkt" ] || fail "/var/lib/rkt is $(stat -c '%a %U:%G' /var/lib/rkt)"
[ "$(stat -c %a /etc/rkt/auth.d)" = 700 ] || fail "/etc/rkt/auth.d is $(stat -c %a /etc/rkt/auth.d)"
want '^.SH SYNOPSIS' zcat /usr/share/man/man1/rkt-run.1.gz
bash -n /usr/share/bash-completion/completions/rkt
cp -r /test/fixtures/layout /var/tmp/layout

step "a pod in the foreground, and one that stays"
want 'a pod' rkt run oci:/var/tmp/layout:latest --exec=/bin/echo -- a pod
rkt run --detach --uuid-file-save=/run/uuid oci:/var/tmp/layout:latest --name=web --exec=/bin/sleep -- 1000
id=$(cat /run/uuid)
want web rkt list
want 'inet 10\.' rkt enter "$id" /bin/ip address
pid=$(sed -n 's/^pid=//p' <<<"$(rkt status "$id")")
program=$(readlink "/proc/$pid/exe")
case $program in /var/lib/rkt/pins/*) ;; *) fail "the pod's process is $program, not a pinned one" ;; esac

step "members of group rkt read, and only that"
as() { setpriv --reuid=65534 --regid="$1" --clear-groups "${@:2}"; }
gid=$(getent group rkt | cut -d: -f3)
want "${id:0:8}" as "$gid" rkt list
want sha256- as "$gid" rkt image list
as 65534 rkt status "$id" > /dev/null 2>&1 && fail "a stranger reads a pod"
want 'cannot run as unprivileged user' sh -c "! setpriv --reuid=65534 --regid=$gid --clear-groups rkt gc"

step "upgrade while the pod runs"
dpkg -i $(ls $new/*.deb | grep -v stage1-qemu) > /tmp/log 2>&1 || fail "$(cat /tmp/log)"
[ "$(rkt version --format=json)" != "$before" ] || fail "the version is the old one"
want '2\.9\.9' rkt plugin list
running "$id" || fail "the pod ended with the upgrade"
[ "$(readlink "/proc/$pid/exe")" = "$program" ] || fail "the pod's process has another program"
want 'inet 10\.' rkt enter "$id" /bin/ip address
want 'a new pod' rkt run oci:/var/tmp/layout:latest --exec=/bin/echo -- a new pod

step "remove plugins that the pod uses"
dpkg -r rkt-stage1-linux rkt-network-cni > /tmp/log 2>&1 || fail "$(cat /tmp/log)"
[ ! -e /usr/lib/rkt/plugins/stage1-linux ] || fail "the plugin's directory is left"
running "$id" || fail "the pod ended with its plugin"
want 'inet 10\.' rkt enter "$id" /bin/ip address
rkt run --stage1=linux --net=none oci:/var/tmp/layout:latest --exec=/bin/true 2> /tmp/log && fail "a pod without a stage1"
grep -q rkt-stage1-linux /tmp/log || fail "nothing says which package is missing: $(cat /tmp/log)"
rkt stop "$id" > /dev/null
want 'exit-code=0' rkt status "$id"
[ "$(sed 1,2d /proc/net/dev | cut -d: -f1 | tr -d ' ')" = lo ] || fail "links are left: $(cat /proc/net/dev)"
[ -z "$(grep -rl "$id" /run/rkt)" ] || fail "the network remembers the pod: $(grep -rl "$id" /run/rkt)"

step "purge keeps data, and takes everything else"
dpkg --purge rkt rkt-dev rkt-stage1-lkvm rkt-fetcher-aci rkt-verifier-openpgp rkt-stage1-linux rkt-network-cni rkt-fetcher-docker > /tmp/log 2>&1 ||
	fail "$(cat /tmp/log)"
grep -q 'pods and images stay in /var/lib/rkt' /tmp/log || fail "nothing says that data is kept: $(cat /tmp/log)"
[ -e /var/lib/rkt/pods ] || fail "data is gone"
files > /tmp/after
rm -r /var/tmp/layout
files > /tmp/after
diff /tmp/before /tmp/after || fail "purge left files"

step "the data is there for the next installation"
dpkg -i $new/rkt_*.deb > /dev/null
want "${id:0:8}" rkt list
rkt gc --grace-period=0s 2> /dev/null
rkt image gc --grace-period=0s > /dev/null
rm -rf /var/lib/rkt/*
rkt list --no-legend
dpkg --purge rkt > /dev/null
[ ! -e /var/lib/rkt ] || fail "an empty /var/lib/rkt is left"
diff /tmp/before <(files) || fail "purge left files"
