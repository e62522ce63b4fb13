#!/usr/bin/env bash
# Scenarios tagged `debug` on the debug kernel: sanitizers, lock checks, kmemleak and fault injection.
# About five times slower than the plain kernel, so they are few and short.
#
#   debug.sh --build FOLDER [OPTION...]      options are those of `snapbed run`
# shellcheck source=ci/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[[ ${1:-} == --build && -n ${2:-} ]] || die "debug.sh: expected --build FOLDER [OPTION...]"
build=$2
shift 2
kernel=$("$repository/ci/kernel.sh" --variant debug)
mkdir --parents "$build/debug"
"$repository/ci/module.sh" --kernel "$kernel" --output "$build/debug/blksnap.ko"
"$build/harness/cli/snapbed" run @debug --cycles 1 --kernel "$kernel/bzImage" --module "$build/debug/blksnap.ko" "$@"
