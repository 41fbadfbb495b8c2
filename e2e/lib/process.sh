# shellcheck shell=bash
# Long-lived processes of the embedded cluster. All of them, and everything they start, live in one control
# group: what is in it is ours and nothing else is. Sourced after common.sh.

CLUSTER_STATE=$STATE_DIR/cluster
CLUSTER_RUN=$CLUSTER_STATE/run
CLUSTER_LOGS=$CLUSTER_STATE/logs
CGROUP_NAME=wesley-e2e

# cgroup_roots: the hierarchies of this machine, one per line (one with cgroup v2).
cgroup_roots() {
	if cgroup_is_v2; then
		echo /sys/fs/cgroup
	else
		awk '$3 == "cgroup" { print $2 }' /proc/mounts
	fi
}

cgroup_is_v2() { [[ -e /sys/fs/cgroup/cgroup.controllers ]]; }

# The hierarchy that tells which processes are ours: with version 1 any one in which pods live, too.
cgroup_tracker() {
	if cgroup_is_v2; then
		echo "/sys/fs/cgroup/$CGROUP_NAME"
	else
		echo "/sys/fs/cgroup/pids/$CGROUP_NAME"
	fi
}

cgroup_make() {
	local root controllers
	if cgroup_is_v2; then
		controllers=$(sed 's/\([a-z0-9_]*\)/+\1/g' /sys/fs/cgroup/cgroup.controllers)
		mkdir -p "/sys/fs/cgroup/$CGROUP_NAME/parts"
		enable_controllers "$controllers" /sys/fs/cgroup
		enable_controllers "$controllers" "/sys/fs/cgroup/$CGROUP_NAME"
		return
	fi
	for root in $(cgroup_roots); do
		mkdir -p "$root/$CGROUP_NAME"
		# A cpuset is usable only with cpus and memory nodes.
		if [[ -e $root/$CGROUP_NAME/cpuset.cpus ]]; then
			cat "$root/cpuset.cpus" >"$root/$CGROUP_NAME/cpuset.cpus"
			cat "$root/cpuset.mems" >"$root/$CGROUP_NAME/cpuset.mems"
		fi
	done
	[[ -d $(cgroup_tracker) ]] || die "no control group hierarchy 'pids' at /sys/fs/cgroup/pids"
	mkdir -p "$(cgroup_tracker)/parts"
}

enable_controllers() {
	local controller
	for controller in $1; do
		echo "$controller" 2>/dev/null >"$2/cgroup.subtree_control" || true # not every one can be
	done
}

# cgroup_pids: every process of ours.
cgroup_pids() {
	local tracker
	tracker=$(cgroup_tracker)
	[[ -d $tracker ]] || return 0
	find "$tracker" -name cgroup.procs -exec cat {} + 2>/dev/null || true
}

cgroup_is_empty() { [[ -z $(cgroup_pids) ]]; }

# cgroup_kill: SIGKILL to all of ours until none is left.
cgroup_kill() {
	local pid
	for pid in $(cgroup_pids); do kill -KILL "$pid" 2>/dev/null || true; done
	cgroup_is_empty
}

# Where both versions are mounted, containers leave empty groups in the second one, too.
cgroup_remove() {
	local root left=
	while read -r root; do
		[[ -d $root/$CGROUP_NAME ]] || continue
		find "$root/$CGROUP_NAME" -depth -type d -exec rmdir {} + 2>/dev/null || true
		[[ ! -d $root/$CGROUP_NAME ]] || left=1
	done < <(awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/mounts | sort -u)
	[[ -z $left ]]
}

# --- parts --------------------------------------------------------------------------------------

# start time in clock ticks: with the pid it names one process for ever.
process_start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# spawn NAME COMMAND...: starts a part in the background, detached from the terminal.
spawn() {
	local name=$1 pid
	shift
	(
		echo "$BASHPID" >"$(cgroup_tracker)/parts/cgroup.procs"
		exec setsid "$@"
	) </dev/null >>"$CLUSTER_LOGS/$name.log" 2>&1 &
	pid=$!
	disown "$pid"
	echo "$pid $(process_start_time "$pid")" >"$CLUSTER_RUN/$name.pid"
}

# part_pid NAME: pid of a running part; fails if it does not run.
part_pid() {
	local pid started
	read -r pid started 2>/dev/null <"$CLUSTER_RUN/$1.pid" || return 1
	[[ -n $started && $(process_start_time "$pid") == "$started" ]] || return 1
	[[ $(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -c1) != Z ]] || return 1
	echo "$pid"
}

# part_end NAME [SIGNAL]: ends a part if it runs, without waiting.
part_end() {
	local pid
	if pid=$(part_pid "$1"); then kill "-${2:-KILL}" "$pid" 2>/dev/null || true; fi
}
