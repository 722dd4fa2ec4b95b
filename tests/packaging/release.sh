#!/bin/bash
# Usage: tests/packaging/release.sh: makes a release for both architectures twice, in two clones, with a key of its own,
# and checks what a user checks. The programs of the other architecture are run by QEMU's user emulation.
set -euo pipefail
cd "$(dirname "$0")/../.."
tests/prerequisites release
work=$(mktemp -d /var/tmp/rkt-release-XXXXXX)
export GNUPGHOME=$work/gnupg
trap 'gpgconf --kill all >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
fail() { echo "FAIL: $*" >&2; exit 1; }
mkdir -m 700 "$GNUPGHOME"
gpg --batch --quiet --passphrase '' --quick-generate-key 'Release <release@example.com>' ed25519 sign never 2>/dev/null
key=$(gpg --batch --list-keys --with-colons | awk -F: '/^fpr/ { print $10; exit }')
release() { # release CLONE [VERSION]
	make -s -C "$work/$1" release VERSION="${2:-9.9.9}" KEY="$key" MAINTAINER='Release <release@example.com>'
}
refused() { # refused TEXT CLONE [VERSION]
	release "${@:2}" > "$work/log" 2>&1 && fail "a release although $1"
	grep -q "$1" "$work/log" || fail "nothing about '$1': $(cat "$work/log")"
}
git clone -q . "$work/one"
refused 'not tagged' one
refused 'not of the form' one v1
git -C "$work/one" tag v9.9.9
echo > "$work/one/stray"
refused 'not committed' one
rm "$work/one/stray"
git clone -q "$work/one" "$work/two"

release one
out=$work/one/dist/release/9.9.9
ls "$out"
(cd "$out" && sha256sum --quiet -c SHA256SUMS && [ "$(wc -l < SHA256SUMS)" = "$(ls | grep -vc '^SHA256SUMS')" ]) || fail "SHA256SUMS"
gpg --batch --quiet --verify "$out/SHA256SUMS.asc" "$out/SHA256SUMS" 2>/dev/null || fail "signature"
echo >> "$out/SHA256SUMS"
gpg --batch --quiet --verify "$out/SHA256SUMS.asc" "$out/SHA256SUMS" 2>/dev/null && fail "the signature is of other sums as well"
for arch in amd64 arm64; do
	case $arch-$(go env GOHOSTARCH) in
	amd64-amd64 | arm64-arm64) as=() ;;
	amd64-*) as=(qemu-x86_64) ;;
	arm64-*) as=(qemu-aarch64) ;;
	esac
	root=$work/root-$arch
	mkdir "$root"
	tar -C "$root" -xzf "$out/rkt-9.9.9-linux-$arch.tar.gz"
	said=$("${as[@]}" "$root/usr/local/bin/rkt" version)
	grep -qx 'rkt Version: 9.9.9' <<<"$said" && grep -qx "Go OS/Arch: linux/$arch" <<<"$said" || fail "$arch: version: $said"
	grep -q '^ExecStart=/usr/local/bin/rkt' "$root/usr/local/lib/systemd/system/rkt-gc.service" || fail "the unit starts another rkt"
	for plugin in "$root"/usr/local/lib/rkt/plugins/*; do
		"${as[@]}" "$plugin/rkt-${plugin##*/}" manifest | diff - "$plugin/plugin.json" || fail "$arch: ${plugin##*/} says something else of itself"
	done
	[ "$(dpkg-deb -f "$out"/rkt_*_$arch.deb Version Maintainer | xargs)" = "Version: 9.9.9-1 Maintainer: Release <release@example.com>" ] || fail "deb"
done

release two
sed -i '$d' "$out/SHA256SUMS"
diff "$out/SHA256SUMS" "$work/two/dist/release/9.9.9/SHA256SUMS" || fail "two clones make two releases"
echo "release: the same $(wc -l < "$out/SHA256SUMS") files twice"
