# What the scripts of both packagers say in the same words. Sourced in the root under test.
fail() { echo "FAIL: $*" >&2; exit 1; }
step() { echo "--- $*"; }
# want TEXT COMMAND...: the command's output has the text
want() {
	local text=$1 out; shift
	out=$("$@" 2>&1) || fail "$* failed: $out"
	grep -q -- "$text" <<<"$out" || fail "$* does not say '$text': $out"
}
# files of the root that a package might have left: not logs, not the packager's own records, not users
files() {
	find / -xdev \( -path /test -o -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var/log \
		-o -path /var/lib/dpkg -o -path /var/lib/rpm -o -path /var/cache -o -path /var/lib/rkt \) -prune -o -print |
		grep -vxE '/etc/(passwd|group|shadow|gshadow|subuid|subgid)-?|/etc/\.pwd\.lock|/root/\..*|/var/lib' | sort
}
