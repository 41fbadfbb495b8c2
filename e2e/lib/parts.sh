# shellcheck shell=bash
# One function for each part of the embedded cluster: its configuration and its start. Parts share one
# private mount namespace, so that no mount of a pod is seen on the host or outlives the cluster.
# Sourced after certs.sh and build.sh.

CONTAINERD_SOCKET=$CLUSTER_STATE/containerd/containerd.sock
PAUSE_IMAGE=localhost/pause:1

# Folders at fixed places that parts insist on; ours are mounted over them in the private namespace.
FIXED_FOLDERS=(/run/containerd /var/lib/kubelet /var/log/containers /var/lib/cni)

# enter COMMAND...: replaces the shell by the command inside both namespaces.
start_inside() {
	local name=$1 holder
	shift
	holder=$(part_pid holder) || die "the embedded cluster is not running"
	spawn "$name" nsenter --net="$NETNS_FILE" --mount="/proc/$holder/ns/mnt" -- "$@"
}

run_inside() {
	local holder
	holder=$(part_pid holder) || die "the embedded cluster is not running"
	nsenter --net="$NETNS_FILE" --mount="/proc/$holder/ns/mnt" -- "$@"
}

start_holder() {
	local folder script="mount --make-rshared /"
	for folder in "${FIXED_FOLDERS[@]}"; do
		# A folder that does not exist on the host cannot be mounted over without making it there.
		mkdir -p "$CLUSTER_STATE/fixed$folder"
		if [[ ! -d $folder ]]; then
			echo "$folder" >>"$CLUSTER_STATE/made-folders"
			mkdir -p "$folder"
		fi
		script+=" && mount --bind '$CLUSTER_STATE/fixed$folder' '$folder'"
	done
	script+=" && touch '$CLUSTER_RUN/mounts-ready' && exec sleep infinity"
	rm -f "$CLUSTER_RUN/mounts-ready"
	spawn holder unshare --mount --propagation slave -- sh -c "$script"
	wait_for "private mounts" 10 test -e "$CLUSTER_RUN/mounts-ready"
}

