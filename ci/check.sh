#!/usr/bin/env bash
# What CI asks, one stage after the other; every stage is a script a developer can run by hand.
# With --full also everything on every kernel, the judge against its slow twin, and the fuzzers.
# Ends with a line `N passed, N failed` that counts unit tests, scenarios, mutants and stages.
# shellcheck source=ci/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$repository"

build=$repository/build
snapbed=$build/harness/cli/snapbed
logs=$build/check
mkdir --parents "$logs"
passed=0 failed=0

count() {
  passed=$((passed + $1))
  failed=$((failed + $2))
}

# stage NAME LOG COMMAND...: one passed or failed; the end of the log is shown on failure.
stage() {
  local name=$1 log=$logs/$2.log begin=$SECONDS
  shift 2
  say "$name"
  if "$@" >"$log" 2>&1; then
    count 1 0
    say "$name: passed, $((SECONDS - begin)) s"
  else
    count 0 1
    tail --lines=60 "$log" >&2
    say "$name: FAILED, $((SECONDS - begin)) s; all of it in $log"
  fi
}

# count_failures STATUS N: what a summary tells. One that it does not tell of is one all the same: a skipped
# test, no test at all.
count_failures() {
  local status=$1 failures=$2
  ((status == 0 || failures > 0)) || failures=1
  count 0 "$failures"
}

# Unit tests of a build folder, counted one by one.
units() {
  local name=$1 log=$logs/$2.log folder=$3 summary failures=1 status=0
  say "$name"
  ci/unit.sh --build "$folder" >"$log" 2>&1 || status=$?
  ((status == 0)) || tail --lines=60 "$log" >&2
  summary=$(grep --extended-regexp '^[0-9]+% tests passed, [0-9]+ tests failed out of [0-9]+' "$log" || true)
  if [[ $summary =~ ,\ ([0-9]+)\ tests\ failed\ out\ of\ ([0-9]+) ]]; then
    failures=${BASH_REMATCH[1]}
    count $((BASH_REMATCH[2] - failures)) 0
  fi
  count_failures "$status" "$failures"
  say "$name: ${summary:-no test ran}"
}

# scenarios NAME LOG COMMAND...: a run of several scenarios; its own last line counts them.
scenarios() {
  local name=$1 log=$logs/$2.log summary failures=1 status=0
  shift 2
  say "$name"
  "$@" >"$log" 2>&1 || status=$?
  grep --extended-regexp '^(PASS|FAIL|BROKEN|SKIP)' "$log" || true
  summary=$(grep --extended-regexp '^[0-9]+ passed, ' "$log" | tail --lines=1 || true)
  if [[ $summary =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ broken,\ ([0-9]+)\ skipped ]]; then
    # A skipped scenario is not a passed one.
    failures=$((BASH_REMATCH[2] + BASH_REMATCH[3] + BASH_REMATCH[4]))
    count "${BASH_REMATCH[1]}" 0
  fi
  count_failures "$status" "$failures"
  ((status == 0)) || tail --lines=40 "$log" >&2
  say "$name: ${summary:-no summary, exit status $status}"
}

mutants() {
  local log=$logs/mutants.log total caught
  say "mutants"
  ci/mutants.sh --build "$build" --check-only >"$log" 2>&1 || true
  cat "$log"
  if [[ $(tail --lines=1 "$log") =~ ^mutants:\ ([0-9]+)\ of\ ([0-9]+)\ caught ]]; then
    caught=${BASH_REMATCH[1]} total=${BASH_REMATCH[2]}
    count "$caught" $((total - caught))
  else
    count 0 1
  fi
}

# What takes longer than a reader's patience: for the night, and before a release.
full() {
  local variant kernel names tests=$build/harness/model/snapbed_model_test
  stage "each C++ source compiles by itself" alone ci/harness.sh --build "$build/alone" --alone --target all
  stage "the fast cut and the slow one agree on 100,000 journals" cut \
    env SNAPBED_SEEDS=100000 "$tests" --gtest_filter=Cut.AgreesWithASlowObviousOne
  stage "the simulated snapshotter, 3000 seeds of each form" simulator \
    env SNAPBED_SEEDS=3000 "$tests" "--gtest_filter=*Snapshotter*"
  for variant in plain debug kcsan; do
    stage "kernel, $variant" "kernel-$variant" ci/kernel.sh --variant "$variant"
    kernel=$(ci/kernel.sh --variant "$variant")
    # What has only the tag `debug` asks for fault injection.
    mapfile -t names < <("$snapbed" list | awk -v variant="$variant" \
      '$2 !~ /meta/ && (variant == "debug" || $2 != "debug") { print $1 }')
    stage "module and amplifier, $variant" "module-$variant" build_module "$build/full/$variant" "$kernel"
    scenarios "all scenarios, $variant kernel" "all-$variant" "$snapbed" run \
      --kernel "$kernel/bzImage" --module "$build/full/$variant/blksnap.ko" "${names[@]}"
  done
  stage "fuzz, a minute for each parser" fuzz ci/fuzz.sh --seconds "${FUZZ_SECONDS:-60}"
}

make --no-print-directory all
stage "lint" lint ci/lint.sh
stage "every class of bugs has its scenario" classes "$snapbed" classes --check
stage "build the unit tests" build-tests ci/harness.sh --build "$build" --target all
units "unit tests" unit "$build"
stage "build with address and undefined sanitizers" build-address \
  ci/harness.sh --build "$build/sanitize-address" --sanitize address,undefined --target all
units "unit tests, address and undefined sanitizers" unit-address "$build/sanitize-address"
stage "build with thread sanitizer" build-thread \
  ci/harness.sh --build "$build/sanitize-thread" --sanitize thread --target all
units "unit tests, thread sanitizer" unit-thread "$build/sanitize-thread"
stage "KUnit suites of the module" kunit "$snapbed" run kunit
scenarios "meta scenarios" meta "$snapbed" run @meta
scenarios "smoke scenarios" smoke "$snapbed" run @smoke
stage "debug kernel: sanitizers and lock checks" kernel-debug ci/kernel.sh --variant debug
scenarios "smoke scenarios on the debug kernel" debug \
  ci/debug.sh --build "$build" interface-answers-as-promised calls-that-race storm
mutants
[[ ${1:-} != --full ]] || full

printf '%d passed, %d failed\n' "$passed" "$failed"
((failed == 0))
