#!/bin/sh
# servers.sh unpacks the POP3 servers that the tests talk to, or names those
# that are missing:
#
#   servers.sh unpack    unpack what is not there yet
#   servers.sh missing   print the servers that the tests cannot run here, and why
#
# Debian's POP3 servers conflict with one another, so nothing is installed: each
# server is unpacked together with the libraries it needs, as the root directory
# of a small system of its own, under $MAILKEEP_SERVERS or the user's cache
# directory. The tests start it in a copy of that directory by chroot, which
# takes root. Unpacking takes apt's lists and no root.
set -eu

servers="courier popa3d cyrus mailutils solid"

packages() {
	case $1 in
	courier) echo courier-pop courier-base courier-authlib courier-authdaemon ;;
	popa3d) echo popa3d ;;
	cyrus) echo cyrus-pop3d cyrus-common sasl2-bin tzdata ;;
	mailutils) echo mailutils-pop3d mailutils-common ;;
	solid) echo solid-pop3d ;;
	esac
}

dir=${MAILKEEP_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/mailkeep/servers}

# apt works without the lock and as any user.
apt() {
	apt-get -q -o Debug::NoLocking=1 -o APT::Sandbox::User=root "$@"
}

# needs prints the packages of a server and the libraries that they depend on,
# as apt would install them on an empty system.
needs() {
	# shellcheck disable=SC2046
	closure=$(apt -o Dir::State::status=/dev/null --no-install-recommends --print-uris -y install $(packages "$1") libpam-modules) || return 1
	printf '%s\n' "$closure" | sed -n "s/^'[^']*' \([^_]*\)_.*/\1/p" | grep -E "^z?lib|^($(packages "$1" | tr ' ' '|'))\$" | grep -v '^libperl'
}

# unpack makes the root directory of one server. It appears whole or not at all.
unpack() {
	new=$(mktemp -d "$dir/$1.XXXXXX")
	if download "$1" "$new" >"$new/log" 2>&1; then
		mv "$new/root" "$dir/$1"
		rm -rf "$new"
	else
		tail -3 "$new/log" >&2
		rm -rf "$new"
		return 1
	fi
}

# download fetches the packages of a server into DIR/deb and unpacks them into
# DIR/root.
download() {
	names=$(needs "$1") || return 1
	mkdir "$2/deb" "$2/root" || return 1
	# shellcheck disable=SC2086
	(cd "$2/deb" && apt download $names) || return 1
	for deb in "$2"/deb/*.deb; do dpkg-deb -x "$deb" "$2/root" || return 1; done
	rm -rf "$2"/root/usr/share/doc "$2"/root/usr/share/man "$2"/root/usr/share/locale "$2"/root/usr/share/icu
	chmod 755 "$2/root"
}

case ${1:-} in
unpack)
	command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || exit 0 # "missing" tells
	mkdir -p "$dir"
	updated=
	for s in $servers; do
		[ ! -d "$dir/$s" ] || continue
		echo "unpacking $s into $dir"
		unpack "$s" && continue
		if [ -z "$updated" ] && [ "$(id -u)" = 0 ]; then
			updated=yes
			apt-get update -q
			unpack "$s" && continue
		fi
		echo "$s could not be unpacked" >&2
		exit 1
	done
	;;
missing)
	for s in $servers; do
		if [ ! -d "$dir/$s" ]; then
			echo "$s: not in $dir; make servers unpacks it where there is apt-get"
		elif [ "$(id -u)" != 0 ]; then
			echo "$s: runs by chroot, which takes root"
		fi
	done
	;;
*)
	sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
