#!/usr/bin/env bash
# Builds blksnap.ko, or another module of one Kbuild file, out of tree against a kernel that kernel.sh made.
#
#   module.sh --kernel FOLDER --source FOLDER --output FILE [--kunit]
#
# With --kunit FILE is blksnap_kunit.ko, the suites of module/kunit/.
#
# Builds in a copy beside FILE, so that neither the checkout nor another build is touched; kbuild
# compiles again only what has changed in it.
# shellcheck source=ci/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

kernel='' module_source=$repository/module output='' folder=.
while (($#)); do
  case $1 in
    --kernel) kernel=$2 ;;
    --source) module_source=$2 ;;
    --output) output=$2 ;;
    --kunit)
      folder=kunit
      shift
      continue
      ;;
    *) die "module.sh: unknown option $1; expected --kernel, --source, --output or --kunit" ;;
  esac
  shift 2
done
[[ -f $kernel/bzImage ]] || die "module.sh: --kernel '$kernel' holds no bzImage: give what kernel.sh printed"
[[ -n $output ]] || die "module.sh: --output FILE is missing"

kbuild=$module_source/$folder/Kbuild
name=$(sed --quiet 's/^obj-m := \(.*\)\.o$/\1/p' "$kbuild").ko
[[ $name != .ko ]] || die "module.sh: $kbuild names no module in a line 'obj-m := NAME.o'"
copy=$output.build
mkdir --parents "$copy"
rsync --archive --copy-links --checksum --delete --exclude='*.o' --exclude='*.ko' --exclude='*.mod' --exclude='*.mod.c' \
  --exclude='.*.cmd' --exclude='Module.symvers' --exclude='modules.order' "$module_source/" "$copy/"
if [[ $(cat "$copy/.kernel" 2>/dev/null || true) != "$kernel" ]]; then
  find "$copy" '(' -name '*.o' -o -name '*.ko' -o -name '.*.cmd' ')' -delete
fi
log=$output.log
: >"$log"
run_logged "$log" make --directory "$kernel/build" M="$copy/$folder" --jobs="$(nproc)" "${MODULE_MAKE[@]:-W=1}" modules
echo "$kernel" >"$copy/.kernel"
if grep --quiet 'warning:' "$log"; then
  grep --after-context=3 'warning:' "$log" >&2
  die "$name does not compile without warnings"
fi
cmp --silent "$copy/$folder/$name" "$output" 2>/dev/null || cp "$copy/$folder/$name" "$output"
