#!/bin/sh
# base.sh KERNEL: make the kernel's part of the guest's initramfs: busybox, tools, modules, init.
#
# It is kept in the cache, and made again when this script, init, the list or the kernel changed.
set -eu
. "$(dirname "$0")/common.inc"

kernel=$1
base=$LAB/base-$kernel.cpio
programs="fio dmsetup mkfs.ext4 mkfs.xfs strace blkdiscard"
modules="xfs crc32c_generic libcrc32c null_blk configfs loop
	dm_mod dm_log_writes dm_flakey dm_delay
	nvme_fabrics nvme_tcp nvmet nvmet_tcp virtio_pci virtio_blk virtio_net
	t10_pi crc_t10dif crct10dif_generic"
PATH=$PATH:/usr/sbin:/sbin

stamp=$(cat "$HERE/base.sh" "$HERE/init" "$HERE/common.inc" | cksum)
stamp="$stamp $(kernel_modules "$kernel")"
if [ -e "$base" ] && [ "$(cat "$base.stamp" 2>/dev/null)" = "$stamp" ]; then
	exit 0
fi
say "preparing the guest of kernel $kernel"
for program in busybox cpio depmod modprobe xz $programs; do
	command -v "$program" >/dev/null || cannot_run "$program is missing; ./dev lab installs it"
done

work=$(mktemp -d "$LAB/base.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root/bin" "$root/sbin" "$root/dev" "$root/proc" "$root/sys" "$root/tmp" "$root/mnt" \
	"$root/run" "$root/etc" "$root/lib" "$root/lib64" "$root/usr/lib" "$root/payload/bin"
cp "$(command -v busybox)" "$root/bin/busybox"
ln -s busybox "$root/bin/sh"
echo 'root:x:0:0:root:/tmp:/bin/sh' >"$root/etc/passwd"
for program in $programs; do
	copy_program "$(command -v "$program")" "$root" bin
done
cp "$HERE/init" "$root/init"
chmod +x "$root/init"

# A copy of the whole tree tells what each module needs; the guest gets those alone, uncompressed.
source=$(kernel_modules "$kernel")
version=${source##*/}
target=$root/lib/modules/$version
mkdir -p "$work/all/lib/modules" "$target"
cp -r "$source" "$work/all/lib/modules/$version"
depmod -b "$work/all" "$version"
for list in modules.builtin modules.builtin.modinfo modules.order; do
	if [ -e "$source/$list" ]; then
		cp "$source/$list" "$target/"
	fi
done
for module in $modules; do
	modprobe -d "$work/all" -S "$version" --show-depends "$module" 2>/dev/null |
		sed -n "s|^insmod .*/$version/\([^ ]*\).*|\1|p"
done | sort -u | while read -r file; do
	mkdir -p "$target/${file%/*}"
	case $file in
	*.xz) xz -dc "$work/all/lib/modules/$version/$file" >"$target/${file%.xz}" ;;
	*) cp "$work/all/lib/modules/$version/$file" "$target/$file" ;;
	esac
done
depmod -b "$root" "$version"

pack "$root" "$base"
echo "$stamp" >"$base.stamp"
