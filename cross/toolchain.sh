# shellcheck shell=bash
# Sourced, not run: what it takes to build and run for another processor on a bare Debian 12, from
# its own packages. `toolchain TARGET` installs what is missing, sets what cargo reads from the
# environment, and
#
#   cargo        the command (an array), and
#   options      what every call of it gets behind its sub-command (an array); the standard library
#                comes as source, so -Zbuild-std is given besides
#   binutils     what the names of the binary utilities begin with
#   BLX_RUNNER   the emulator with its options
#
# What is emulated is the smallest processor that the target is for.

# Installs those of these packages that are missing.
need() {
    local package missing=()
    for package in "$@"; do
        dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
    done
    [ "${#missing[@]}" -eq 0 ] && return 0
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
}

toolchain() {
    local target=$1 prefix packages emulator processor
    case "$target" in
    armv7-unknown-linux-gnueabihf)
        prefix=arm-linux-gnueabihf emulator=qemu-arm-static processor=cortex-a7
        packages=(gcc-arm-linux-gnueabihf libc6-dev-armhf-cross)
        ;;
    aarch64-unknown-linux-gnu)
        prefix=aarch64-linux-gnu emulator=qemu-aarch64-static processor=cortex-a53
        packages=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross)
        ;;
    *)
        echo "$target is not known: give one of those in cross/toolchain.sh" >&2
        return 2
        ;;
    esac
    need rustc-web cargo-web rust-web-src gcc libc6-dev qemu-user-static "${packages[@]}"

    local name=${target//-/_}
    export "CC_$name=$prefix-gcc" "AR_$name=$prefix-ar"
    name=${name^^}
    export BLX_RUNNER="/usr/bin/$emulator -cpu $processor -L /usr/$prefix"
    export "CARGO_TARGET_${name}_LINKER=$prefix-gcc" "CARGO_TARGET_${name}_RUNNER=$BLX_RUNNER"
    # -Zbuild-std is unstable.
    export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc RUSTC_BOOTSTRAP=1
    binutils=$prefix
    # The system's cargo goes with the system's source of the standard library.
    cargo=(/usr/bin/cargo)
    options=(--locked --target "$target" --target-dir target/cross)
}
