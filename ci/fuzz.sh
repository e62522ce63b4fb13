#!/usr/bin/env bash
# libFuzzer on everything that reads files of strangers: journals, plans, scenarios, consoles.
#
#   fuzz.sh [--seconds N] [TARGET...]      default: 60 seconds each, all targets
#
# The corpus grows in build/fuzz/corpus/TARGET. An input that does harm lies in build/fuzz/found/;
# with its fix it belongs into harness/fuzz/found/TARGET/, where a unit test looks at it for ever.
# shellcheck source=ci/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

seconds=60
if [[ ${1:-} == --seconds ]]; then
  seconds=${2:?--seconds needs a number}
  shift 2
fi
targets=("$@")
((${#targets[@]})) || targets=(journal plan scenario console)
build=$repository/build/fuzz
mkdir --parents "$build/corpus" "$build/found"
"$repository/ci/deps.sh" --fuzz
log=$build/build.log
: >"$log"
run_logged "$log" cmake -S "$repository" -B "$build" -G Ninja -DSNAPBED_TOGETHER=OFF -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ \
  -DSNAPBED_FUZZ=ON -DSNAPBED_SANITIZE=address,undefined "-DSNAPBED_FOLDERS=base;journal;plan;model;scenario;vm;fuzz"
run_logged "$log" ninja -C "$build" fuzz_seeds "${targets[@]/#/fuzz_}"
"$build/harness/fuzz/fuzz_seeds" "$build/corpus"

failed=()
for target in "${targets[@]}"; do
  if "$build/harness/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=65536 \
    -print_final_stats=1 -artifact_prefix="$build/found/$target-" "$build/corpus/$target" >"$build/$target.log" 2>&1; then
    say "fuzz $target: clean, $(sed --quiet 's/^stat::number_of_executed_units: *//p' "$build/$target.log") inputs in $seconds s"
  else
    failed+=("$target")
    grep --extended-regexp --max-count=12 '^(==[0-9]+==|SUMMARY|Test unit|artifact_prefix|terminate|  what|.*runtime error)' "$build/$target.log" >&2 || true
    say "fuzz $target: FOUND something; all of it in $build/$target.log, the input in $build/found/"
  fi
done
printf 'fuzz: %d of %d targets clean\n' $((${#targets[@]} - ${#failed[@]})) "${#targets[@]}"
((${#failed[@]} == 0))
