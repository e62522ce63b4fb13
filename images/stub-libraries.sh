#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Makes empty stand-ins for the network-storage libraries that Debian's fio is linked against:
# stub-libraries.sh PROGRAM FOLDER
#
# The real ones (ceph, gluster, rdma and what they pull in) are 80 MB that the loader would read
# and relocate at every start of fio under emulation, for engines no guest of ours can use. fio is
# linked to bind at once, so every symbol it wants must exist, in the version it wants; a call of
# one ends the program.
set -euo pipefail

program=$1 folder=$2
stubbed='^(libgfapi|libnbd|libibverbs|librdmacm|librados|librbd|libpmemblk|libpmem)\.so\.'

work=$(mktemp --directory)
trap 'rm --recursive --force "$work"' EXIT

mapfile -t needed < <(readelf --dynamic --wide "$program" |
  sed --quiet 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep --extended-regexp "$stubbed" || true)
((${#needed[@]} > 0)) || exit 0

# Lines "LIBRARY VERSION", from the program's version needs.
readelf --version-info --wide "$program" |
  awk '/File:/ { sub(/.*File: /, ""); file = $1 } /Name:/ { sub(/.*Name: /, ""); print file, $1 }' \
    >"$work/versions"
# Lines "SYMBOL VERSION", or "SYMBOL" alone, of all undefined functions and objects.
readelf --dyn-syms --wide "$program" |
  awk '$7 == "UND" && $5 != "WEAK" && $8 != "" { split($8, part, "@"); print part[1], part[2] }' \
    >"$work/symbols"

# Symbols without a version may come from any library: each stub defines those that no library
# that stays gives.
mapfile -t kept < <(ldd "$program" | awk '{ print $1, $3 }' |
  grep --extended-regexp '^lib(c|m|z|aio|numa)\.so' | cut --delimiter ' ' --fields 2)
nm --dynamic --defined-only --no-sort --format=posix "${kept[@]}" 2>/dev/null |
  cut --delimiter ' ' --fields 1 | sed 's/@.*//' | sort --unique >"$work/given"
awk 'NF == 1 { print $1 }' "$work/symbols" | sort --unique |
  comm -23 - "$work/given" >"$work/unversioned"

emit() { printf '.globl %s\n.type %s, @function\n%s: ud2\n' "$1" "$1" "$1"; }

make_stub() {
  local library=$1 first=$2 version symbol
  echo '.text' >"$work/stub.s"
  : >"$work/stub.map"
  if [[ $first == yes ]]; then
    while read -r symbol; do emit "$symbol"; done <"$work/unversioned" >>"$work/stub.s"
  fi
  while read -r version; do
    echo "$version {"
    awk -v version="$version" '$2 == version { print "  " $1 ";" }' "$work/symbols" |
      sed '1i\  global:'
    echo "};"
    while read -r symbol; do emit "$symbol" >>"$work/stub.s"; done \
      < <(awk -v version="$version" '$2 == version { print $1 }' "$work/symbols")
  done < <(awk -v library="$library" '$1 == library { print $2 }' "$work/versions") \
  >"$work/stub.map"
  local script=()
  [[ -s $work/stub.map ]] && script=("-Wl,--version-script=$work/stub.map")
  echo '.section .note.GNU-stack,"",@progbits' >>"$work/stub.s"
  gcc -shared -nostdlib -Wl,--build-id=none "-Wl,-soname,$library" "${script[@]}" \
    -o "$folder/$library" "$work/stub.s"
}

# The unversioned symbols go into a library without versions.
first=yes
for library in "${needed[@]}"; do
  if grep --quiet "^$library " "$work/versions"; then
    make_stub "$library" no
  else
    make_stub "$library" "$first"
    first=no
  fi
done
