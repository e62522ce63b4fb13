#!/usr/bin/env bash
# Scenarios on the debug kernel: sanitizers, lock checks, kmemleak and fault injection. It is about five
# times slower than the plain one: one cycle each.
#
#   debug.sh --build FOLDER [NAME|OPTION...]    options are those of `snapbed run`; without a NAME what is
#                                               tagged `debug`
# shellcheck source=ci/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[[ ${1:-} == --build && -n ${2:-} ]] || die "debug.sh: expected --build FOLDER [NAME|OPTION...]"
build=$2
shift 2
[[ ${1:-} != "" && $1 != -* ]] || set -- @debug "$@"
kernel=$("$repository/ci/kernel.sh" --variant debug)
build_module "$build/debug" "$kernel"
"$build/harness/cli/snapbed" run --cycles 1 --kernel "$kernel/bzImage" --module "$build/debug/blksnap.ko" "$@"
