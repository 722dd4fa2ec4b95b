#!/bin/bash
# What `make guest-test` runs inside the guest: the tests that need systemd or cgroup v2, then the end-to-end
# suite. The packages of the next line are compiled on the host beforehand.
#guest:tests ./tests/e2e ./core/cgroup ./sdk/cgroup ./sdk/linuxpod/internal/limits ./sdk/linuxpod/internal/seccomp
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
step sdk/cgroup unit_test sdk/cgroup -test.v
step limits unit_test sdk/linuxpod/internal/limits -test.v
step seccomp unit_test sdk/linuxpod/internal/seccomp -test.v

# The guest has neither an image builder nor Go: make guest-test has put the fixtures into dist.
cp -r "$GUEST_SRC/dist/fixtures" /opt/fixtures
export RKT_TEST_FIXTURES=/opt/fixtures RKT_CRASH_ROUNDS=${RKT_CRASH_ROUNDS:-5}
step systemd bash "$GUEST_SRC/tests/guest/systemd.sh"
step e2e unit_test tests/e2e -test.v -test.timeout 40m
exit $bad
