#!/usr/bin/env bash
# Builds and runs the tests for another processor: cross/test.sh TARGET [cargo test arguments]
#
# On Debian 12 without Docker; what is missing is installed. The targets are those of
# cross/toolchain.sh. The tests and all the nodes that they start run in an emulator; only those for
# i686 are run by this machine itself. The tests of tests/cross put such a node beside a native one,
# which BLX_NATIVE names; if it does not, one is built with the cargo in the path.
#
# Emulated code is 10 to 20 times as slow, so 20 seeds are run in the simulated world and not 300:
# on another processor a seed takes the same course, and what counts is that some take it.
# BLX_SEEDS=n runs so many. The tests beside desktop nodes need Python, see tests/needs.rs.
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: cross/test.sh TARGET [cargo test arguments]" >&2; exit 2; }
cd "$(dirname "$0")/.."
# shellcheck source=cross/toolchain.sh
source cross/toolchain.sh
target=$1
shift

if [ -z "${BLX_NATIVE:-}" ]; then
    cargo build --locked
    BLX_NATIVE=$PWD/target/debug/blx
fi
export BLX_NATIVE BLX_REQUIRE_NATIVE=1 BLX_SEEDS="${BLX_SEEDS:-20}"

# Warnings are judged where the compiler is the one of the house.
unset RUSTFLAGS RUSTDOCFLAGS
toolchain "$target"
std=()
if $source; then
    # Without what prints the trace of a panic, which takes as long to build as it is big.
    std=(-Zbuild-std=std,panic_unwind,test -Zbuild-std-features=panic-unwind)
fi
"${cargo[@]}" test "${options[@]}" "${std[@]}" "$@"
