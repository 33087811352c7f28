#!/bin/sh
# Kernel headers of 6.1, 6.12 and 7.3 as Debian packages them, unpacked into the lab's cache, never installed.
#
#   headers.sh           fetch those that are not there; prints one line for each: version, folder
#   headers.sh --offline print those that are there, fetch nothing
#
# The cache is KEEL_LAB, or the lab's folder in the user's cache. The archive's address is taken from this
# machine's own apt configuration. Exit 1 when one is missing at the end.
set -eu
LAB=${KEEL_LAB:-${XDG_CACHE_HOME:-$HOME/.cache}/keel-lab}
KEY=/usr/share/keyrings/debian-archive-keyring.gpg

apt_for() { # suite, tool, arguments
	suite=$1 tool=$2
	shift 2
	"$tool" -q -o Dir::Etc::SourceList="$APT/$suite.list" -o Dir::Etc::SourceParts=/nonexistent \
		-o Dir::State::Lists="$APT/lists" -o Dir::Cache="$APT/cache" -o Dir::State::status=/dev/null "$@"
}

fetch() { # version, suite
	to=$LAB/headers/$1
	APT=$LAB/headers/apt-$1
	rm -rf "$APT"
	mkdir -p "$APT/lists/partial" "$APT/cache/archives/partial"
	uri=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' 'Component: main' | head -n 1)
	if [ -z "$uri" ]; then
		uri=$(apt-get indextargets --format '$(REPO_URI)' 'Component: main' | head -n 1)
	fi
	[ -n "$uri" ] || return 1
	echo "deb [signed-by=$KEY] $uri $2 main" >"$APT/$2.list"
	apt_for "$2" apt-get update >&2 || return 1
	(cd "$APT" && apt_for "$2" apt-get download linux-libc-dev) >&2 || return 1
	dpkg -x "$APT"/linux-libc-dev_*.deb "$APT/new" || return 1
	basename "$APT"/linux-libc-dev_*.deb >"$APT/new/package"
	rm -rf "$to"
	mv "$APT/new" "$to"
	rm -rf "$APT"
}

status=0
for pair in 6.1:bookworm 6.12:trixie 7.3:trixie-backports; do
	version=${pair%%:*}
	if [ ! -f "$LAB/headers/$version/package" ] && [ "${1:-}" != --offline ]; then
		mkdir -p "$LAB/headers"
		fetch "$version" "${pair#*:}" || echo "headers.sh: no headers of $version to be had" >&2
	fi
	if [ -f "$LAB/headers/$version/package" ]; then
		echo "$version $LAB/headers/$version/usr/include"
	else
		status=1
	fi
done
exit $status
