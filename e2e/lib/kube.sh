# shellcheck shell=bash
# Access to the cluster that is worked on: the embedded one, or a foreign one named by its context.
# Sourced after certs.sh and build.sh.

# The context given by --context; empty for the embedded cluster.
KUBE_CONTEXT=${KUBE_CONTEXT:-}

# take_context ARGUMENT...: picks --context NAME out of the arguments; the others go to the array ARGUMENTS.
take_context() {
	ARGUMENTS=()
	while (($#)); do
		case $1 in
		--context)
			[[ -n ${2:-} ]] || die "--context needs a name" "contexts of your kubeconfig: kubectl config get-contexts -o name"
			KUBE_CONTEXT=$2
			shift
			;;
		--context=*) KUBE_CONTEXT=${1#--context=} ;;
		*) ARGUMENTS+=("$1") ;;
		esac
		shift
	done
	export KUBE_CONTEXT
}

is_foreign() { [[ -n $KUBE_CONTEXT ]]; }

# A machine's proxy settings are not for addresses that exist on this machine only.
export NO_PROXY="${NO_PROXY:+$NO_PROXY,}10.250.0.0/24,10.96.0.0/16,10.244.0.0/16,127.0.0.1,localhost"
export no_proxy=$NO_PROXY

embedded_kubectl() { "$CLUSTER_BIN/kubectl" --kubeconfig "$CLUSTER_KUBECONFIG" --context "$CLUSTER_CONTEXT" "$@"; }

# kube ARGUMENT...: kubectl on the chosen cluster. It is given a kubeconfig that holds the chosen context alone, so
# that no other one can be reached, whatever the user's current context is or becomes.
kube() {
	kube_use_context
	if is_foreign; then
		"$(program kubectl)" --context "$KUBE_CONTEXT" "$@"
	else
		embedded_kubectl "$@"
	fi
}

helm() {
	kube_use_context
	if is_foreign; then
		"$(program helm)" --kube-context "$KUBE_CONTEXT" "$@"
	else
		"$CLUSTER_BIN/helm" --kubeconfig "$CLUSTER_KUBECONFIG" --kube-context "$CLUSTER_CONTEXT" "$@"
	fi
}

# program NAME: ours if it was built, else the machine's. Some vendors' kubectl asks the server of the current
# context for its version first, whatever context is named.
program() {
	if [[ -e $CLUSTER_BIN/complete ]]; then
		echo "$CLUSTER_BIN/$1"
	else
		type -P "$1" || die "'$1' is missing"
	fi
}

# kube_use_context: exports KUBECONFIG with the chosen context alone, also for programs that read the usual
# variable (the product itself, cargo tests).
kube_use_context() {
	if ! is_foreign; then
		export KUBECONFIG=$CLUSTER_KUBECONFIG
		return
	fi
	local file kubectl
	file=$(foreign_kubeconfig)
	[[ ${KUBECONFIG:-} != "$file" || ! -e $file ]] || return 0
	kubectl=$(program kubectl)
	"$kubectl" config get-contexts "$KUBE_CONTEXT" >/dev/null 2>&1 ||
		die "your kubeconfig has no context '$KUBE_CONTEXT'" "it has: $("$kubectl" config get-contexts -o name | xargs)"
	mkdir -p "$STATE_DIR"
	(umask 077 && "$kubectl" --context "$KUBE_CONTEXT" config view --minify --flatten >"$file.$$")
	mv "$file.$$" "$file"
	export KUBECONFIG=$file
}

foreign_kubeconfig() { echo "$STATE_DIR/kubeconfig-of-${KUBE_CONTEXT//[^A-Za-z0-9._-]/_}"; }

# kube_namespace NAME: made if missing, with the restricted pod security profile enforced.
kube_namespace() {
	kube apply --server-side --field-manager=wesley-e2e -f - >/dev/null <<-YAML
		apiVersion: v1
		kind: Namespace
		metadata:
		  name: $1
		  labels: {pod-security.kubernetes.io/enforce: restricted}
	YAML
}

# kube_postgres NAMESPACE NAME MAJOR [PASSWORD]: a PostgreSQL with Service and Secret of that name; returns
# when it answers. The image must have been loaded (image_postgres MAJOR).
kube_postgres() {
	local namespace=$1 name=$2 major=$3 password=${4:-postgres}
	sed "s|@NAME@|$name|g; s|@IMAGE@|$POSTGRES_REPOSITORY:$major|g; s|@PASSWORD@|$password|g" "$E2E_DIR/manifests/postgres.yaml" |
		kube apply --server-side --field-manager=wesley-e2e --namespace "$namespace" -f - >/dev/null
	kube rollout status --namespace "$namespace" "statefulset/$name" --timeout=120s >/dev/null ||
		die "PostgreSQL $namespace/$name does not come up" "$(kube describe pod --namespace "$namespace" "$name-0" | tail -n 15)"
}

# kube_psql NAMESPACE NAME ARGUMENT...: psql inside the pod of that PostgreSQL.
kube_psql() {
	local namespace=$1 name=$2
	shift 2
	# shellcheck disable=SC2016 # the pod's shell expands it
	kube exec --stdin --namespace "$namespace" "$name-0" -- sh -c \
		'PGPASSWORD=$POSTGRES_PASSWORD exec psql -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -U postgres "$@"' psql "$@"
}
