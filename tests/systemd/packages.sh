#!/bin/sh
# Packages of the debug build, which has the fail-points, and the same again as a later version:
#
#   tests/systemd/packages.sh EXECUTABLE DIRECTORY
set -eu
cd "$(dirname "$0")/../.."
executable=$1
out=$2
packaging/stage.sh "$executable"
rm -rf "$out"
# cargo-deb takes the executable from the release directory of its target directory.
mkdir -p "$out/cargo/release"
ln "$executable" "$out/cargo/release/zhongkong" 2>/dev/null || cp "$executable" "$out/cargo/release/zhongkong"
for version in 0.1.0-1 0.1.1-1; do
    CARGO_TARGET_DIR="$PWD/$out/cargo" cargo deb --quiet --no-build --fast --no-dbgsym \
        --deb-version "$version" --output "$out/zhongkong_$version.deb"
done
rm -rf "$out/cargo"
