#!/usr/bin/env bash
# Runs the unit tests of one build folder under CTest; its summary line ends the output. A skipped
# test is a failure here: what did not run proved nothing.
#
#   unit.sh --build FOLDER
# shellcheck source=ci/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[[ ${1:-} == --build && -n ${2:-} ]] || die "unit.sh: expected --build FOLDER"
log=$2/unit.log
status=0
ctest --test-dir "$2" --output-on-failure --parallel "$(nproc)" --timeout 300 >"$log" 2>&1 || status=$?
if grep --quiet '(Skipped)$' "$log"; then status=1; fi
((status == 0)) || grep --invert-match '   Passed ' "$log" | tail --lines=120
grep --extended-regexp '^[0-9]+% tests passed, ' "$log" || die "unit.sh: no test ran; all of it in $log"
exit "$status"
