# shellcheck shell=bash
# The embedded cluster as a whole: up, down, is it well. Sourced last.

for file in process build network certs parts kube postgres rust image product; do . "$E2E_DIR/lib/$file.sh"; done
unset file

CLUSTER_PACKAGES=(containerd runc containernetworking-plugins buildah iptables nftables conntrack iproute2 openssl
	busybox-static ca-certificates util-linux procps)
CLUSTER_PROCESSES=(holder containerd etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy coredns kubelet)

cluster_require() {
	[[ $(uname -sm) == "Linux x86_64" ]] || die "the embedded cluster needs Linux on x86_64" \
		"on another system name a cluster of your own: --context NAME (docs/foreign-cluster.md)"
	is_root || die "the embedded cluster needs root: it starts containers and makes a network namespace" \
		"run it with sudo, or name a cluster of your own: --context NAME (docs/foreign-cluster.md)"
}

cluster_up() {
	if cluster_is_well; then return 0; fi
	cluster_teardown
	local started
	started=$(now_ms)
	mkdir -p "$CLUSTER_RUN" "$CLUSTER_LOGS"
	chmod 755 "$STATE_DIR"
	echo "$CLUSTER_KEY" >"$CLUSTER_STATE/key"
	image_pause
	cgroup_make
	network_up
	start_holder
	start_containerd
	start_etcd
	certs_make 2>"$CLUSTER_LOGS/certs.log" >&2 || die "making certificates failed" "$(tail -n 5 "$CLUSTER_LOGS/certs.log")"
	cluster_wait etcd "etcd answers" 30 run_inside bash -c ': >/dev/tcp/127.0.0.1/2379'
	start_kube_apiserver
	cluster_wait containerd "containerd answers" 30 containerd_ctr version
	image_import "$PAUSE_ARCHIVE" "$PAUSE_IMAGE"
	cluster_wait kube-apiserver "the API server is ready" 60 api_ready
	log "API server ready after $((($(now_ms) - started) / 100))00 ms"
	start_kube_controller_manager
	start_kube_scheduler
	start_kube_proxy
	start_coredns
	start_kubelet
	cluster_wait kubelet "the node is ready" 60 node_ready
	cluster_wait kube-proxy "services are routed" 30 run_inside bash -c ': >/dev/tcp/127.0.0.1/10256'
	cluster_wait coredns "names of services are served" 30 run_inside bash -c ': >/dev/tcp/127.0.0.1/8181'
	cluster_wait kube-controller-manager "service accounts are made" 30 kube -n default get serviceaccount default
	local part
	for part in "${CLUSTER_PROCESSES[@]}"; do
		part_pid "$part" >/dev/null || die "$part has ended, the end of its log:" "$(tail -n 15 "$CLUSTER_LOGS/$part.log" 2>&1)"
	done
	log "node ready after $((($(now_ms) - started) / 100))00 ms"
}

# cluster_wait PART TEXT SECONDS COMMAND...: as wait_for; on failure shows the end of the part's log.
cluster_wait() {
	local part=$1
	shift
	wait_for "$@" || die "$part does not come up, the end of its log:" "$(tail -n 15 "$CLUSTER_LOGS/$part.log" 2>&1)"
}

cluster_is_well() {
	local part
	[[ $(cat "$CLUSTER_STATE/key" 2>/dev/null) == "$CLUSTER_KEY" ]] || return 1
	for part in "${CLUSTER_PROCESSES[@]}"; do part_pid "$part" >/dev/null || return 1; done
	api_ready && node_ready
}

api_ready() { embedded_kubectl --request-timeout=3s get --raw /readyz; } >/dev/null 2>&1

node_ready() {
	[[ $(embedded_kubectl --request-timeout=3s get node node0 \
		-o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null) == True ]]
}

# cluster_exists: whether anything of a cluster, whole or half, is on the machine.
cluster_exists() {
	[[ -e $CLUSTER_STATE || -e $NETNS_FILE || -e $CLUSTER_KUBECONFIG ]] && return
	ip link show "$HOST_LINK" >/dev/null 2>&1 || [[ -d $(cgroup_tracker) ]]
}

# cluster_teardown: from any state to nothing. The kubelet goes first, so that it restarts nothing; all
# else of ours is then found by its control group, whoever its parent is by now.
cluster_teardown() {
	cluster_exists || return 0
	local folder
	part_end kubelet
	part_end containerd
	wait_for "the processes of the cluster have ended" 30 cgroup_kill || die "processes survive SIGKILL: $(cgroup_pids | xargs)"
	# The last process takes the mount namespace with it, and that takes the mounts of pods.
	wait_for "the control groups are removed" 20 cgroup_remove || warn "control groups of $CGROUP_NAME could not be removed"
	network_down
	if [[ -e $CLUSTER_STATE/made-folders ]]; then
		while read -r folder; do rmdir "$folder" 2>/dev/null || true; done <"$CLUSTER_STATE/made-folders"
	fi
	wait_for "the state is removed" 20 rm -rf "$CLUSTER_STATE" "$CLUSTER_KUBECONFIG" || die "cannot remove $CLUSTER_STATE"
	rmdir "$STATE_DIR" 2>/dev/null || true
}
