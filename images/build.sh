#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Builds the guest's root image: a read-only erofs with the agent, its init and the programs that
# scenarios use. The module is not in it: it comes on a disk of its own.
#
# The image is kept in the cache under a hash of everything it is made of; --output becomes a link
# to it. Two builds of the same inputs give the same bytes.
set -euo pipefail
export LC_ALL=C
umask 022 # the modes of what is copied must not depend on the caller
PATH=$PATH:/usr/sbin:/sbin

usage() {
  echo "usage: build.sh --agent FILE --bench FILE --init FILE --output FILE" >&2
  exit 2
}

fail() {
  echo "image: $1" >&2
  exit 1
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
agent="" bench="" init="" output=""
while (($# > 0)); do
  [[ $# -ge 2 ]] || usage
  case $1 in
    --agent) agent=$2 ;;
    --bench) bench=$2 ;;
    --init) init=$2 ;;
    --output) output=$2 ;;
    *) usage ;;
  esac
  shift 2
done
[[ -n $agent && -n $bench && -n $init && -n $output ]] || usage

for file in "$agent" "$bench" "$init"; do
  [[ -f $file ]] || fail "$file does not exist: build the harness first"
done
for tool in mkfs.erofs gcc readelf fio busybox mke2fs mkfs.xfs dmsetup sfdisk; do
  command -v "$tool" >/dev/null || fail "$tool is not installed: run make deps"
done

# What decides the image's bytes, one line each. All packages count, because any may hold a library
# of fio's: a build takes a second, a stale library takes a day to find.
inputs() {
  dpkg-query --show --showformat "\${Package} \${Version}\n"
  sha256sum "$here"/*.sh "$agent" "$bench" "$init" | cut --delimiter ' ' --fields 1
}

make_image() {
  local work=$1 target=$2
  "$here/populate.sh" "$work/root" "$agent" "$bench" "$init"
  # The date and the UUID are arbitrary and fixed; everything belongs to root.
  mkfs.erofs --quiet -x-1 -T 1700000000 -U 5eed5eed-0000-4000-8000-5ea9bedd15c0 --all-root \
    "$work/root.erofs" "$work/root" >"$work/erofs.log" 2>&1 || {
    cat "$work/erofs.log" >&2
    fail "mkfs.erofs failed"
  }
  mkdir --parents "$(dirname "$target")"
  mv "$work/root.erofs" "$target"
}

cache=${SNAPBED_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/snapbed}/image
mkdir --parents "$cache" "$(dirname "$output")"
key=$(inputs | sha256sum | cut --characters 1-16)
image=$cache/$key/root.erofs

# Two builds at once would do the work twice; the second waits and finds it done.
exec 9>"$cache/lock"
flock --timeout 600 9 || fail "another build has held $cache/lock for 600 s"
# Images that no build has asked for in two weeks are not missed.
find "$cache" -mindepth 1 -maxdepth 1 -type d -mtime +14 -exec rm --recursive --force {} +
if [[ -f $image ]]; then
  touch "$cache/$key"
  echo "image: $image is up to date"
else
  work=$(mktemp --directory "$cache/work.XXXXXX")
  trap 'rm --recursive --force "$work"' EXIT
  make_image "$work" "$image"
  echo "image: built $image ($(stat --format %s "$image") bytes)"
fi
ln --symbolic --force --no-target-directory "$image" "$output"
