# shellcheck shell=bash
# What the scripts in ci/ share: talking, failing, the cache. Sourced, never run.
set -euo pipefail

# Called by a make with --jobs, the scripts still give their own makes as many as there are processors.
unset MAKEFLAGS MFLAGS MAKELEVEL

export repository
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export cache
cache=${SNAPBED_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/snapbed}

say() { printf '%s %s\n' "${SNAPBED_SAY:-==>}" "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 3
}

# run_logged LOG COMMAND...: the command's output goes to LOG; its end is shown when it fails.
run_logged() {
  local log=$1
  shift
  if ! "$@" >>"$log" 2>&1; then
    tail --lines=25 "$log" >&2
    die "failed: $* (all of it in $log)"
  fi
}

# build_module FOLDER KERNEL: the module for another kernel than the build's as FOLDER/blksnap.ko, and the amplifier
# where snapbed looks for that of such a kernel: beside it.
build_module() {
  mkdir --parents "$1" &&
    "$repository/ci/module.sh" --kernel "$2" --output "$1/blksnap.ko" &&
    "$repository/ci/module.sh" --kernel "$2" --source "$repository/images/amplifier" --output "$1/snapbed_amplifier.ko"
}

# build_mutant PATCH FOLDER KERNEL [--kunit]: the module with a known bug, or its suites, as FOLDER/blksnap.ko.
# What is put back of the mutant before gets the present time: with its old one make would take that mutant's
# object for newer.
build_mutant() {
  local patch=$1 folder=$2 kernel=$3
  shift 3
  mkdir --parents "$folder"
  rsync --recursive --checksum --delete "$repository/module/" "$folder/source/" || return
  patch --directory "$folder/source" --strip=1 --force --fuzz=0 --silent <"$patch" >"$folder/patch.log" 2>&1 ||
    die "$patch does not apply to module/: $(head --lines=1 "$folder/patch.log")"
  MODULE_MAKE="W=0" "$repository/ci/module.sh" --kernel "$kernel" --source "$folder/source" --output "$folder/blksnap.ko" "$@"
}
