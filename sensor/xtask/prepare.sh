#!/bin/sh
# Looks for what building needs and installs what is missing on Debian and its relatives. Says what it does, does
# nothing where everything is there, and then needs no network.
set -eu

# Cargo as rustup installs it need not be on the path of a fresh shell: the Makefile adds the same folder.
PATH="$PATH:${CARGO_HOME:-${HOME:-}/.cargo}/bin"

want=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
how="Install Rust $want or later: https://rustup.rs (curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh)"
if ! command -v cargo >/dev/null 2>&1; then
    echo "cargo was not found. $how" >&2
    exit 1
fi
have=$(cargo --version 2>/dev/null | cut -d' ' -f2)
if [ -z "$have" ]; then
    echo "cargo is there but does not run (no default toolchain?). $how" >&2
    exit 1
fi
if [ "$(printf '%s\n%s\n' "$want" "$have" | sort -V | head -n 1)" != "$want" ]; then
    echo "cargo $have is too old. $how" >&2
    exit 1
fi

if [ "${1:-}" = test ]; then
    for part in fmt clippy; do
        if ! cargo "$part" --version >/dev/null 2>&1; then
            echo "cargo $part was not found. Add it: rustup component add rustfmt clippy" >&2
            exit 1
        fi
    done
fi

missing=""
command -v cc >/dev/null 2>&1 || missing="$missing gcc"
[ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"
if ! printf '#include <pcap/pcap.h>\n' | cc -E - >/dev/null 2>&1; then missing="$missing libpcap-dev"; fi
# The second pattern engine: Hyperscan, or its double Vectorscan where that is installed.
command -v "${PKG_CONFIG:-pkg-config}" >/dev/null 2>&1 || missing="$missing pkg-config"
if [ -z "${HYPERSCAN_ROOT:-}" ] && [ ! -e /usr/include/hs/hs.h ] \
    && ! "${PKG_CONFIG:-pkg-config}" --exists libhs 2>/dev/null; then
    # Hyperscan is for x86 only.
    case $(uname -m) in
    x86_64 | amd64) missing="$missing libhyperscan-dev" ;;
    *) missing="$missing libvectorscan-dev" ;;
    esac
fi
# Tests scrape the sensor with it, and read the rules in deploy/prometheus; without, they say that they were skipped.
if [ "${1:-}" = test ] && ! command -v promtool >/dev/null 2>&1; then missing="$missing prometheus"; fi
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"

if [ -n "$missing" ]; then
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "Missing:$missing (names of Debian packages). Install them with your package manager." >&2
        exit 1
    fi
    if [ "$(id -u)" = 0 ]; then
        sudo=""
    elif command -v sudo >/dev/null 2>&1; then
        sudo="sudo"
    else
        echo "Missing:$missing. Run as root: apt-get install$missing" >&2
        exit 1
    fi
    echo "Installing$missing"
    $sudo apt-get update -qq
    # shellcheck disable=SC2086 # several words on purpose
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
