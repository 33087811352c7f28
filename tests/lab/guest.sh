#!/bin/sh
# guest.sh [OPTION...] SCRIPT-FILE: boot one guest, run the script in it, end with its exit status.
#
#   -k KERNEL   which kernel
#   -p FILE     an initramfs with /payload, laid over the kernel's base
#   -d IMAGE    the disk, a raw image that is kept; without it an empty disk of -D bytes
#   -D BYTES    size of the empty disk (512M)
#   -n OPTIONS  more options of the NVMe device, such as mdts=5
#   -A          with an agent on the host, which does what the guest asks for (agent.py)
#   -L LOG      record the disk's writes and flushes in LOG (blklogwrites)
#   -q OPTIONS  more options of QEMU, split at spaces; may be given again
#   -a ARGS     more arguments of the kernel
#   -P COUNT    poll queues (1)      -c COUNT  CPUs (2)      -m MIB  memory (1024)
#   -t SECONDS  kill it after so long (600)
#
# stdout and stderr are the script's. A guest that dies before its first process runs is started once
# more; one that ends without a status gives 125, and the end of its console on stderr.
set -u
. "$(dirname "$0")/common.inc"

kernel='' payload='' image='' bytes=512M nvme='' more='' arguments='' poll=1 cpus=2 memory=1024
seconds=600 log='' agent=''
while getopts :k:p:d:D:n:AL:q:a:P:c:m:t: option; do
	case $option in
	k) kernel=$OPTARG ;;
	p) payload=$OPTARG ;;
	d) image=$OPTARG ;;
	D) bytes=$OPTARG ;;
	n) nvme=$OPTARG ;;
	A) agent=yes ;;
	L) log=$OPTARG ;;
	q) more="$more $OPTARG" ;;
	a) arguments=$OPTARG ;;
	P) poll=$OPTARG ;;
	c) cpus=$OPTARG ;;
	m) memory=$OPTARG ;;
	t) seconds=$OPTARG ;;
	*) exit $EXIT_USAGE ;;
	esac
done
shift $((OPTIND - 1))
script=$1

# Without no_timer_check a kernel panics at once ("IO-APIC + timer doesn't work") when this machine gave the emulated
# CPU no time while it counted ticks. Without the other, 5.10 puts the disk behind a multipath head, which cannot poll.
if [ "$kernel" = 5.10 ]; then
	arguments="nvme_core.multipath=N $arguments"
fi

work=$(mktemp -d "$LAB/run.XXXXXX")
qemu_pid='' agent_pid=''
clean_up() {
	# shellcheck disable=SC2086 # none, one or two
	kill $qemu_pid $agent_pid 2>/dev/null
	rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

mkdir -p "$work/root/payload"
cp "$script" "$work/root/payload/script"
pack "$work/root" "$work/script.cpio"
cat "$LAB/base-$kernel.cpio" ${payload:+"$payload"} "$work/script.cpio" >"$work/initrd" || exit 1
if [ -z "$image" ]; then
	image=$work/disk
	truncate -s "$bytes" "$image"
fi

qemu=qemu-system-x86_64
if [ -e "$LAB/qemu/.complete" ]; then
	qemu="$LAB/qemu/usr/bin/qemu-system-x86_64 -L $LAB/qemu/usr/share/qemu -L /usr/share/seabios
		-L /usr/share/qemu"
fi

# The log gets a copy of every write; its superblock is brought up to date now and then, and at the end.
drive="-blockdev driver=file,filename=$image,node-name=image -blockdev driver=raw,file=image,node-name=disk"
if [ -n "$log" ]; then
	: >"$log"
	drive="-blockdev driver=file,filename=$image,node-name=image
		-blockdev driver=file,filename=$log,node-name=log
		-blockdev driver=blklogwrites,node-name=disk,file=image,log=log,log-super-update-interval=4096"
fi

# With an agent, the status line and QEMU's monitor are sockets; the agent writes the status.
status_line="-chardev file,id=status,path=$work/status"
start_agent() {
	rm -f "$work/ask" "$work/monitor"
	python3 "$HERE/agent.py" "$work/ask" "$work/monitor" "$work/status" &
	agent_pid=$!
	while [ ! -S "$work/ask" ] && kill -0 "$agent_pid" 2>/dev/null; do
		sleep 0.1
	done
}
if [ -n "$agent" ]; then
	status_line="-chardev socket,id=status,path=$work/ask -qmp unix:$work/monitor,server=on,wait=off"
fi

# The script's output passes through pipes: QEMU itself would truncate a file, fail on a socket, and
# leave a terminal in another mode.
boot() {
	rm -f "$work/out" "$work/err" "$work/console" "$work/status"
	mkfifo "$work/out" "$work/err"
	if [ -n "$agent" ]; then
		start_agent
	fi
	exec 3<>"$work/out" 4<>"$work/err"
	cat "$work/out" 3>&- 4>&- &
	cat "$work/err" >&2 3>&- 4>&- &
	# shellcheck disable=SC2086 # options
	timeout -k 5 "$seconds" $qemu -accel "${KEEL_LAB_ACCEL:-tcg,thread=multi}" -cpu max \
		-m "$memory" -smp "$cpus" -nodefaults -display none -monitor none -nic none -no-reboot \
		-kernel "$(kernel_image "$kernel")" -initrd "$work/initrd" \
		-append "console=ttyS0 quiet no_timer_check panic=-1 oops=panic nvme.poll_queues=$poll $arguments" \
		-chardev "file,id=console,path=$work/console" -serial chardev:console \
		-chardev "file,id=out,path=$work/out" -serial chardev:out \
		-chardev "file,id=err,path=$work/err" -serial chardev:err \
		$status_line -serial chardev:status \
		$drive \
		-device "nvme,id=nvme,drive=disk,serial=keel0${nvme:+,$nvme}" \
		$more </dev/null >"$work/qemu.log" 2>&1 3>&- 4>&- &
	qemu_pid=$!
	wait "$qemu_pid"
	ended=$?
	qemu_pid=
	exec 3>&- 4>&- # the last writers: the readers end, even if QEMU never opened the pipes
	wait
}

boot
if ! grep -q ready "$work/status" 2>/dev/null; then
	say "the guest of kernel $kernel died before its first process (QEMU: $ended); once more"
	boot
fi
status=$(sed -n 's/^status \([0-9]*\) .*/\1/p' "$work/status" 2>/dev/null | tail -n 1)
if [ -n "${KEEL_LAB_KEEP:-}" ]; then
	cp "$work/console" "$work/status" "$KEEL_LAB_KEEP/" 2>/dev/null
fi
if [ -z "$status" ]; then
	if [ "$ended" -ge 124 ]; then
		say "no result from kernel $kernel within $seconds s; its console ends:"
	else
		say "kernel $kernel ended without a result (QEMU: $ended); its console ends:"
	fi
	cat "$work/qemu.log" >&2
	tail -n 40 "$work/console" >&2
	exit $EXIT_NO_RESULT
fi
exit "$status"
