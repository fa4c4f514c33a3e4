# shellcheck shell=bash
# Sourced, not run: what .ci/run and tests/nightly have in common.
#
# A part is a function of the script that sources this; the script, which is $self, runs it when it is
# called with --part NAME. So a part is a process of its own, which ends at the first command that fails.

# shellcheck source=../cross/toolchain.sh
source cross/toolchain.sh

# Installs what is missing for all parts, before any of them runs, since two that install at the same
# time are in each other's way. The arguments are the targets that are built for.
prepare() {
    need gcc g++ libc6-dev python3 python3-venv mandoc strace iproute2
    local target
    for target in "$@"; do
        (toolchain "$target")
    done
    # What the tests would pass themselves over for want of it is a failure here.
    export BLX_REQUIRE_DESKTOP=1 BLX_REQUIRE_STRACE=1 BLX_REQUIRE_NETNS=1
    # Each crate is built once, and what the compiler would keep for the next time costs it time now.
    export CARGO_INCREMENTAL=0
    mkdir -p target/parts
    : >target/parts/summary
}

# Each commit has seeds of its own in the simulated world, else it would only repeat what the last one
# passed. BLX_FIRST_SEED=n, which is shown, runs those of another one.
draw_seeds() {
    local commit
    commit=$(git rev-parse HEAD 2>/dev/null) || commit=0
    export BLX_FIRST_SEED=${BLX_FIRST_SEED:-$((16#${commit::7}))}
    echo "seeds from $BLX_FIRST_SEED"
}

# These parts wait from now on, in this order.
queue() { printf '%s\n' "$@" >target/parts/queue; }

# Prints the next of the parts that wait, and takes it out.
next_part() {
    (
        flock 8
        local name
        read -r name <target/parts/queue || exit 1
        sed -i 1d target/parts/queue
        echo "$name"
    ) 8>target/parts/turn
}

# Runs the parts that wait one after the other, all of them, even if one fails; another lane may do so
# at the same time. What a part says is kept in target/parts/NAME.log and shown when it ends, so that it
# can be read if others run beside it.
lane() {
    local name code failed=0 took TIMEFORMAT="%0R s, %0U + %0S s of processors"
    while name=$(next_part); do
        echo "==== $name begins"
        code=0
        took=$({ time "$self" --part "$name" >"target/parts/$name.log" 2>&1 </dev/null; } 2>&1) || code=$?
        {
            flock 9
            cat "target/parts/$name.log"
            echo "==== $name: $took, exit code $code" | tee -a target/parts/summary
        } 9>target/parts/lock
        [ "$code" -eq 0 ] || failed=1
    done
    return "$failed"
}
