#!/usr/bin/env bash
# Builds the C++ side with CMake and Ninja.
#
#   harness.sh --build FOLDER [--sanitize address,undefined|thread] [--target programs|all] [--alone]
#
# The default target, `programs`, is what a run needs; `all` has the tests and benchmarks too. --alone compiles
# each source by itself, which takes twice as long and finds a header that it forgot.
# shellcheck source=ci/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

build='' sanitize='' target=programs together=ON
while (($#)); do
  case $1 in
    --alone)
      together=OFF
      shift
      continue
      ;;
    --build) build=$2 ;;
    --sanitize) sanitize=$2 ;;
    --target) target=$2 ;;
    *) die "harness.sh: unknown option $1; expected --build, --sanitize, --target or --alone" ;;
  esac
  shift 2
done
[[ -n $build ]] || die "harness.sh: --build FOLDER is missing"

# What was compiled once, in any checkout and from the same text, is not compiled again. The compiler's output is
# kept outside the checkout, like kernels; names below the checkout count from the build folder.
export CCACHE_DIR=$cache/ccache CCACHE_MAXSIZE=3G CCACHE_BASEDIR=$repository CCACHE_NOHASHDIR=yes
export CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
mkdir --parents "$build" "$CCACHE_DIR"
log=$build/build.log
: >"$log"
if [[ ! -f $build/build.ninja ]]; then
  options=(-DSNAPBED_SANITIZE="$sanitize" -DSNAPBED_TOGETHER="$together" -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  # Threads meet in the recording server and below it. What parses and judges is for the address and
  # undefined sanitizers; above it are libvirt and child processes, which they do not understand.
  case $sanitize in
    thread) options+=("-DSNAPBED_FOLDERS=base;journal;plan;recorder") ;;
    address*) options+=("-DSNAPBED_FOLDERS=base;journal;plan;bench;recorder;model;scenario") ;;
  esac
  run_logged "$log" cmake -S "$repository" -B "$build" -G Ninja "${options[@]}"
fi
# Said only when there is something to do: what is up to date takes less than two seconds.
(sleep 2 && say "compiling ${target/all/everything}${sanitize:+ with -fsanitize=$sanitize}: some minutes the first time (follow $log)") &
announcement=$!
trap 'kill "$announcement" 2>/dev/null || true' EXIT
# A kernel built at the same time goes first: it ends with a link on one processor.
run_logged "$log" nice --adjustment=5 ninja -C "$build" "$target"
