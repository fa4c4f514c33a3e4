# shellcheck shell=bash
# Sourced, not run: what it takes to build and run for another processor on a bare Debian 12.
# `toolchain TARGET` installs what is missing, sets what cargo reads from the environment, and
#
#   cargo        the command (an array), and
#   options      what every call of it gets behind its sub-command (an array)
#   source       whether the standard library comes as source; then -Zbuild-std is given besides
#   binutils     what the names of the binary utilities begin with
#   BLX_RUNNER   the emulator with its options; not set where this machine runs such programs itself
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

# Asks the system's mirrors for something else: their lists of sources, each changed by these options
# for sed, are put below $1. Sets `apt`, the command that goes by them.
mirrors() {
    local work=$1 file
    shift
    mkdir -p "$work/sources" "$work/lists/partial"
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
        [ -f "$file" ] || continue
        sed "$@" "$file" >"$work/sources/${file##*/}"
    done
    apt=(apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$work/sources"
        -o "Dir::State::lists=$work/lists" -o APT::Sandbox::User=root)
    "${apt[@]}" update
}

# Prints the path of an emulator that knows the calls for serial lines, which Debian 12's own (7.2) does
# not: of that name, from the backports of the same mirrors, unpacked below target/.
emulator() {
    local name=$1 work=$PWD/target/qemu
    local own="/usr/bin/$name-static"
    if [ -x "$own" ] && [[ $("$own" --version) =~ version\ ([0-9]+) ]] && ((BASH_REMATCH[1] >= 10)); then
        echo "$own"
        return
    fi
    if [ ! -x "$work/usr/bin/$name" ]; then
        rm -rf "$work"
        mkdir -p "$work"
        # A subshell before || ends at no failure, hence the chains of &&.
        (
            mirrors "$work" -E 's/^(Suites:)(.* )?bookworm( .*)?$/\1 bookworm-backports/
                s/^(deb .*) bookworm (.*)$/\1 bookworm-backports \2/' &&
                cd "$work" &&
                "${apt[@]}" download qemu-user/bookworm-backports &&
                dpkg -x qemu-user_*.deb .
        ) >"$work/log" 2>&1 || { tail "$work/log" >&2; return 1; }
    fi
    echo "$work/usr/bin/$name"
}

# Builds musl from Debian's source into $1 for the compiler $2, with these options for it.
musl() {
    local root=$1 prefix=$2 work=$1.build
    shift 2
    [ -e "$root/lib/libunwind.a" ] && return 0
    need make
    rm -rf "$work"
    mkdir -p "$work"
    (
        mirrors "$work" 's/^deb /deb-src /; s/^Types: deb$/Types: deb-src/' &&
            cd "$work" &&
            "${apt[@]}" source --download-only musl &&
            tar xf musl_*.orig.tar.gz &&
            cd musl-*/ &&
            CC=$prefix-gcc AR=$prefix-ar RANLIB=$prefix-ranlib CFLAGS="-O2 $*" ./configure \
                --target="$prefix" --prefix="$root" --disable-shared --enable-wrapper=gcc &&
            make -j"$(nproc)" install
    ) >"$work/log" 2>&1 || { tail "$work/log" >&2; return 1; }
    # The compiler's own start-up files are for the processor that Debian asks for, and do nothing
    # that a program with musl needs.
    sed -i 's/crtbeginS.o%s//; s/crtendS.o%s//' "$root/lib/musl-gcc.specs"
    # What unwinds the stack is asked for by another name.
    cp "$("$prefix-gcc" -print-file-name=libgcc_eh.a)" "$work/libunwind.a"
    if [[ $("$prefix-nm" "$work/libunwind.a") == *"U _dl_find_object"* ]]; then
        "$root/bin/musl-gcc" -O2 -Wall -Werror -c -o "$work/find-object.o" cross/find-object.c
        "$prefix-ar" r "$work/libunwind.a" "$work/find-object.o"
    fi
    mv "$work/libunwind.a" "$root/lib/libunwind.a"
}

# Prints the target of which a package for this architecture is made here, with Debian's C library.
target_of() {
    case "$1" in
    armhf) echo armv7-unknown-linux-gnueabihf ;;
    arm64) echo aarch64-unknown-linux-gnu ;;
    *) return 1 ;;
    esac
}

