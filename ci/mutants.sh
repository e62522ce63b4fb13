#!/usr/bin/env bash
# Puts each known bug of mutants/ into a copy of the module, builds it and runs the scenario named in
# the mutant's header. Caught means: verdict fail, by a check that the header names. Anything else,
# `broken` included, is missed.
#
#   mutants.sh --build FOLDER [NAME...]      NAME is the beginning of a mutant's file name
#
# A race may need more than one seed: up to five are tried, and the table says how many it took.
# Prints a table; writes out/mutants.json; exit status 1 when a mutant was missed.
# shellcheck source=ci/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[[ ${1:-} == --build && -n ${2:-} ]] || die "mutants.sh: expected --build FOLDER [NAME...]"
build=$2
shift 2
artifacts=$build/artifacts
snapbed=$build/harness/cli/snapbed
out=$repository/out/mutants
seeds=(1 2 3 4 5)
mkdir --parents "$out" "$artifacts/mutant"

header() { sed --quiet "s/^$2: //p; /^---/q" "$1" | head --lines=1; }

# The name of the first of the checks that the verdict says failed; nothing when none did.
failed_check() {
  local verdict=$1 check
  shift
  for check in "$@"; do
    if sed --quiet '/"checks": {/,/}/p' "$verdict" | grep --quiet "\"$check\": \"fail\""; then
      echo "$check"
      return
    fi
  done
}

# build_mutant PATCH SCENARIO: what the scenario loads.
build_mutant() {
  local patch=$1 source=$artifacts/mutant/source suites=()
  [[ $2 == kunit ]] && suites=(--kunit)
  rsync --archive --delete "$repository/module/" "$source/"
  patch --directory "$source" --strip=1 --force --fuzz=0 --silent <"$patch" >"$out/patch.log" 2>&1 ||
    die "$patch does not apply to module/: $(head --lines=1 "$out/patch.log")"
  MODULE_MAKE="W=0" "$repository/ci/module.sh" --kernel "$(readlink "$artifacts/kernel")" \
    --source "$source" --output "$artifacts/mutant/blksnap.ko" "${suites[@]}"
}

names=("$@")
caught=0 missed=()
rows=()
printf '%-34s %-10s %7s  %s\n' mutant 'caught by' seconds seeds
for patch in "$repository"/mutants/*.patch; do
  name=$(basename "$patch" .patch)
  if ((${#names[@]})); then
    wanted=
    for prefix in "${names[@]}"; do [[ $name == "$prefix"* ]] && wanted=yes; done
    [[ -n $wanted ]] || continue
  fi
  scenario=$(header "$patch" Scenario)
  read -ra checks <<<"$(header "$patch" Checks)"
  cycles=$(header "$patch" Cycles)
  begin=$SECONDS
  build_mutant "$patch" "$scenario"
  by='' used=0
  for seed in "${seeds[@]}"; do
    used=$((used + 1))
    status=0
    "$snapbed" run "$scenario" --seed "$seed" ${cycles:+--cycles "$cycles"} --out "$out/$name" \
      --module "$artifacts/mutant/blksnap.ko" >"$out/$name.log" 2>&1 || status=$?
    ((status == 1)) && by=$(failed_check "$out/$name/$scenario/$seed/verdict.json" "${checks[@]}")
    [[ -n $by ]] && break
  done
  if [[ -n $by ]]; then
    caught=$((caught + 1))
  else
    missed+=("$name")
  fi
  printf '%-34s %-10s %7d  %d\n' "$name" "${by:-MISSED}" $((SECONDS - begin)) "$used"
  rows+=("{\"name\": \"$name\", \"caught_by\": \"$by\", \"seconds\": $((SECONDS - begin)), \"seeds\": $used}")
done
total=$((caught + ${#missed[@]}))
((total > 0)) || die "no mutant is called ${names[*]}"
seconds_median=$(printf '%s\n' "${rows[@]}" | sed 's/.*"seconds": \([0-9]*\).*/\1/' | sort --numeric-sort | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }')
{
  printf '{"total": %d, "caught": %d, "seconds_median": %s, "missed": [' "$total" "$caught" "$seconds_median"
  separator=''
  for name in "${missed[@]}"; do
    printf '%s"%s"' "$separator" "$name"
    separator=', '
  done
  printf '],\n "mutants": [\n'
  (IFS=$',' && printf '  %s' "${rows[*]}") | sed 's/},{/},\n  {/g'
  printf '\n]}\n'
} >"$out.json"
echo "mutants: $caught of $total caught; logs and journals in $out"
((caught == total))
