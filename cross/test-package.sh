#!/usr/bin/env bash
# Makes a package and tries it:
#
#   cross/test-package.sh                        this machine's: installed, run, removed, purged
#   cross/test-package.sh ARCH [--binary PATH]   another one's: its program is run emulated
#
# The first needs root, and a machine without a node: it installs by dpkg itself, and afterwards
# takes away what the package leaves on purpose.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=cross/toolchain.sh
source cross/toolchain.sh

fail() {
    echo "test-package.sh: $1" >&2
    exit 1
}

step() { echo "== $1"; }

# No ports that a node of somebody is likely to have, or that the system gives to connections. Both
# kinds may be tried at the same time.
PORT=30127 EMULATED_PORT=30128

emulated() {
    toolchain "$(target_of "$1")"
    package=$(cross/package.sh "$@")
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    step "$package"
    dpkg-deb --info "$package"
    dpkg-deb --extract "$package" "$scratch/root"
    step "its program, emulated"
    $BLX_RUNNER "$scratch/root/usr/bin/blx" --version
    python3 cross/ready.py $BLX_RUNNER "$scratch/root/usr/bin/blx" \
        --data-dir "$scratch/data" --bind 127.0.0.1 --headless "$EMULATED_PORT"
    [ -s "$scratch/data/chain.blx" ] || fail "the node has no chain"
}

# What the test makes, and only that.
clean_up() {
    # An installation that failed half-way is no reason to leave the rest.
    dpkg --purge blx >/dev/null 2>&1 || true
    rm -rf /var/lib/blx /run/blx
    ! getent passwd blx >/dev/null || userdel blx
    ! getent group blx >/dev/null || groupdel blx
}

kept() { (cd /var/lib/blx && sha256sum identity.blx chain.blx && stat -c '%n %U %a' . ./*.blx); }

installed() {
    [ "$(id -u)" = 0 ] || fail "installing a package needs root"
    ! dpkg -s blx >/dev/null 2>&1 || fail "blx is installed here, and this would remove it"
    for path in /var/lib/blx /run/blx /etc/default/blx /usr/bin/blx; do
        [ ! -e "$path" ] || fail "$path is there, and this would remove it"
    done
    ! getent passwd blx >/dev/null || fail "there is a user blx, and this would remove it"

    package=$(cross/package.sh "$@")
    step "$package"
    dpkg-deb --info "$package"
    dpkg-deb --contents "$package"
    trap clean_up EXIT
    step "installing it"
    dpkg --install "$package"
    /usr/bin/blx --version
    getent passwd blx
    if [ -d /run/systemd/system ]; then
        systemctl is-enabled blx.service
        systemctl stop blx.service
    fi
    for unit in /etc/systemd/system/serial-getty@*.service.d /etc/systemd/system/blx.service.d; do
        [ ! -e "$unit" ] || fail "installing made $unit"
    done

    step "running it as the unit does"
    install -d -o blx -g blx -m 700 /var/lib/blx
    install -d -o blx -g blx -m 750 /run/blx
    local command
    command=$(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/blx.service)
    # The options are words, as systemd makes them of a variable without braces.
    read -ra words <<<"${command/\$BLX_OPTIONS/--bind 127.0.0.1 $PORT}"
    as_blx=(setpriv --reuid blx --regid blx --init-groups --no-new-privs --bounding-set=-all)
    umask 077
    python3 cross/ready.py "${as_blx[@]}" "${words[@]}"
    umask 022
    local before after
    before=$(kept)
    echo "$before"

    step "removing it"
    dpkg --remove blx
    [ ! -e /usr/bin/blx ] || fail "the program is still there"
    [ -e /etc/default/blx ] || fail "removing took the options away"
    step "purging it"
    dpkg --purge blx
    [ ! -e /etc/default/blx ] || fail "purging left the options"
    after=$(kept)
    [ "$before" = "$after" ] || fail "the data is not what it was: $after"
    getent passwd blx >/dev/null || fail "the user is gone, whose files these are"

    step "installing it again"
    dpkg --install "$package"
    python3 cross/ready.py "${as_blx[@]}" "${words[@]}"
    [ "$before" = "$(kept)" ] || fail "another start is another node"
    echo "the package is as it should be"
}

case "${1:-}" in
armhf | arm64) emulated "$@" ;;
*) installed "$@" ;;
esac
