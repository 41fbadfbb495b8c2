# shellcheck shell=bash
# What every script of e2e/ starts from: strict mode, places, messages, waiting, locks.
# Sourced, never run.

set -Eeuo pipefail
shopt -s inherit_errexit

E2E_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
REPO_DIR=$(cd "$E2E_DIR/.." && pwd)

# Things that are expensive to make and safe to delete.
CACHE_DIR=${WESLEY_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/wesley}
# Things of the running cluster and servers.
STATE_DIR=${WESLEY_STATE:-/var/tmp/wesley-e2e}

# --- messages: progress goes to standard error, results to standard output ---------------------

log() { printf '[%s] %s\n' "$(date +%H:%M:%S)" "$*" >&2; }
warn() { log "warning: $*"; }
die() {
	printf 'error: %s\n' "$1" >&2
	shift
	local line
	for line in "$@"; do printf '       %s\n' "$line" >&2; done
	exit 1
}

# progress TEXT COMMAND...: says what runs before it runs and how long it took. Output of the command
# is kept in a file and shown only if it fails.
progress() {
	local text=$1 out rc=0 start=$SECONDS
	shift
	out=$(mktemp)
	log "$text ..."
	# Not `"$@" || rc=$?`: behind `||` a function would run on after a failed command.
	set +e
	(
		set -e
		"$@"
	) >"$out" 2>&1
	rc=$?
	set -e
	if ((rc != 0)); then
		tail -n 60 "$out" >&2
		rm -f "$out"
		log "$text: failed after $((SECONDS - start)) s"
		return "$rc"
	fi
	rm -f "$out"
	if ((SECONDS - start >= 3)); then log "$text: done in $((SECONDS - start)) s"; fi
}

# wait_for TEXT SECONDS COMMAND...: polls until the command succeeds. Says that it waits once this takes
# more than a few seconds.
wait_for() {
	local text=$1 limit=$2 start said=
	shift 2
	start=$(now_ms)
	until "$@" >/dev/null 2>&1; do
		local waited=$((($(now_ms) - start) / 1000))
		if ((waited >= limit)); then
			log "still not true after $limit s: $text"
			return 1
		fi
		if ((waited >= 4)) && [[ -z $said ]]; then
			log "waiting for: $text"
			said=1
		fi
		sleep 0.1
	done
}

now_ms() { date +%s%3N; }

# --- machine ------------------------------------------------------------------------------------

is_root() { [[ $(id -u) == 0 ]]; }

need_command() {
	local name=$1
	shift
	command -v "$name" >/dev/null 2>&1 || die "'$name' is missing" "$@"
}

APT_UPDATED=
# need_apt PACKAGE...: installs the Debian packages that are missing; does nothing if none is.
need_apt() {
	local package missing=()
	command -v dpkg-query >/dev/null 2>&1 ||
		die "this machine has no dpkg: install what the following Debian packages hold by hand" "$*"
	for package in "$@"; do
		[[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null) == ii* ]] || missing+=("$package")
	done
	((${#missing[@]})) || return 0
	is_root || die "missing packages: ${missing[*]}" "install them: sudo apt-get install ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	if [[ -z $APT_UPDATED ]]; then
		progress "reading the package lists" apt-get update
		APT_UPDATED=1
	fi
	progress "installing ${missing[*]}" apt-get install -y --no-install-recommends "${missing[@]}"
}

# hash_of FILE...: 16 hex digits of the contents, whatever the place.
hash_of() { cat "$@" | sha256sum | cut -c1-16; }

# with_lock NAME COMMAND...: one run at a time on this machine. Ends the script if the command fails.
with_lock() {
	local name=$1 fd
	shift
	mkdir -p "$CACHE_DIR/locks"
	exec {fd}>"$CACHE_DIR/locks/$name"
	if ! flock -n "$fd"; then
		log "another run holds the lock '$name', waiting for it"
		flock "$fd"
	fi
	"$@" {fd}>&- # what it starts in the background must not hold the lock
	exec {fd}>&-
}
