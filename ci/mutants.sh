#!/usr/bin/env bash
# Puts each known bug of mutants/ into a copy of the module, builds it and runs the scenario named in
# the mutant's header. Caught means: verdict fail, by a check that the header names. Anything else,
# `broken` included, is missed.
#
#   mutants.sh --build FOLDER [--jobs N] [--check-only] [NAME...]
#
# NAME is the beginning of a mutant's file name. --check-only: those whose header says "Check: yes".
# Each of the jobs (2) keeps a copy of the module of its own, so only what a patch changes is compiled.
# A race may need more than one seed: up to five are tried, and the table says how many it took. A mutant
# whose header says "Variant: debug" is built for that kernel and runs on it; one whose header says
# "Equivalent: why" changes nothing that can be seen: it is listed apart.
# Prints a table; writes out/mutants.json; exit status 1 when a mutant was missed.
# shellcheck source=ci/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

build='' jobs=2 check_only='' names=()
while (($#)); do
  case $1 in
    --build | --jobs)
      [[ -n ${2:-} ]] || die "mutants.sh: $1 has no value"
      if [[ $1 == --build ]]; then build=$2; else jobs=$2; fi
      shift
      ;;
    --check-only) check_only=yes ;;
    -*) die "mutants.sh: unknown option $1; expected --build, --jobs or --check-only" ;;
    *) names+=("$1") ;;
  esac
  shift
done
[[ -n $build ]] || die "mutants.sh: expected --build FOLDER"
build=$(realpath "$build")
artifacts=$build/artifacts
snapbed=$build/harness/cli/snapbed
out=$repository/out/mutants
seeds=(1 2 3 4 5)
mkdir --parents "$out" "$artifacts/mutant"

header() { sed --quiet "s/^$2: //p; /^---/q" "$1" | head --lines=1; }

# The name of the first of the checks that the verdict says failed; nothing when none did, or when the
# kernel refused the module: that says nothing about the bug, and would be blamed on the module.
failed_check() {
  local verdict=$1 check
  shift
  ! grep --quiet "(insmod): gave" "$verdict" || return 0
  for check in "$@"; do
    if sed --quiet '/"checks": {/,/}/p' "$verdict" | grep --quiet "\"$check\": \"fail\""; then
      echo "$check"
      return
    fi
  done
}

# The folder of the kernel that a mutant is built for: what `make all` has built, or a variant by name.
kernel_of() {
  if [[ -n $1 ]]; then "$repository/ci/kernel.sh" --variant "$1"; else readlink "$artifacts/kernel"; fi
}

# try_mutant PATCH FOLDER: a row of the table, and the same for the summary in $out/NAME.row.
try_mutant() {
  local patch=$1 folder=$2 name scenario cycles checks variant kernel suites=() by='' miss=MISSED used=0 seed status begin=$SECONDS
  name=$(basename "$patch" .patch)
  scenario=$(header "$patch" Scenario)
  cycles=$(header "$patch" Cycles)
  read -ra checks <<<"$(header "$patch" Checks)"
  variant=$(header "$patch" Variant)
  kernel=$(kernel_of "$variant")
  [[ $scenario != kunit ]] || suites=(--kunit)
  # Objects of one kernel are of no use to another.
  folder+=${variant:+-$variant}${suites[*]:+-kunit}
  # One that does not build is missed like any other, and no reason to leave the rest untried.
  if (build_mutant "$patch" "$folder" "$kernel" "${suites[@]}"); then
    for seed in "${seeds[@]}"; do
      used=$((used + 1)) status=0
      "$snapbed" run "$scenario" --seed "$seed" ${cycles:+--cycles "$cycles"} --out "$out/$name" \
        ${variant:+--kernel "$kernel/bzImage"} --module "$folder/blksnap.ko" >"$out/$name.log" 2>&1 || status=$?
      ((status == 1)) && by=$(failed_check "$out/$name/$scenario/$seed/verdict.json" "${checks[@]}")
      [[ -z $by ]] || break
    done
  else
    miss='NO BUILD'
  fi
  printf '%-40s %-10s %7d  %d\n' "$name" "${by:-$miss}" $((SECONDS - begin)) "$used"
  printf '%s\t%s\t%d\t%d\n' "$name" "$by" $((SECONDS - begin)) "$used" >"$out/$name.row"
}

# work NUMBER: takes the next mutant of the queue until there is none.
work() {
  local folder=$artifacts/mutant/$1 patch
  while patch=$(flock "$artifacts/mutant/lock" sed --in-place --expression '1w /dev/stdout' --expression 1d "$artifacts/mutant/queue") &&
    [[ -n $patch ]]; do
    try_mutant "$patch" "$folder"
  done
}

wanted() {
  local name prefix
  name=$(basename "$1" .patch)
  [[ -z $check_only || $(header "$1" Check) == yes ]] || return 1
  ((${#names[@]})) || return 0
  for prefix in "${names[@]}"; do [[ $name != "$prefix"* ]] || return 0; done
  return 1
}

rm --force "$out"/*.row
: >"$artifacts/mutant/queue"
equivalent=()
for patch in "$repository"/mutants/*.patch; do
  wanted "$patch" || continue
  if [[ -n $(header "$patch" Equivalent) ]]; then
    equivalent+=("$patch")
  else
    echo "$patch" >>"$artifacts/mutant/queue"
  fi
done
total=$(wc --lines <"$artifacts/mutant/queue")
((total > 0)) || die "no mutant is called ${names[*]:-anything}"
printf '%-40s %-10s %7s  %s\n' mutant 'caught by' seconds seeds
workers=()
for ((number = 1; number <= jobs; ++number)); do
  work "$number" &
  workers+=($!)
done
for worker in "${workers[@]}"; do wait "$worker" || die "a mutant could not be tried"; done

for patch in "${equivalent[@]}"; do
  echo "equivalent: $(basename "$patch" .patch): $(header "$patch" Equivalent)"
done
cat "$out"/*.row | awk -F "\t" -v total="$total" '
  {
    seconds[NR] = $3
    if ($2 == "") missed = missed (missed == "" ? "" : ", ") "\"" $1 "\""; else caught++
    rows = rows (rows == "" ? "" : ",\n") sprintf("  {\"name\": \"%s\", \"caught_by\": \"%s\", \"seconds\": %d, \"seeds\": %d}", $1, $2, $3, $4)
  }
  END {
    for (i = 2; i <= NR; i++)
      for (k = i; k > 1 && seconds[k] < seconds[k - 1]; k--) { t = seconds[k]; seconds[k] = seconds[k - 1]; seconds[k - 1] = t }
    printf "{\"total\": %d, \"caught\": %d, \"seconds_median\": %d, \"missed\": [%s],\n \"mutants\": [\n%s\n]}\n",
      total, caught, seconds[int((NR + 1) / 2)], missed, rows
  }' >"$out.json"
caught=$(sed --quiet 's/.*"caught": \([0-9]*\),.*/\1/p' "$out.json")
echo "mutants: $caught of $total caught; logs and journals in $out"
((caught == total))
