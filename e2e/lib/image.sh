# shellcheck shell=bash
# Container images, kept as archives in the cache, and how they get into a cluster. No registry is used.
# Sourced after process.sh.

IMAGES=$CACHE_DIR/images
PAUSE_ARCHIVE=$IMAGES/pause-1.tar

containerd_ctr() { run_inside ctr --address "$CONTAINERD_SOCKET" --namespace k8s.io "$@"; }

# image_tool: what builds images on this machine. Buildah needs no daemon, so it comes first.
image_tool() {
	local tool
	for tool in buildah docker podman; do
		if type -P "$tool" >/dev/null; then
			echo "$tool"
			return
		fi
	done
	is_root || die "nothing here builds images" "install one of: buildah, docker, podman"
	need_apt buildah
	echo buildah
}

# image_archive TAG CONTEXT ARCHIVE: builds the Containerfile in CONTEXT and writes it as an archive that
# containerd, kind and docker take.
image_archive() {
	local tag=$1 context=$2 archive=$3 tool store
	tool=$(image_tool)
	mkdir -p "$(dirname "$archive")"
	rm -f "$archive.new"
	case $tool in
	buildah)
		# A store of its own, thrown away afterwards: nothing of ours stays among the machine's images.
		store=$(mktemp -d "$IMAGES/store.XXXXXX")
		image_buildah "$store" "$tag" "$context" "$archive.new"
		rm -rf "$store"
		;;
	docker | podman)
		"$tool" build --tag "$tag" --file "$context/Containerfile" "$context"
		"$tool" save --output "$archive.new" "$tag"
		"$tool" rmi "$tag"
		;;
	esac
	mv "$archive.new" "$archive"
}

image_buildah() {
	local where=(--root "$1/root" --runroot "$1/run" --storage-driver vfs)
	buildah "${where[@]}" bud --isolation chroot --pull-never --timestamp 0 --tag "$2" --file "$3/Containerfile" "$3"
	buildah "${where[@]}" push "$2" "oci-archive:$4:$2"
}

image_pause() {
	[[ ! -e $PAUSE_ARCHIVE ]] || return 0
	local context
	context=$(mktemp -d)
	cp "$(type -P busybox)" "$context/busybox"
	cp "$E2E_DIR/images/pause/Containerfile" "$context/"
	progress "building the pause image" image_archive "$PAUSE_IMAGE" "$context" "$PAUSE_ARCHIVE"
	rm -rf "$context"
}

# image_import ARCHIVE TAG: into the embedded cluster; does nothing if it is there.
image_import() {
	[[ -z $(containerd_ctr image list --quiet "name==$2") ]] || return 0
	containerd_ctr image import "$1" >/dev/null
}

# image_load ARCHIVE TAG: into the chosen cluster, by whatever means it has.
image_load() {
	local archive=$1 tag=$2
	case $KUBE_CONTEXT in
	"") image_import "$archive" "$tag" ;;
	kind-*)
		need_command kind "it is what made the cluster of context $KUBE_CONTEXT"
		kind load image-archive "$archive" --name "${KUBE_CONTEXT#kind-}"
		;;
	k3d-*)
		need_command k3d "it is what made the cluster of context $KUBE_CONTEXT"
		k3d image import "$archive" --cluster "${KUBE_CONTEXT#k3d-}"
		;;
	minikube)
		need_command minikube "it is what made the cluster of context $KUBE_CONTEXT"
		minikube image load "$archive"
		;;
	*)
		if [[ -n ${WESLEY_IMAGE_LOAD:-} ]]; then
			"$WESLEY_IMAGE_LOAD" "$archive" "$tag"
		else
			log "context $KUBE_CONTEXT: taking it that its nodes have $tag already; the archive is $archive (docs/foreign-cluster.md)"
		fi
		;;
	esac
}
