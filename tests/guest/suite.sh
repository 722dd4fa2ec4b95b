#!/bin/bash
# What `make guest-test` runs inside the guest: the tests that need systemd or cgroup v2, then the end-to-end
# suite. The packages of the next line are compiled on the host beforehand.
#guest:tests ./core/cgroup ./plugins/stage1-linux/internal/limits ./plugins/stage1-linux/internal/seccomp
#
# Hook for the end-to-end suite: add ./tests/e2e to the line above and to the list below; $RKT_DIST is set.
set -u
bad=0
step() { # step NAME COMMAND...
	local name=$1; shift
	echo "=== $name"
	"$@"; local rc=$?
	if [ $rc -eq 0 ]; then echo "=== $name: ok"; else echo "=== $name: FAILED ($rc)"; bad=1; fi
}

# unit_test PACKAGE [ARG]...: its compiled test, on the guest's own disk, in the package's directory
unit_test() {
	local pkg=$1 name; shift
	name=${pkg//\//-}.test
	cp "$GUEST_TESTS/$name" /var/tmp/ && cd "$GUEST_SRC/$pkg" && "/var/tmp/$name" "$@"
}

step selfcheck bash "$GUEST_SRC/tests/guest/selfcheck.sh"

# 9p is slow in everything but reading large files: rkt runs from the guest's disk
if [ -d "$GUEST_SRC/dist/bin" ]; then
	mkdir -p /opt/rkt && cp -r "$GUEST_SRC/dist/bin" "$GUEST_SRC/dist/lib" /opt/rkt/
	export RKT_DIST=/opt/rkt PATH=/opt/rkt/bin:$PATH
fi

step core/cgroup unit_test core/cgroup -test.v
step limits unit_test plugins/stage1-linux/internal/limits -test.v
step seccomp unit_test plugins/stage1-linux/internal/seccomp -test.v
exit $bad
