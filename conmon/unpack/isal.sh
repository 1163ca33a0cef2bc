#!/bin/sh
# Builds the static ISA-L library (inflate, deflate, CRC) that unpack links: isal.sh OUTPUT_DIR ARCH [CC]
#
# Debian 12 has only the shared library, so the sources are taken from the source distribution of the Python package
# `isal`. It is fetched by the ordinary client and pinned by hash; a copy in ISAL_SDIST
# is used instead when that is set. Needs nasm for x86_64, and setuptools and setuptools-scm for pip's look at its metadata.
set -eu

output=$1
arch=$2
cc=${3:-cc}
version=1.9.1
hash=d210dca02a689ef2af709d2c62d2daac2e36b5d2fa06e6dc0d023c83fee77e91

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ -n "${ISAL_SDIST:-}" ]; then
    cp "$ISAL_SDIST" "$work/isal-$version.tar.gz"
else
    echo "isal==$version --hash=sha256:$hash" >"$work/requirements.txt"
    # Without isolation: pip would fetch the newest build tools, unpinned, only to read the package's name.
    "${PYTHON:-python3}" -m pip download --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-binary isal \
        --require-hashes --dest "$work" -r "$work/requirements.txt"
fi
echo "$hash  $work/isal-$version.tar.gz" | sha256sum --check --quiet
tar -C "$work" -xzf "$work/isal-$version.tar.gz"
source="$work/isal-$version/src/isal/isa-l"

set -- -C "$source" -f Makefile.unx units="crc igzip" host_cpu="$arch" CC="$cc" DEBUG= DEBUG_nasm= D=
[ "$arch" = aarch64 ] && set -- "$@" arch=aarch64
# What the outer make was told (flags, targets) is not meant for this one.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES CFLAGS LDFLAGS
make -s "$@" lib >"$work/build.log" 2>&1 || {
    cat "$work/build.log" >&2
    exit 1
}
mkdir -p "$output/include"
rm -rf "$output/include/isa-l"
cp -r "$source/include" "$output/include/isa-l"
cp "$source/LICENSE" "$output/LICENSE.isa-l"
cp "$source/bin/isa-l.a" "$output/libisal.a"
