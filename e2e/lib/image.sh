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
	image_prune "$IMAGES/$(basename "$archive" | sed -E 's/-[0-9a-f]+(-[0-9a-f]+)?\.tar$//')"
}

# image_prune PREFIX: keeps the newest archives of one image.
image_prune() {
	find "$(dirname "$1")" -name "$(basename "$1")-*.tar" -printf '%T@ %p\n' | sort -rn | sed '1,6d; s/^[^ ]* //' | xargs -r rm -f
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

# image_import ARCHIVE TAG: into the embedded cluster; does nothing if just this archive was imported.
image_import() {
	local mark
	mark=$CLUSTER_RUN/imported-$(basename "$1")
	if [[ ! -e $mark || -z $(containerd_ctr image list --quiet "name==$2") ]]; then
		containerd_ctr image import "$1" >/dev/null
		touch "$mark"
	fi
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

# --- PostgreSQL for pods ------------------------------------------------------------------------

# A foreign cluster that pulls from a registry names where the image was pushed to.
POSTGRES_REPOSITORY=${WESLEY_POSTGRES_IMAGE:-localhost/postgres}
POSTGRES_IMAGE_LIBRARIES=(libc.so.6 libm.so.6 libpthread.so.0 librt.so.1 libdl.so.2 libgcc_s.so.1 libstdc++.so.6)

# image_postgres MAJOR: builds localhost/postgres:MAJOR if need be and loads it into the chosen cluster.
image_postgres() {
	[[ -z ${WESLEY_POSTGRES_IMAGE:-} ]] || return 0
	local major=$1 tag=localhost/postgres:$1 archive context
	pg_install
	need_apt busybox-static libstdc++6
	archive=$IMAGES/postgres-$major-$(hash_of "$E2E_DIR"/images/postgres/* "${PG_SOURCES[@]}" "$E2E_DIR/lib/image.sh").tar
	if [[ ! -e $archive ]]; then
		context=$(mktemp -d)
		image_postgres_root "$major" "$context/root"
		cp "$E2E_DIR/images/postgres/Containerfile" "$context/"
		progress "building the image $tag" image_archive "$tag" "$context" "$archive"
		rm -rf "$context"
	fi
	image_load "$archive" "$tag"
}

image_postgres_root() {
	local home root=$2 name
	home=$(pg_home "$1")
	mkdir -p "$root"/{bin,etc,lib64,usr/local,var/lib/postgresql/data} "$root/lib/x86_64-linux-gnu"
	cp -a "$home" "$root/usr/local/pgsql"
	cp -a "$(dirname "$PG_TOOLS")" "$root/usr/local/tools"
	for name in "${POSTGRES_IMAGE_LIBRARIES[@]}"; do
		cp -L "/lib/x86_64-linux-gnu/$name" "$root/lib/x86_64-linux-gnu/"
	done
	cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64/"
	cp "$(type -P busybox)" "$root/bin/busybox"
	for name in sh cat rm mkdir chmod touch ls sleep kill ps env id date head tail; do ln -s busybox "$root/bin/$name"; done
	cp "$E2E_DIR/images/postgres/entrypoint" "$root/entrypoint"
	printf 'root:x:0:0:root:/:/bin/sh\npostgres:x:26:26:postgres:/var/lib/postgresql:/bin/sh\n' >"$root/etc/passwd"
	printf 'root:x:0:\npostgres:x:26:\n' >"$root/etc/group"
	install -d -m 1777 "$root/tmp"
	chown -R 26:26 "$root/var/lib/postgresql" 2>/dev/null || chmod -R a+rwX "$root/var/lib/postgresql"
}

# --- the product --------------------------------------------------------------------------------

IMAGE_TARGET=x86_64-unknown-linux-gnu

# image_wesley_binary [SOURCES] [BUILD FOLDER]: builds the product, linked statically; prints the binary's path. The build
# folder is in the cache, so that it is warm for every clone. No path of this machine gets into the binary: the same
# sources give the same bytes wherever they are built (e2e/reproducible).
image_wesley_binary() {
	local sources=${1:-$REPO_DIR} build=${2:-$CACHE_DIR/target-image} profile=${WESLEY_IMAGE_PROFILE:-} folder flags
	if [[ -z $profile ]]; then
		profile=release
		if grep -q '^\[profile\.image\]' "$sources/Cargo.toml"; then profile=image; fi
	fi
	folder=$profile
	[[ $profile != dev ]] || folder=debug
	need_rust
	local home=${CARGO_HOME:-$HOME/.cargo}
	# Paths of the sources are relative already; naming their folder here would build everything anew for every clone.
	flags="-C target-feature=+crt-static --remap-path-prefix=$build=/build --remap-path-prefix=$home=/cargo"
	CFLAGS="-ffile-prefix-map=$build=/build -ffile-prefix-map=$home=/cargo" RUSTFLAGS=$flags \
		progress "building wesley, statically (profile $profile)" cargo build --locked --manifest-path "$sources/Cargo.toml" \
		--target "$IMAGE_TARGET" --profile "$profile" --bin wesley --target-dir "$build"
	echo "$build/$IMAGE_TARGET/$folder/wesley"
}

# image_wesley_context BINARY FOLDER: a build context that buildah, docker and podman take.
image_wesley_context() {
	mkdir -p "$2"
	install -m 755 "$1" "$2/wesley"
	[[ -e /etc/ssl/certs/ca-certificates.crt ]] || need_apt ca-certificates
	install -m 644 /etc/ssl/certs/ca-certificates.crt "$2/ca-certificates.crt"
	cp "$E2E_DIR/images/wesley/Containerfile" "$2/"
}

# image_product: builds the product's image if need be, loads it into the chosen cluster, sets WESLEY_TAG. With
# WESLEY_IMAGE that image is taken as it is: the cluster pulls it.
image_product() {
	if [[ -n ${WESLEY_IMAGE:-} ]]; then
		WESLEY_TAG=$WESLEY_IMAGE
		return
	fi
	with_lock image image_wesley
	image_load "$WESLEY_ARCHIVE" "$WESLEY_TAG"
}

# image_wesley: sets WESLEY_TAG and WESLEY_ARCHIVE, building what is not there.
image_wesley() {
	local binary context
	binary=$(image_wesley_binary)
	WESLEY_TAG=localhost/wesley:$(sha256sum "$binary" | cut -c1-12)
	WESLEY_ARCHIVE=$IMAGES/wesley-${WESLEY_TAG##*:}-$(hash_of "$E2E_DIR/images/wesley/Containerfile").tar
	[[ ! -e $WESLEY_ARCHIVE ]] || return 0
	context=$(mktemp -d)
	image_wesley_context "$binary" "$context"
	progress "building the image $WESLEY_TAG" image_archive "$WESLEY_TAG" "$context" "$WESLEY_ARCHIVE"
	rm -rf "$context"
}
