# shellcheck shell=bash
# What the scripts in ci/ share: talking, failing, the cache. Sourced, never run.
set -euo pipefail

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
