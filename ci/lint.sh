#!/usr/bin/env bash
# Style and static checks: bash, C++, the module and the kernel patches. Prints only what is wrong.
# shellcheck source=ci/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$repository"

ci/deps.sh --checks

failed=0
problem() {
  printf 'lint: %s\n' "$*" >&2
  failed=1
}

mapfile -t scripts < <(git ls-files '*.sh' '.ci/run')
shellcheck --external-sources --source-path=SCRIPTDIR "${scripts[@]}" || problem "shellcheck"
shfmt --indent 2 --case-indent --diff "${scripts[@]}" || problem "shfmt"

mapfile -t sources < <(git ls-files 'harness/*.cc' 'harness/*.h')
clang-format --dry-run --Werror "${sources[@]}" || problem "clang-format"

kernel=$(ci/kernel.sh)
checkpatch=("$kernel/build/source/scripts/checkpatch.pl" --no-tree --strict --quiet --no-summary)
# The parameters' one macro; locks are documented in the kernel-doc of their structure.
mapfile -t module_files < <(git ls-files 'module/*.c' 'module/*.h' 'images/amplifier/*.c' | grep --invert-match trace.h)
perl "${checkpatch[@]}" --ignore MACRO_ARG_REUSE,UNCOMMENTED_DEFINITION --file "${module_files[@]}" ||
  problem "checkpatch on module/ or images/amplifier/"
# Trace events have a form of their own that checkpatch knows in its place only.
perl "${checkpatch[@]}" --ignore OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT,COMPLEX_MACRO --file module/trace.h ||
  problem "checkpatch on module/trace.h"
# A series in a repository: no sign-off chain and no MAINTAINERS entry.
for patch in kernel-patches/*.patch; do
  # From standard input: a file that git tracks would be taken for source.
  perl "${checkpatch[@]}" --ignore FILE_PATH_CHANGES,MISSING_SIGN_OFF - <"$patch" ||
    problem "checkpatch on $patch"
done

copy=$(mktemp --directory)
trap 'rm --recursive --force "$copy"' EXIT
cp --recursive module images/amplifier "$copy/"
for folder in module module/kunit amplifier; do
  if make --directory "$kernel/build" M="$copy/$folder" C=2 W=1 modules 2>&1 | grep --extended-regexp '(warning|error):'; then
    problem "sparse or W=1 on $folder/"
  fi
done
# Without tracing not a word of a tracepoint is left.
if nm "$copy/module/cbt_map.o" "$copy"/module/kunit/*.o | grep --quiet '__tracepoint_blksnap'; then
  problem "NOTRACE leaves tracepoints in the module"
fi

# Ranks: a file includes only files of lower ranks, in the order in which Kbuild lists the objects.
ranks=(geometry params trace cbt_map event_queue diff_buffer freezer diff_storage chunk diff_area diff_store diff_fetch
  diff_image tracker snapimage snapshot ctl debugfs main)
for ((i = 0; i < ${#ranks[@]}; i++)); do
  for ((k = i + 1; k < ${#ranks[@]}; k++)); do
    if grep --quiet "#include \"${ranks[k]}.h\"" "module/${ranks[i]}".[ch] 2>/dev/null; then
      problem "module/${ranks[i]} includes ${ranks[k]}.h, which is above it"
    fi
  done
done

# A scenario that names a function is skipped for a module without it: for ours that would be silence.
functions=$(nm "$copy"/module/*.o | sed --quiet 's/^.* [tT] //p')
while read -r name; do
  grep --quiet --line-regexp --fixed-strings "$name" <<<"$functions" ||
    problem "a scenario puts pauses into the function $name, which the module does not have"
done < <(git grep -h --extended-regexp --only-matching 'amplify_code [^"]*functions=[^ "]+' -- scenarios ':!scenarios/meta' |
  sed 's/.*functions=//' | tr , '\n' | sed 's/[+].*//' | sort --unique)

if git ls-files | grep --quiet '\.py$' || git grep --quiet --extended-regexp '^#!.*python'; then
  problem "there is Python in the tree"
fi
exit "$failed"
