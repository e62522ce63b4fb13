#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Fills a folder with the guest's root: populate.sh ROOT AGENT BENCH INIT
#
# All programs lie in /usr/bin and all libraries in /usr/lib; the old places are links.
set -euo pipefail

[[ $# -eq 4 ]] || {
  echo "usage: populate.sh ROOT AGENT BENCH INIT" >&2
  exit 2
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$1 agent=$2 bench=$3 init=$4

programs=(
  fio
  mke2fs e2fsck tune2fs debugfs
  mkfs.xfs xfs_repair xfs_io xfs_db
  dmsetup sfdisk
)

# mkfs.xfs and its kin lie in sbin, which need not be in the caller's PATH.
PATH=$PATH:/usr/sbin:/sbin

make_folders() {
  mkdir --parents "$root"/{dev,proc,sys,tmp,mnt,run,etc,usr/bin,usr/lib}
  local link
  for link in bin:usr/bin sbin:usr/bin lib:usr/lib lib64:usr/lib usr/sbin:bin; do
    ln --symbolic "${link#*:}" "$root/${link%%:*}"
  done
}

# Busybox provides what no package of ours does.
install_busybox() {
  install --mode 755 "$(command -v busybox)" "$root/usr/bin/busybox"
  local applet
  while read -r applet; do
    [[ -e $root/usr/bin/$applet ]] || ln --symbolic busybox "$root/usr/bin/$applet"
  done < <(busybox --list)
}

install_program() {
  local path
  path=$(command -v "$1") || {
    echo "image: program $1 is not installed" >&2
    exit 1
  }
  install --mode 755 "$(readlink --canonicalize "$path")" "$root/usr/bin/$1"
}

# The libraries a program asks for, by the names it asks for them.
libraries_of() {
  ldd "$1" | awk '$2 == "=>" { print $3 } $1 ~ /^\// { print $1 }'
}

install_libraries() {
  local program library
  for program in "${programs[@]}"; do
    while read -r library; do
      [[ -e $root/usr/lib/${library##*/} ]] ||
        install --mode 755 "$(readlink --canonicalize "$library")" "$root/usr/lib/${library##*/}"
    done < <(LD_LIBRARY_PATH=$root/usr/lib libraries_of "$root/usr/bin/$program")
  done
}

install_configuration() {
  echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd"
  echo 'root:x:0:' >"$root/etc/group"
  install --mode 644 /etc/mke2fs.conf "$root/etc/mke2fs.conf"
}

make_folders
for program in "${programs[@]}"; do install_program "$program"; done
ln --symbolic mke2fs "$root/usr/bin/mkfs.ext4"
"$here/stub-libraries.sh" "$root/usr/bin/fio" "$root/usr/lib"
install_libraries
install_busybox
install_configuration
install --mode 755 "$agent" "$root/usr/bin/snapbed-agent"
install --mode 755 "$bench" "$root/usr/bin/snapbed-bench"
install --mode 755 "$init" "$root/init"
# The kernel finds it also without init= on its command line; busybox has an init of its own.
ln --symbolic --force /init "$root/usr/bin/init"
