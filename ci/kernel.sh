#!/usr/bin/env bash
# Builds the guest kernel: linux-source-6.1 + kernel-patches/ + a configuration, cached outside the
# checkout by content. Prints the folder that holds bzImage and build/ (for modules).
#
#   kernel.sh [--variant plain|debug|kcsan]
#
# The cache has two levels, each built under a lock and moved into place when complete:
#   source/KEY  the patched source, keyed by package version and patches
#   kernel/KEY  one built kernel, keyed by source, configuration, compiler and variant
# shellcheck source=ci/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

variant=plain
while (($#)); do
  case $1 in
    --variant)
      variant=${2:?--variant needs plain, debug or kcsan}
      shift 2
      ;;
    *) die "kernel.sh: unknown option $1; expected --variant" ;;
  esac
done
configs=("$repository/images/kernel.config")
if [[ $variant != plain ]]; then
  configs+=("$repository/images/kernel-$variant.config")
  [[ -f ${configs[1]} ]] || die "unknown kernel variant '$variant': there is no ${configs[1]}"
fi

tarball=/usr/src/linux-source-6.1.tar.xz
[[ -f $tarball ]] || die "$tarball is missing: 'make deps' installs linux-source-6.1"
package=$(dpkg-query --show --showformat='${Version}' linux-source-6.1)
patches=$repository/kernel-patches
mapfile -t series <"$patches/series"

# The tracepoints of these file systems, which nobody here looks at, take half of the time that XFS compiles. Those of
# the block layer and of all else stay. Make expands it for each file; kbuild.rst knows the variable, tracepoint.h NOTRACE.
# shellcheck disable=SC2016
cflags='$(if $(filter fs/erofs/% fs/ext4/% fs/jbd2/% fs/xfs/%,$@),-DNOTRACE)'

hash_of() { sha256sum | cut --characters=1-16; }
source_key=$({
  echo "$package"
  for patch in "${series[@]}"; do cat "$patches/$patch"; done
} | hash_of)
kernel_key=$({
  echo "$source_key $variant $cflags"
  gcc --version | head --lines=1
  ld --version | head --lines=1
  cat "${configs[@]}"
} | hash_of)
source_folder=$cache/source/$source_key
kernel_folder=$cache/kernel/$variant-$kernel_key

if [[ -f $kernel_folder/complete ]]; then
  echo "$kernel_folder"
  exit 0
fi

mkdir --parents "$cache/source" "$cache/kernel" "$cache/log"
log=$cache/log/kernel-$variant-$kernel_key.log
# Everything half-done is under *.partial and goes with us.
half_done=()
# shellcheck disable=SC2317
clean_up() { rm --recursive --force "${half_done[@]}"; }
trap clean_up EXIT

# lock FD FILE: one build at a time of the same thing; of others as many as there are.
lock() {
  flock --nonblock "$1" || {
    say "another build holds $2: waiting for it"
    flock "$1"
  }
}
exec 8>"$source_folder.lock" 9>"$kernel_folder.lock"
lock 9 "$kernel_folder.lock"

make_source() {
  local partial=$source_folder.partial patch version
  half_done+=("$partial")
  rm --recursive --force "$partial"
  mkdir --parents "$partial"
  say "unpacking linux-source-6.1 $package"
  run_logged "$log" tar --extract --xz --file "$tarball" --directory "$partial" --strip-components=1
  version=$(make --silent --directory "$partial" kernelversion)
  for patch in "${series[@]}"; do
    if ! patch --directory "$partial" --strip=1 --force --fuzz=0 --silent <"$patches/$patch" >>"$log" 2>&1; then
      die "kernel-patches/$patch does not apply to Linux $version (linux-source-6.1 $package); see $log"
    fi
  done
  # Files outside the patch's sight must not change what a build says of itself.
  touch "$partial/.scmversion"
  mv "$partial" "$source_folder"
}

# Every option asked for must have been taken: a missing one is an error here and not a riddle later.
check_config() {
  local file=$1 line
  while read -r line; do
    case $line in
      CONFIG_*=*) grep --quiet --line-regexp --fixed-strings "$line" "$file" ||
        die "the kernel configuration did not take '$line' ($variant, Linux source $package)" ;;
    esac
  done < <(awk -F= '/^CONFIG_/ { last[$1] = $0 } /^# CONFIG_.* is not set/ { last[$2] = "" }
    END { for (name in last) print last[name] }' "${configs[@]}")
}

make_kernel() {
  local partial=$kernel_folder.partial make_it
  half_done+=("$partial")
  rm --recursive --force "$partial"
  mkdir --parents "$partial/build"
  make_it=(make --directory "$source_folder" O="$partial/build" --jobs="$(nproc)" CFLAGS_KERNEL="$cflags"
  KBUILD_BUILD_TIMESTAMP=@0 KBUILD_BUILD_USER=snapbed KBUILD_BUILD_HOST=snapbed)
  run_logged "$log" "${make_it[@]}" tinyconfig
  run_logged "$log" env --chdir="$source_folder" ./scripts/kconfig/merge_config.sh -m -O "$partial/build" \
    "$partial/build/.config" "${configs[@]}"
  run_logged "$log" "${make_it[@]}" olddefconfig
  check_config "$partial/build/.config"
  say "building the $variant kernel (some minutes; follow $log)"
  run_logged "$log" "${make_it[@]}" bzImage modules
  cp "$partial/build/arch/x86/boot/bzImage" "$partial/bzImage"
  # What module builds need stays; object files of the kernel itself do not.
  find "$partial/build" -name '*.o' ! -path '*/scripts/*' ! -path '*/tools/*' -delete
  find "$partial/build" -name '*.a' -delete
  rm --force "$partial/build/vmlinux.unstripped"
  # The tree knows its own place by absolute path: have it made for where it will be.
  sed --in-place "s|$partial|$kernel_folder|g" "$partial/build/Makefile"
  ln --symbolic --force --no-dereference "$source_folder" "$partial/build/source"
  touch "$partial/complete"
  rm --recursive --force "$kernel_folder"
  mv "$partial" "$kernel_folder"
}

if [[ ! -d $source_folder ]]; then
  lock 8 "$source_folder.lock"
  [[ -d $source_folder ]] || make_source
  flock --unlock 8
fi
[[ -f $kernel_folder/complete ]] || make_kernel
echo "$kernel_folder"
