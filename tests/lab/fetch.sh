#!/bin/sh
# fetch.sh KERNEL...: get guest kernels and a QEMU that runs them all into the cache.
#
# Packages come from the Debian mirror in this machine's apt sources, through an apt configuration
# of the lab's own; they are unpacked (dpkg -x), never installed. What is there is not fetched again.
set -eu
. "$(dirname "$0")/common.inc"

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
qemu_version_min=9

mirror() {
	if [ -n "${KEEL_LAB_MIRROR:-}" ]; then
		echo "$KEEL_LAB_MIRROR"
		return
	fi
	# shellcheck disable=SC2016 # apt's own variables
	apt-get indextargets --format '$(SUITE) $(REPO_URI)' \
		'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 'Component: main' 2>/dev/null |
		sed -n '1s/^[^ ]* //p'
}

# apt_of SUITE TOOL ARGUMENT...: an apt tool that sees this suite alone.
apt_of() {
	suite=$1 tool=$2
	shift 2
	mkdir -p "$LAB/apt/$suite/lists/partial" "$LAB/apt/$suite/cache/archives/partial"
	echo "deb [signed-by=$keyring] $uri $suite main" >"$LAB/apt/$suite/sources.list"
	"$tool" -q -o Dir::Etc::SourceList="$LAB/apt/$suite/sources.list" \
		-o Dir::Etc::SourceParts=/nonexistent -o Dir::State::Lists="$LAB/apt/$suite/lists" \
		-o Dir::State::status=/dev/null -o Dir::Cache="$LAB/apt/$suite/cache" \
		-o APT::Sandbox::User=root -o APT::Update::Post-Invoke-Success= "$@"
}

need_mirror() {
	command -v apt-get >/dev/null && command -v dpkg >/dev/null ||
		cannot_run "the lab's kernels come as Debian packages, and there is no apt here"
	[ -r "$keyring" ] || cannot_run "$keyring is missing (package debian-archive-keyring)"
	uri=$(mirror)
	[ -n "$uri" ] ||
		cannot_run "no Debian mirror in apt's sources; KEEL_LAB_MIRROR=ADDRESS names one"
}

# fetch SUITE FOLDER PACKAGE...: download, unpack.
fetch() {
	suite=$1 folder=$2
	shift 2
	say "downloading from $suite: $*"
	rm -rf "$folder" "$LAB/debs/$suite"
	mkdir -p "$LAB/debs/$suite" "$folder"
	(cd "$LAB/debs/$suite" && apt_of "$suite" apt-get download "$@") >"$LAB/fetch.log" 2>&1 ||
		{ tail -n 5 "$LAB/fetch.log" >&2; cannot_run "download failed"; }
	for package in "$LAB/debs/$suite"/*.deb; do
		dpkg -x "$package" "$folder"
	done
	rm -rf "$LAB/debs/$suite"
	touch "$folder/.complete"
}

update() {
	apt_of "$1" apt-get update >"$LAB/fetch.log" 2>&1 ||
		{ tail -n 5 "$LAB/fetch.log" >&2; cannot_run "no package lists of $1 (network?)"; }
}

# depends_on SUITE PACKAGE PATTERN: names of its dependencies.
depends_on() {
	apt_of "$1" apt-cache depends "$2" | sed -n "s/.*Depends: \\($3\\)\$/\\1/p"
}

# The metapackage names the image; the image of newer suites names its parts.
fetch_kernel() {
	kernel=$1
	suite=$(suite_of "$kernel") || { say "no kernel $kernel; there are $KERNELS"; exit $EXIT_USAGE; }
	if [ -e "$LAB/kernels/$kernel/.complete" ]; then
		return
	fi
	need_mirror
	update "$suite"
	image=$(depends_on "$suite" linux-image-cloud-amd64 'linux-image-.*cloud-amd64' | head -n 1)
	[ -n "$image" ] || cannot_run "$suite has no linux-image-cloud-amd64"
	case $image in
	linux-image-"$kernel"[.-]*) ;;
	*) say "$suite has moved on: what is called $kernel here will be $image" ;;
	esac
	parts=$(depends_on "$suite" "$image" 'linux-\(binary\|modules\|base\)-.*cloud-amd64')
	# shellcheck disable=SC2086 # one word per package
	fetch "$suite" "$LAB/kernels/$kernel" ${parts:-$image}
}

qemu_version() {
	"$@" --version 2>/dev/null | sed -n 's/.*version \([0-9]*\)\..*/\1/p'
}

# The machine's own QEMU if it is new enough (an older one breaks 6.12), else one from backports,
# which runs on the libraries of the installed one.
fetch_qemu() {
	if [ -e "$LAB/qemu/.complete" ]; then
		return
	fi
	own=$(qemu_version qemu-system-x86_64)
	[ -n "$own" ] || cannot_run "no qemu-system-x86_64 (package qemu-system-x86)"
	if [ "$own" -ge "$qemu_version_min" ]; then
		return
	fi
	need_mirror
	# shellcheck disable=SC1091 # the distribution's
	suite=$(. /etc/os-release && echo "$VERSION_CODENAME-backports")
	update "$suite"
	fetch "$suite" "$LAB/qemu" qemu-system-x86 qemu-system-common qemu-system-data
	"$LAB/qemu/usr/bin/qemu-system-x86_64" --version >"$LAB/fetch.log" 2>&1 ||
		{ cat "$LAB/fetch.log" >&2; rm -rf "$LAB/qemu"; cannot_run "QEMU of $suite does not start"; }
}

mkdir -p "$LAB"
[ "$(uname -m)" = x86_64 ] || cannot_run "the guests are x86-64, this machine is $(uname -m)"
fetch_qemu
for wanted in "$@"; do
	fetch_kernel "$wanted"
done
