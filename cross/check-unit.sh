#!/usr/bin/env bash
# The unit is read without complaint and confines the node, alone and with the drop-in.
set -euo pipefail
cd "$(dirname "$0")"

# Ten times the exposure that `systemd-analyze security` shows.
EXPOSURE_MAX=20

if ! command -v systemd-analyze >/dev/null; then
    echo "systemd-analyze is not there: the unit is not checked"
    exit 0
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/alone" "$scratch/serial/blx.service.d"
# The program need not be installed for this.
without_program() { sed 's|^ExecStart=/usr/bin/blx|ExecStart=/bin/true|' "$1"; }
without_program blx.service | tee "$scratch/alone/blx.service" >"$scratch/serial/blx.service"
without_program serial.conf >"$scratch/serial/blx.service.d/serial.conf"

for kind in alone serial; do
    unit="$scratch/$kind/blx.service"
    said=$(systemd-analyze verify --man=no "$unit" 2>&1) || true
    # It reads units of this machine, too, which are not ours to judge.
    if grep 'blx\.service' <<<"$said"; then
        echo "the unit has the faults above ($kind)" >&2
        exit 1
    fi
    echo "$kind: $(systemd-analyze security --offline=yes --no-pager \
        --threshold="$EXPOSURE_MAX" "$unit" | tail -n 1)"
done
