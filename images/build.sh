#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Builds the guest's root image: a read-only erofs with the agent, its init and the programs that
# scenarios use. The module is not in it: it comes on a disk of its own.
#
# The image is kept in the cache under a hash of everything it is made of; --output becomes a link
# to it. Two builds of the same inputs give the same bytes.
set -euo pipefail

usage() {
  echo "usage: build.sh --agent FILE --init FILE --output FILE" >&2
  exit 2
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
agent="" init="" output=""
while (($# > 0)); do
  [[ $# -ge 2 ]] || usage
  case $1 in
    --agent) agent=$2 ;;
    --init) init=$2 ;;
    --output) output=$2 ;;
    *) usage ;;
  esac
  shift 2
done
[[ -f $agent && -f $init && -n $output ]] || usage

packages=(busybox-static dmsetup e2fsprogs erofs-utils fio gcc libc6 xfsprogs)

# What decides the image's bytes, one line each.
inputs() {
  dpkg-query --show --showformat '${Package} ${Version}\n' -- "${packages[@]}"
  sha256sum "$here"/*.sh "$agent" "$init" | cut --delimiter ' ' --fields 1
}

make_image() {
  local work=$1 target=$2
  "$here/populate.sh" "$work/root" "$agent" "$init"
  # The date and the UUID are arbitrary and fixed; ownership is root's.
  mkfs.erofs --quiet -x-1 -T 1700000000 -U 5eed5eed-0000-4000-8000-5ea9bedd15c0 --all-root \
    "$work/root.erofs" "$work/root" >"$work/erofs.log" 2>&1 || {
    echo "image: mkfs.erofs failed:" >&2
    cat "$work/erofs.log" >&2
    exit 1
  }
  mkdir --parents "$(dirname "$target")"
  mv "$work/root.erofs" "$target"
}

cache=${XDG_CACHE_HOME:-$HOME/.cache}/snapbed/image
mkdir --parents "$cache" "$(dirname "$output")"
inputs=$(inputs) || {
  echo "image: one of these packages is not installed: ${packages[*]}" >&2
  exit 1
}
key=$(sha256sum <<<"$inputs" | cut --characters 1-16)
image=$cache/$key/root.erofs

# Two builds at once would do the work twice; the second waits and finds it done.
exec 9>"$cache/lock"
flock --timeout 600 9 || {
  echo "image: another build has held $cache/lock for 600 s" >&2
  exit 1
}
if [[ -f $image ]]; then
  echo "image: $image is up to date"
else
  work=$(mktemp --directory "$cache/work.XXXXXX")
  trap 'rm --recursive --force "$work"' EXIT
  make_image "$work" "$image"
  echo "image: built $image ($(du --bytes "$image" | cut --fields 1) bytes) from ${packages[*]}"
fi
ln --symbolic --force --no-target-directory "$image" "$output"