# Whether the compiler in the path has the standard library for this target, or rustup brings it. To
# build with that takes less than half the time.
has_library() {
    local root
    root=$(rustc --print sysroot 2>/dev/null) || return 1
    [ -d "$root/lib/rustlib/$1/lib" ] || timeout 300 rustup target add "$1" >/dev/null 2>&1
}

toolchain() {
    local target=$1 prefix packages emulator processor options_for_c=()
    case "$target" in
    armv7-unknown-linux-gnueabihf | armv7-unknown-linux-musleabihf)
        prefix=arm-linux-gnueabihf emulator=qemu-arm processor=cortex-a7
        packages=(gcc-arm-linux-gnueabihf libc6-dev-armhf-cross)
        ;;
    arm-unknown-linux-musleabihf)
        prefix=arm-linux-gnueabihf emulator=qemu-arm processor=arm1176
        packages=(gcc-arm-linux-gnueabihf libc6-dev-armhf-cross)
        options_for_c=(-march=armv6 -marm -mfpu=vfp -mfloat-abi=hard)
        ;;
    arm-unknown-linux-gnueabihf)
        # Debian's C library for it asks for an ARMv7, so a Pi Zero's processor could not be
        # emulated with it; what is built with it is no program for a Pi Zero either.
        prefix=arm-linux-gnueabihf emulator=qemu-arm processor=cortex-a7
        packages=(gcc-arm-linux-gnueabihf libc6-dev-armhf-cross)
        ;;
    i686-unknown-linux-gnu)
        # For the sizes of 32 bits at the speed of this machine. gcc-multilib, which would do as
        # well, is in conflict with the compilers for ARM.
        prefix=i686-linux-gnu emulator=qemu-i386 processor=max
        packages=(gcc-i686-linux-gnu libc6-dev-i386-cross)
        ;;
    aarch64-unknown-linux-gnu | aarch64-unknown-linux-musl)
        prefix=aarch64-linux-gnu emulator=qemu-aarch64 processor=cortex-a53
        packages=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross)
        ;;
    *)
        echo "$target is not known: give one of those in cross/toolchain.sh" >&2
        return 2
        ;;
    esac
    need gcc libc6-dev "${packages[@]}"

    local name=${target//-/_} compiler=$prefix-gcc root lib=/usr/$prefix/lib
    if [[ $target == i686-* ]] && "$lib/ld-linux.so.2" --version >/dev/null 2>&1; then
        unset BLX_RUNNER
    else
        emulator=$(emulator "$emulator")
        export BLX_RUNNER="$emulator -cpu $processor"
    fi
    if [[ $target == i686-* ]]; then
        # Its libraries are not where the system looks for them.
        export "CARGO_TARGET_${name^^}_RUSTFLAGS=-C link-arg=-Wl,--dynamic-linker=$lib/ld-linux.so.2 -C link-arg=-Wl,-rpath=$lib"
    elif [[ $target == *musl* ]]; then
        root=$PWD/target/musl/$target
        musl "$root" "$prefix" "${options_for_c[@]}"
        compiler=$root/bin/musl-gcc
        export "CARGO_TARGET_${name^^}_RUSTFLAGS=-C link-self-contained=no -L native=$root/lib"
    else
        BLX_RUNNER+=" -L /usr/$prefix"
    fi
    export "CC_$name=$compiler" "AR_$name=$prefix-ar"
    name=${name^^}
    export "CARGO_TARGET_${name}_LINKER=$compiler"
    [ -z "${BLX_RUNNER:-}" ] || export "CARGO_TARGET_${name}_RUNNER=$BLX_RUNNER"
    # Nobody looks at these programs with a debugger, and what it would show takes time to make.
    export CARGO_PROFILE_DEV_DEBUG=false CARGO_INCREMENTAL=0
    binutils=$prefix
    options=(--locked --target "$target" --target-dir target/cross)
    if [[ $target != *musl* ]] && has_library "$target"; then
        unset RUSTC RUSTDOC RUSTC_BOOTSTRAP
        cargo=(cargo) source=false
    else
        need rustc-web cargo-web rust-web-src
        # The system's cargo goes with the system's source of the standard library, and -Zbuild-std
        # is unstable.
        cargo=(/usr/bin/cargo) source=true
        export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc RUSTC_BOOTSTRAP=1
    fi
}
