#!/usr/bin/env bash
# Builds the C++ side with CMake and Ninja.
#
#   harness.sh --build FOLDER [--sanitize address,undefined|thread]
# shellcheck source=ci/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

build='' sanitize=''
while (($#)); do
  case $1 in
    --build) build=$2 ;;
    --sanitize) sanitize=$2 ;;
    *) die "harness.sh: unknown option $1; expected --build or --sanitize" ;;
  esac
  shift 2
done
[[ -n $build ]] || die "harness.sh: --build FOLDER is missing"

mkdir --parents "$build"
log=$build/build.log
: >"$log"
if [[ ! -f $build/build.ninja ]]; then
  run_logged "$log" cmake -S "$repository" -B "$build" -G Ninja -DSNAPBED_SANITIZE="$sanitize"
fi
steps=$(ninja -C "$build" -n 2>/dev/null | grep --count '^\[' || true)
if ((steps > 3)); then
  say "compiling the harness${sanitize:+ with -fsanitize=$sanitize} (up to $steps steps; follow $log)"
fi
run_logged "$log" ninja -C "$build"
