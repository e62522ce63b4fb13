#!/usr/bin/env bash
# A night of random runs: builds kernel and module of each variant and the canary, then hands over.
#
#   stress.sh --build FOLDER --hours H [--variants "plain debug"] [--canary NAME] [OPTION...]
#
# The canary is a mutant that must fail, or the night proves nothing. OPTIONs go to `snapbed stress`.
# shellcheck source=ci/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

build='' hours='' variants=plain canary=C21-no-drain given_kernel='' given_module=''
options=()
while (($#)); do
  case $1 in
    --build | --hours | --variants | --canary | --kernel | --module)
      [[ -n ${2:-} ]] || die "stress.sh: $1 needs a value"
      case $1 in
        --build) build=$2 ;;
        --hours) hours=$2 ;;
        --variants) variants=$2 ;;
        --canary) canary=$2 ;;
        --kernel) given_kernel=$2 ;;
        --module) given_module=$2 ;;
      esac
      shift 2
      ;;
    *)
      options+=("$1")
      shift
      ;;
  esac
done
[[ -n $build && -n $hours ]] || die "stress.sh: expected --build FOLDER --hours H"
patch=$repository/mutants/$canary.patch
[[ -f $patch ]] || die "there is no mutant $canary; expected a name of mutants/"
artifacts=$build/artifacts/stress
mkdir --parents "$artifacts"

canary_kernel=''
for variant in $variants; do
  kernel=$("$repository/ci/kernel.sh" --variant "$variant")
  [[ -n $given_module ]] || build_module "$artifacts/$variant" "$kernel"
  options+=(--variant "$variant=${given_kernel:-$kernel/bzImage}:${given_module:-$artifacts/$variant/blksnap.ko}")
  : "${canary_kernel:=$kernel}"
done

# The canary is always our own module on our own kernel: it proves the testbed, not the guest's parts.
build_mutant "$patch" "$artifacts/canary" "$canary_kernel"

cd "$repository"
exec "$build/harness/cli/snapbed" stress --hours "$hours" --canary "$patch" \
  --canary-kernel "$canary_kernel/bzImage" --canary-module "$artifacts/canary/blksnap.ko" "${options[@]}"