start_containerd() {
	local dir=$CLUSTER_STATE/containerd snapshotter=overlayfs
	mkdir -p "$dir" "$CLUSTER_STATE/cni"
	overlay_works || snapshotter=native
	cat >"$dir/config.toml" <<-TOML
		version = 2
		root = "$dir/root"
		state = "$dir/state"
		oom_score = 0
		disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs",
		  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
		  "io.containerd.snapshotter.v1.devmapper", "io.containerd.tracing.processor.v1.otlp"]
		[grpc]
		  address = "$CONTAINERD_SOCKET"
		[plugins."io.containerd.grpc.v1.cri"]
		  sandbox_image = "$PAUSE_IMAGE"
		  restrict_oom_score_adj = true
		  disable_apparmor = true
		  netns_mounts_under_state_dir = true
		  stream_server_address = "127.0.0.1"
		[plugins."io.containerd.grpc.v1.cri".cni]
		  bin_dir = "/usr/lib/cni"
		  conf_dir = "$CLUSTER_STATE/cni"
		[plugins."io.containerd.grpc.v1.cri".containerd]
		  snapshotter = "$snapshotter"
		  default_runtime_name = "runc"
		[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
		  runtime_type = "io.containerd.runc.v2"
		[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
		  SystemdCgroup = false
		  Root = "$dir/runc"
	TOML
	# Every packet between pods passes the node's own routing (not a bridge), so services work from pod
	# to pod without a bridge filter in the kernel.
	cat >"$CLUSTER_STATE/cni/10-wesley.conflist" <<-JSON
		{
		  "cniVersion": "0.4.0", "name": "wesley-e2e",
		  "plugins": [
		    {"type": "ptp", "ipMasq": false,
		     "ipam": {"type": "host-local", "ranges": [[{"subnet": "$NODE_POD_CIDR"}]],
		              "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "$CLUSTER_STATE/ipam"}},
		    {"type": "portmap", "capabilities": {"portMappings": true}}
		  ]
		}
	JSON
	start_inside containerd containerd --config "$dir/config.toml"
}

overlay_works() {
	local dir=$CLUSTER_STATE/overlay-probe
	mkdir -p "$dir"/{lower,upper,work,merged}
	unshare --mount mount -t overlay overlay -o "lowerdir=$dir/lower,upperdir=$dir/upper,workdir=$dir/work" "$dir/merged"
} 2>/dev/null

start_etcd() {
	start_inside etcd "$CLUSTER_BIN/etcd" --data-dir "$CLUSTER_STATE/etcd" --unsafe-no-fsync --logger zap --log-level warn \
		--listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
		--listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
		--initial-cluster default=http://127.0.0.1:2380
}

start_kube_apiserver() {
	start_inside kube-apiserver "$CLUSTER_BIN/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 \
		--bind-address=0.0.0.0 --secure-port=6443 --advertise-address="$NODE_IP" \
		--service-cluster-ip-range="$SERVICE_CIDR" --allow-privileged=true \
		--authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --anonymous-auth=true \
		--client-ca-file="$PKI/ca.crt" --tls-cert-file="$PKI/kube-apiserver.crt" --tls-private-key-file="$PKI/kube-apiserver.key" \
		--kubelet-certificate-authority="$PKI/ca.crt" --kubelet-client-certificate="$PKI/kubelet-client.crt" \
		--kubelet-client-key="$PKI/kubelet-client.key" --kubelet-preferred-address-types=InternalIP \
		--service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$PKI/service-account.pub" \
		--service-account-signing-key-file="$PKI/service-account.key" --profiling=false
}

start_kube_controller_manager() {
	start_inside kube-controller-manager "$CLUSTER_BIN/kube-controller-manager" \
		--kubeconfig="$KUBECONFIGS/kube-controller-manager" --use-service-account-credentials --leader-elect=false \
		--root-ca-file="$PKI/ca.crt" --service-account-private-key-file="$PKI/service-account.key" \
		--cluster-cidr="$POD_CIDR" --allocate-node-cidrs --bind-address=127.0.0.1 \
		--kube-api-qps=500 --kube-api-burst=1000
}

start_kube_scheduler() {
	start_inside kube-scheduler "$CLUSTER_BIN/kube-scheduler" --kubeconfig="$KUBECONFIGS/kube-scheduler" \
		--leader-elect=false --bind-address=127.0.0.1
}

start_kube_proxy() {
	cat >"$CLUSTER_STATE/kube-proxy.yaml" <<-YAML
		apiVersion: kubeproxy.config.k8s.io/v1alpha1
		kind: KubeProxyConfiguration
		clientConnection: {kubeconfig: $KUBECONFIGS/kube-proxy}
		mode: nftables
		nftables: {minSyncPeriod: 50ms, syncPeriod: 30s}
		conntrack: {maxPerCore: 0}
		clusterCIDR: $POD_CIDR
		hostnameOverride: node0
		healthzBindAddress: 127.0.0.1:10256
		oomScoreAdj: 0
	YAML
	start_inside kube-proxy "$CLUSTER_BIN/kube-proxy" --config="$CLUSTER_STATE/kube-proxy.yaml"
}

start_coredns() {
	cat >"$CLUSTER_STATE/Corefile" <<-COREFILE
		.:53 {
		  errors
		  health 127.0.0.1:8080
		  ready 127.0.0.1:8181
		  kubernetes cluster.local in-addr.arpa {
		    kubeconfig $KUBECONFIGS/coredns
		    pods insecure
		    ttl 5
		  }
		  cache 5
		}
	COREFILE
	start_inside coredns "$CLUSTER_BIN/coredns" -conf "$CLUSTER_STATE/Corefile"
}

start_kubelet() {
	local dir=$CLUSTER_STATE/kubelet
	mkdir -p "$dir"
	echo "nameserver $NODE_IP" >"$dir/resolv.conf"
	cat >"$dir/config.yaml" <<-YAML
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		address: $NODE_IP
		containerRuntimeEndpoint: unix://$CONTAINERD_SOCKET
		cgroupDriver: cgroupfs
		cgroupRoot: /$CGROUP_NAME
		clusterDNS: [$NODE_IP]
		clusterDomain: cluster.local
		resolvConf: $dir/resolv.conf
		podLogsDir: $CLUSTER_LOGS/pods
		failSwapOn: false
		oomScoreAdj: 0
		maxOpenFiles: $(ulimit -Hn | sed 's/unlimited/1000000/')
		syncFrequency: 2s
		nodeStatusUpdateFrequency: 4s
		imageGCHighThresholdPercent: 100
		evictionHard: {nodefs.available: "1%", imagefs.available: "1%", nodefs.inodesFree: "1%", memory.available: 50Mi}
		tlsCertFile: $PKI/kubelet-server.crt
		tlsPrivateKeyFile: $PKI/kubelet-server.key
		authentication:
		  anonymous: {enabled: false}
		  webhook: {enabled: true}
		  x509: {clientCAFile: $PKI/ca.crt}
		authorization: {mode: Webhook}
	YAML
	start_inside kubelet "$CLUSTER_BIN/kubelet" --config="$dir/config.yaml" --kubeconfig="$KUBECONFIGS/kubelet" \
		--root-dir="$dir/root" --cert-dir="$dir/pki" --node-ip="$NODE_IP" --hostname-override=node0
}
