# shellcheck shell=bash
# The programs of the embedded cluster, built from the pinned Go modules in e2e/cluster and kept in the
# cache. Sourced after common.sh.

KUBERNETES_VERSION=v1.34.4
HELM_VERSION=v3.19.5
CLUSTER_SOURCES=("$E2E_DIR"/cluster/{go.mod,go.sum,main.go})
CLUSTER_KEY=$(hash_of "${CLUSTER_SOURCES[@]}")
CLUSTER_BIN=$CACHE_DIR/cluster/$CLUSTER_KEY
CLUSTER_PARTS=(etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl coredns)

cluster_build() {
	[[ -e $CLUSTER_BIN/complete ]] || with_lock cluster-build cluster_build_now
}

cluster_build_now() {
	[[ ! -e $CLUSTER_BIN/complete ]] || return 0
	need_command go "install Go 1.24 or newer"
	local package flags="-s -w" part minor
	minor=${KUBERNETES_VERSION#v1.}
	# Without a version stamp the server calls itself v0.0.0-master and clients misbehave.
	for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
		flags+=" -X $package.gitVersion=$KUBERNETES_VERSION -X $package.gitMajor=1 -X $package.gitMinor=${minor%.*}"
		flags+=" -X $package.gitTreeState=clean"
	done
	mkdir -p "$CLUSTER_BIN"
	progress "building Kubernetes $KUBERNETES_VERSION (once; about 5 minutes on two cores)" \
		go_build -ldflags "$flags" -o "$CLUSTER_BIN/wesley-cluster" .
	progress "building Helm" go_build -ldflags "-s -w -X helm.sh/helm/v3/internal/version.version=$HELM_VERSION" \
		-o "$CLUSTER_BIN/helm" helm.sh/helm/v3/cmd/helm
	for part in "${CLUSTER_PARTS[@]}"; do ln -sfn wesley-cluster "$CLUSTER_BIN/$part"; done
	touch "$CLUSTER_BIN/complete"
}

go_build() { (cd "$E2E_DIR/cluster" && nice -n 5 go build -trimpath -buildvcs=false -mod=readonly "$@"); }
