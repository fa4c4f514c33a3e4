#!/usr/bin/env bash
# Makes a Debian package of the node and prints where it is:
#
#   cross/package.sh [amd64|armhf|arm64] [--binary PATH]
#
# Without a binary it builds one, for another machine than this one on Debian 12 only. One that is
# given by its path may come from `cross build`: the package is for what that program runs on. An
# armhf program for ARMv7, as it is built here, does not run on a Pi Zero or a Pi 1; one for
# arm-unknown-linux-musleabihf runs on every Pi.
#
# dpkg-deb is on every Debian, and a package is little more than a tree of files. cargo-deb would
# have to be compiled first, with all that it depends on, for that same tree.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=cross/toolchain.sh
source cross/toolchain.sh

fail() {
    echo "package.sh: $1" >&2
    exit 1
}

arch="" binary=""
while [ $# -gt 0 ]; do
    case "$1" in
    amd64 | armhf | arm64) arch=$1 ;;
    --binary)
        [ $# -gt 1 ] || fail "--binary needs the path of a program"
        binary=$2
        shift
        ;;
    *) fail "$1 is neither amd64, armhf, arm64 nor --binary PATH" ;;
    esac
    shift
done
for tool in dpkg-deb readelf; do
    command -v "$tool" >/dev/null || fail "$tool is missing: install dpkg and binutils"
done
native=$(dpkg --print-architecture)
arch=${arch:-$native}
if [ -z "$binary" ] && [ "$arch" = "$native" ]; then
    cargo build --locked --release
    binary=${CARGO_TARGET_DIR:-target}/release/blx
elif [ -z "$binary" ]; then
    target=$(target_of "$arch") ||
        fail "this machine is $native: give a program for $arch with --binary PATH"
    cross/size.sh "$target" >&2
    binary=target/cross/$target/release/blx.stripped
fi
[ -f "$binary" ] || fail "there is no program $binary"

case "$arch" in
amd64) machine="X86-64" ;;
arm64) machine="AArch64" ;;
armhf) machine="ARM" ;;
esac
header=$(LC_ALL=C readelf --wide -hA "$binary")
grep -Eq "^ *Machine: .*\b$machine\$" <<<"$header" || fail "$binary is not for $arch"
[ "$arch" != armhf ] || grep -q "hard-float ABI" <<<"$header" || fail "$binary is not for $arch"

version=$(sed -n '1s/^blx (\(.*\)) .*/\1/p' cross/debian/changelog)
crate=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
[ "${version%-*}" = "$crate" ] ||
    fail "cross/debian/changelog begins with $version, but Cargo.toml says $crate"
date=$(sed -n 's/^ -- .*>  //p' cross/debian/changelog | head -n 1)
# The same tree and program make the same package, byte for byte.
SOURCE_DATE_EPOCH=$(date --date "$date" +%s)
export SOURCE_DATE_EPOCH

# What the program is linked with, by what it says itself: the newest version of a symbol decides
# which C library is new enough. A static one needs nothing.
depends="passwd"
dynamic=$(LC_ALL=C readelf --wide -dV "$binary")
libraries=$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<<"$dynamic")
while read -r library; do
    case "$library" in
    libc.so.6) newest=$(grep -o 'GLIBC_[0-9][0-9.]*' <<<"$dynamic" | sort -uV | tail -n 1)
        depends+=", libc6 (>= ${newest#GLIBC_})" ;;
    libgcc_s.so.1) depends+=", libgcc-s1" ;;
    # Parts of libc6.
    ld-linux* | libm.so.6 | "") ;;
    *) fail "$binary needs $library, and which package that is in is not known here" ;;
    esac
done <<<"$libraries"

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"
put() { install -D -m "$1" "$2" "$tree/$3"; }
put 755 "$binary" usr/bin/blx
put 644 cross/blx.service usr/lib/systemd/system/blx.service
put 644 cross/debian/default etc/default/blx
put 644 cross/completions/blx.bash usr/share/bash-completion/completions/blx
put 644 cross/completions/_blx usr/share/zsh/vendor-completions/_blx
put 644 cross/completions/blx.fish usr/share/fish/vendor_completions.d/blx.fish
put 644 cross/serial.conf usr/share/doc/blx/examples/serial.conf
put 644 cross/README.md usr/share/doc/blx/README.md
put 644 cross/debian/copyright usr/share/doc/blx/copyright
put 644 cross/debian/changelog usr/share/doc/blx/changelog.Debian
put 644 cross/blx.1 usr/share/man/man1/blx.1
gzip -9n "$tree/usr/share/doc/blx/changelog.Debian" "$tree/usr/share/man/man1/blx.1"
for script in postinst prerm postrm; do
    put 755 "cross/debian/$script" "DEBIAN/$script"
done
echo /etc/default/blx >"$tree/DEBIAN/conffiles"
(cd "$tree" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
cat >"$tree/DEBIAN/control" <<END
Package: blx
Version: $version
Architecture: $arch
Maintainer: $(sed -n 's/^ -- \(.*>\)  .*/\1/p' cross/debian/changelog | head -n 1)
Installed-Size: $(du -k --apparent-size --summarize --exclude=DEBIAN "$tree" | cut -f 1)
Depends: $depends
Section: net
Priority: optional
Description: always-on node of a lending ledger that a LAN shares
 Desktop machines on a LAN keep a small blockchain of who took what and that it
 came back, with no server. blx is the node for the small machine on the shelf
 that is always on: it speaks the desktop nodes' protocol, keeps the chain on
 disk, and carries blocks between machines that are not connected to each other.
END

folder=target/debian
mkdir -p "$folder"
package="$folder/blx_${version}_$arch.deb"
dpkg-deb --root-owner-group -Zxz --build "$tree" "$package" >&2
echo "$package"
