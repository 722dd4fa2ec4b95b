#!/bin/bash
# What `make guest-vm-test` runs inside the guest: the flavors' suite in machines of their own with real KVM, which the
# guest has because QEMU emulates a processor with virtualisation (SVM). Scripts run one after the other, and every
# machine boots 3 to 15 times slower than on a host: an hour is not long.
#
#	RKT_TEST_FLAVORS   "qemu lkvm"; lkvm needs the file lkvm (tests/guest/run -file lkvm=PATH)
#	RKT_TEST_PARTS     "scripts conformance"
#	RKT_TEST_SCRIPTS   a pattern of the scripts of tests/e2e/testdata/flavor
#	RKT_TEST_CHECKS    a check of the conformance kit, or a prefix of some
#guest:tests ./tests/e2e ./sdk/vmhost/kvm
set -u
bad=0
summary=
# The kernels' arguments spare them work that counts in machines of emulated processors alone.
# run NAME KERNEL PROGRAM: the suite for one flavor; PROGRAM is its VMM, where it is not the distribution's
run() {
	local part
	for part in ${RKT_TEST_PARTS:-scripts conformance}; do
		echo "=== $1: $part, kernel $2"
		if "$part" "$@"; then summary+="=== $1: $part: ok"$'\n'; else summary+="=== $1: $part: FAILED ($?)"$'\n'; bad=1; fi
	done
}

# The kernels' arguments spare them work that counts in machines of emulated processors alone.
args="nokaslr mitigations=off"

scripts() {
	local machine="|TestMachine/$1"
	[ -z "${RKT_TEST_SCRIPTS:-}" ] || machine=
	(cd "$GUEST_SRC/tests/e2e" && RKT_TEST_FLAVORS="$1" RKT_TEST_VM_KERNEL="/boot/vmlinuz-$2" RKT_TEST_VM_MODULES="/lib/modules/$2" \
		RKT_TEST_VM_9P_KERNEL="/boot/vmlinuz-$2" RKT_TEST_VM_9P_MODULES="/lib/modules/$2" \
		RKT_TEST_VM_ACCEL=kvm RKT_TEST_VM_ARGS="$args" RKT_TEST_LKVM="$3" \
		/opt/e2e.test -test.v -test.parallel 1 -test.timeout 50m -test.run "TestFlavors/$1/${RKT_TEST_SCRIPTS:-}$machine")
}

# What a plugin has to keep in seconds, such as its start, is for hosts: the protocol's checks are run there.
conformance() {
	printf '{"accel":"kvm","kernel":"/boot/vmlinuz-%s","modules":"/lib/modules/%s","kernelArgs":"%s","bootSeconds":600%s}' \
		"$2" "$2" "$args" "${3:+,\"program\":\"$3\"}" >"/tmp/$1.json"
	rkt-conformance --plugin "/opt/rkt/lib/rkt/plugins/stage1-$1" --level isolation --only "${RKT_TEST_CHECKS:-S1-}" --config "/tmp/$1.json" -v
}

modprobe -a kvm_amd tun vhost_net vhost_vsock || { echo "no nested KVM: does QEMU emulate SVM (-cpu max)?"; exit 1; }
# 9p is slow in everything but reading large files: rkt runs from the guest's disk
mkdir -p /opt/rkt && cp -r "$GUEST_SRC/dist/bin" "$GUEST_SRC/dist/lib" /opt/rkt/ && cp -r "$GUEST_SRC/dist/fixtures" /opt/fixtures &&
	cp "$GUEST_TESTS/tests-e2e.test" /opt/e2e.test && cp "$GUEST_TESTS/sdk-vmhost-kvm.test" /opt/kvm.test || exit 1
export RKT_DIST=/opt/rkt PATH=/opt/rkt/bin:$PATH RKT_TEST_FIXTURES=/opt/fixtures

echo "=== KVM"
(cd "$GUEST_SRC/sdk/vmhost/kvm" && /opt/kvm.test -test.v) | tee /tmp/kvm.log
if grep -q 'probe: <nil>' /tmp/kvm.log; then summary+="=== KVM: ok"$'\n'; else summary+="=== KVM: FAILED: the probe finds none"$'\n'; bad=1; fi
generic=$(uname -r)
cloud=$(cd /lib/modules && ls -d -- *-cloud-* | head -n 1)
for flavor in ${RKT_TEST_FLAVORS:-qemu lkvm}; do
	case $flavor in
	lkvm)
		if [ -e "$GUEST_OUT/files/lkvm" ]; then
			install -m 0755 "$GUEST_OUT/files/lkvm" /opt/lkvm
			run lkvm "$generic" /opt/lkvm # the cloud kernels have no 9p
		else
			summary+="=== lkvm: SKIPPED: RKT_TEST_LKVM names no kvmtool binary on the host"$'\n'
		fi ;;
	*) run "$flavor" "$cloud" "" ;;
	esac
done
printf %s "$summary"
exit $bad
