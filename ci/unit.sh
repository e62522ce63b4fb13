#!/usr/bin/env bash
# Runs the unit tests of one build folder under CTest; CTest's own summary ends the output.
#
#   unit.sh --build FOLDER
# shellcheck source=ci/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[[ ${1:-} == --build && -n ${2:-} ]] || die "unit.sh: expected --build FOLDER"
log=$2/unit.log
if ctest --test-dir "$2" --output-on-failure --parallel "$(nproc)" --timeout 300 >"$log" 2>&1; then
  tail --lines=4 "$log"
else
  grep --invert-match '   Passed ' "$log" | tail --lines=120
  exit 1
fi
