#!/usr/bin/env bash
# Builds the program for other processors and prints what is in it: cross/size.sh [TARGET...]
#
# Bytes by section and by crate, of code that is generic by the crate that wrote it. Fails if the
# stripped program for armv7 takes more than 1.5 MiB. Without a TARGET it is armv7.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=cross/toolchain.sh
source cross/toolchain.sh
limit=$((3 << 19))
unset RUSTFLAGS

# Reads `nm --demangle --print-size --radix=d`.
by_crate() {
    awk '$3 !~ /[bB]/ {
        size = $2
        sub(/^[^ ]+ [^ ]+ [^ ]+ /, "")
        whole = $0
        gsub(/^[<&*[( ]*(mut |const |dyn )?/, "")
        crate = "(no crate)"
        if (whole ~ /ring_core|fiat_p256/) crate = "ring, C and assembly"
        else if ($0 ~ /^[a-z0-9_]+(\[[0-9a-f]+\])?::/) { crate = $0; sub(/(\[[0-9a-f]+\])?::.*/, "", crate) }
        sum[crate] += size
    }
    END { for (crate in sum) printf "%10d  %s\n", sum[crate], crate }' | sort -rn | head -20
}

failed=0
for target in "${@:-armv7-unknown-linux-gnueabihf}"; do
    toolchain "$target"
    # Only the last step differs from a plain release build: its symbols are cut here, not there.
    std=()
    ! $source || std=(-Zbuild-std=std,panic_abort)
    "${cargo[@]}" rustc "${options[@]}" "${std[@]}" --release --bin blx -- -C strip=none
    program=target/cross/$target/release/blx
    stripped=$program.stripped
    "$binutils-strip" -o "$stripped" "$program"
    bytes=$(stat -c %s "$stripped")
    echo "== $target: $bytes bytes =="
    size -A -d "$stripped" | awk '$3 ~ /^[0-9]+$/ && $3 > 0 && $2 >= 1024 { printf "%10d  %s\n", $2, $1 }' | sort -rn
    echo "-- by crate"
    nm --demangle --print-size --radix=d "$program" | awk 'NF >= 4' | by_crate
    if [[ $target == armv7-* ]] && [ "$bytes" -gt "$limit" ]; then
        echo "$target: $((bytes - limit)) bytes more than the $limit that are allowed" >&2
        failed=1
    fi
done
exit "$failed"
