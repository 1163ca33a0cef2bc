#!/usr/bin/env bash
# Installs the Debian packages that are missing: hack/deps.sh GROUP...   (groups: run build test; --list prints them)
#
# Debian 12 and 13, as root. When nothing is missing nothing is asked of anybody, and the call takes milliseconds.
# Services of freshly installed packages (a registry, containerd) are not started: the tree starts what it needs itself.
set -euo pipefail

declare -A GROUPS_OF=(
  # What the daemon calls or loads at run time, and what `make run` shows it with.
  [run]="runc crun containernetworking-plugins docker-registry iptables nftables iproute2 mount util-linux
         busybox-static curl ca-certificates procps"
  # What compiles the C programs and the Python environment.
  [build]="gcc libc6-dev make nasm musl-tools linux-libc-dev python3 python3-venv python3-dev git ca-certificates dpkg-dev
           libisal-dev libzstd-dev liblzma-dev libbz2-dev libseccomp-dev"
  # Peers and judges: other programs that must agree with ours on formats and behaviour; what the tests watch, sign, fuzz
  # and make file systems with, the machines that they start, and another architecture's compiler and processor.
  [test]="podman skopeo buildah containerd conmon iptables nftables conntrack strace valgrind clang libclang-rt-dev
          gpg gpg-agent openssl zstd xz-utils e2fsprogs xfsprogs btrfs-progs debootstrap patchelf groff-base
          cpio qemu-system-x86 qemu-user-static gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
)

wanted=()
list_only=""
for group in "$@"; do
  if [ "$group" = --list ]; then list_only=yes; continue; fi
  [ -n "${GROUPS_OF[$group]:-}" ] || { echo "hack/deps.sh: no group '$group' (run, build, test)" >&2; exit 2; }
  read -r -d '' -a members <<<"${GROUPS_OF[$group]}" || true
  wanted+=("${members[@]}")
done
[ ${#wanted[@]} -gt 0 ] || { echo "usage: hack/deps.sh [--list] run|build|test ..." >&2; exit 2; }
if [ -n "$list_only" ]; then printf '%s\n' "${wanted[@]}" | sort -u; exit 0; fi

command -v dpkg-query >/dev/null || { echo "hack/deps.sh: this is no Debian: install by hand: ${wanted[*]}" >&2; exit 1; }
installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null || true)
missing=()
for package in "${wanted[@]}"; do
  grep -qx "$package installed" <<<"$installed" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

[ "$(id -u)" = 0 ] || { echo "hack/deps.sh: missing: ${missing[*]}: call me as root to install them" >&2; exit 1; }
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
echo "==> installing ${missing[*]}" >&2

# A policy of our own for the time of the installation, unless the machine has one: packages may not start services.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -qq -y -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 -o Acquire::Retries=3)
"${apt[@]}" update >&2
"${apt[@]}" install --no-install-recommends "${missing[@]}" </dev/null >&2
