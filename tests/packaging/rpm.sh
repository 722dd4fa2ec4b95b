#!/bin/bash
# Real rpm on a clean root: install, use, upgrade while a pod runs, erase. Run by `run`, outside the root: rpm is this
# machine's. The root is Debian's, whose packages rpm does not know, so one package, empty, stands for them: it provides
# what ours need of a distribution.
set -euo pipefail
. "$ROOT/test/lib.sh"
old=$ROOT/test/old new=$ROOT/test/new
there() { chroot "$ROOT" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"; }
rpmdo() { rpm --root "$ROOT" --force-debian --noplugins "$@"; }
there bash -c '. /test/lib.sh; files > /tmp/before'
set=(rkt rkt-dev rkt-stage1-linux rkt-network-cni rkt-fetcher-docker rkt-fetcher-aci rkt-verifier-openpgp)
of() { for n in "${set[@]}"; do ls "$1/$n"-[0-9]*.rpm; done; }

step "what is needed is asked for"
rpm --root "$ROOT" --initdb
rpmdo -i "$old"/rkt-stage1-linux-[0-9]*.rpm > "$ROOT/tmp/log" 2>&1 && fail "stage1-linux without rkt"
grep -q 'rkt >= 2.0.0~ is needed' "$ROOT/tmp/log" || fail "$(cat "$ROOT/tmp/log")"
rpmdo -i "$old"/rkt-stage1-qemu-[0-9]*.rpm > "$ROOT/tmp/log" 2>&1 && fail "stage1-qemu without QEMU"
grep -q 'qemu-system-x86 is needed' "$ROOT/tmp/log" || fail "$(cat "$ROOT/tmp/log")"

step "install"
cat > "$ROOT/tmp/root.spec" <<'SPEC'
Name: distribution
Version: 12
Release: 1
Summary: what the root has by another packager
License: none
BuildArch: noarch
Provides: /bin/sh
%description
Nothing.
%files
SPEC
rpmbuild -bb --quiet --define "_topdir $ROOT/tmp/rpm" "$ROOT/tmp/root.spec" || fail "rpmbuild"
rpmdo -i "$ROOT"/tmp/rpm/RPMS/noarch/distribution-*.rpm || fail "install the distribution"
rpmdo -i $(of "$old") || fail "install"
rpmdo -V rkt rkt-stage1-linux || fail "what is installed is not what the package says"
[ "$(there stat -c '%a %U:%G' /var/lib/rkt)" = "2711 root:rkt" ] || fail "/var/lib/rkt is $(there stat -c '%a %G' /var/lib/rkt)"
[ "$(there rkt plugin list --no-legend | grep -c ' ok  ')" = 5 ] || fail "not five plugins that are ok: $(there rkt plugin list)"
there cp -r /test/fixtures/layout /var/tmp/layout
want 'a pod' there rkt run --net=none oci:/var/tmp/layout:latest --exec=/bin/echo -- a pod
there rkt run --detach --uuid-file-save=/run/uuid oci:/var/tmp/layout:latest --name=web --exec=/bin/sleep -- 1000
id=$(cat "$ROOT/run/uuid")

step "upgrade while the pod runs"
before=$(there rkt version)
rpmdo -U $(of "$new") || fail "upgrade"
[ "$(there rkt version)" != "$before" ] || fail "the version is the old one"
want 'state=running' there rkt status "$id"
want 'inet 10\.' there rkt enter "$id" /bin/ip address

step "erase plugins that the pod uses, then all"
rpmdo -e rkt > "$ROOT/tmp/log" 2>&1 && fail "rkt went, and its plugins stayed"
grep -q 'is needed by (installed) rkt-stage1-linux' "$ROOT/tmp/log" || fail "$(cat "$ROOT/tmp/log")"
rpmdo -e rkt-stage1-linux rkt-network-cni
want 'inet 10\.' there rkt enter "$id" /bin/ip address
there rkt stop "$id" > /dev/null
want 'exit-code=0' there rkt status "$id"
there rkt gc --grace-period=0s 2> /dev/null
rpmdo -e rkt rkt-dev rkt-fetcher-docker rkt-fetcher-aci rkt-verifier-openpgp
[ -e "$ROOT/var/lib/rkt/pods" ] || fail "data is gone"
rm -r "$ROOT/var/tmp/layout"
# Directories of the package "filesystem", which every system with rpm has and this root has not.
theirs='/usr/lib/sysusers.d|/usr/share/fish(/vendor_completions.d)?|/usr/share/zsh(/site-functions)?'
there bash -c '. /test/lib.sh; diff /tmp/before <(files | grep -vxE "$1")' - "$theirs" || fail "erase left files"
