#!/usr/bin/env bash
# Installs the Debian packages that building and running snapbed needs, and says which;
# `--checks` also those of ci/lint.sh, `--fuzz` those of ci/fuzz.sh.
# Does nothing when all are there. Root installs directly; anybody else through sudo.
# shellcheck source=ci/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

build=(build-essential ccache cmake ninja-build pkg-config git rsync ca-certificates)
kernel=(linux-source-6.1 flex bison bc libelf-dev libssl-dev kmod cpio xz-utils perl)
harness=(libvirt-dev nbdkit-plugin-dev libnbd-dev libboost-dev libboost-filesystem-dev
  libboost-system-dev libcli11-dev libtomlplusplus-dev nlohmann-json3-dev libspdlog-dev libfmt-dev
  libxxhash-dev libgtest-dev libgmock-dev libbenchmark-dev)
machine=(qemu-system-x86 qemu-utils libvirt-daemon libvirt-daemon-driver-qemu nbdkit libnbd-bin seabios)
guest=(busybox-static fio e2fsprogs xfsprogs dmsetup fdisk erofs-utils util-linux)
# A storm needs none of these, and they bring a second compiler.
case ${1:-} in
  '') extra=() ;;
  --checks) extra=(shellcheck shfmt clang-format clang-tidy sparse) ;;
  --fuzz) extra=(clang libclang-rt-14-dev) ;;
  *) die "deps.sh: unknown option $1; expected --checks or --fuzz" ;;
esac

missing=()
for package in "${build[@]}" "${kernel[@]}" "${harness[@]}" "${machine[@]}" "${guest[@]}" "${extra[@]}"; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $status == installed ]] || missing+=("$package")
done
# libvirt's embedded driver, when root uses it, wants a system user of this name; its daemon package
# makes one, the driver package alone does not.
user=libvirt-qemu
if ((${#missing[@]} == 0)) && getent passwd "$user" >/dev/null; then
  exit 0
fi

command -v apt-get >/dev/null || die "apt-get is not here: snapbed installs Debian 12 packages; missing: ${missing[*]}"
as_root=(env DEBIAN_FRONTEND=noninteractive)
if ((EUID != 0)); then
  command -v sudo >/dev/null || die "not root and no sudo: install these packages first: ${missing[*]}"
  say "using sudo to install packages"
  as_root=(sudo "${as_root[@]}")
fi
mkdir --parents "$cache"
log=$cache/apt.log
: >"$log"
if ((${#missing[@]})); then
  say "installing ${#missing[@]} Debian packages: ${missing[*]}"
  run_logged "$log" "${as_root[@]}" apt-get --quiet update
  run_logged "$log" "${as_root[@]}" apt-get --quiet --yes --no-install-recommends install "${missing[@]}"
fi
if ! getent passwd "$user" >/dev/null; then
  say "making the system user $user, which libvirt's embedded driver asks for"
  getent group "$user" >/dev/null || run_logged "$log" "${as_root[@]}" groupadd --system "$user"
  run_logged "$log" "${as_root[@]}" useradd --system --gid "$user" --no-create-home --shell /usr/sbin/nologin "$user"
fi
