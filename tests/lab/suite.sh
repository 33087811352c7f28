# The guest's side of the suite: run rows of suite.tab, frame the output of each with two lines.
# Arguments: names of the rows. The host reads the frames, see run_suite() in run.

table=/payload/suite.tab
disk=/dev/nvme0n1
failed=0

# A dead process's rings are taken down in the background, and hold its files, and so the disk, for a
# while (before 6.5 a second or more). So whatever needs the disk alone is tried for five seconds.
patiently() {
	for turn in 1 2 3 4 5 6 7 8 9; do
		if "$@" >/dev/null 2>&1; then
			return 0
		fi
		sleep 0.5
	done
	"$@"
}

prepare() {
	case $1 in
	raw)
		patiently dd if=/dev/zero of=$disk bs=1M count=1 conv=fsync
		place=/tmp
		return
		;;
	ext4) # ext4 shall not write its tables in the background either: the disk is the row's alone
		options=noinit_itable
		patiently mkfs.ext4 -q -F -E lazy_itable_init=1 $disk
		;;
	xfs)
		options=defaults
		modprobe xfs && patiently mkfs.xfs -q -f $disk
		;;
	esac && mount -t "$1" -o "$options" $disk /mnt && place=/mnt
}

leave() {
	if grep -q ' /mnt ' /proc/mounts; then
		patiently umount /mnt
	fi
}

run_row() {
	name=$1
	row=$(grep "^$name *|" $table)
	place=$(echo "$row" | cut -d'|' -f5 | tr -d ' ')
	command=$(echo "$row" | cut -d'|' -f7- | sed 's/^ *//')
	start=$(cut -d' ' -f1 /proc/uptime)

	echo "@@begin $name"
	prepare "$place" && sh -c "cd $place && $command"
	status=$?
	leave || status="$status, and the disk stays busy"
	end=$(cut -d' ' -f1 /proc/uptime)
	echo "@@end $name $(awk "BEGIN { printf \"%.1f\", $end - $start }") $status"
	if [ "$status" != 0 ]; then
		failed=1
	fi
}

exec 2>&1
for name in "$@"; do
	run_row "$name"
done
exit $failed
