# shellcheck shell=bash
# The product in the chosen cluster: install, remove, and what to look at when something failed.
# Sourced after kube.sh.

WESLEY_NAMESPACE=${WESLEY_NAMESPACE:-wesley-system}
WESLEY_RELEASE=wesley

# product_install [HELM ARGUMENT...]: installs or upgrades the chart with the image WESLEY_TAG; returns when the
# operator is ready.
product_install() {
	kube_namespace "$WESLEY_NAMESPACE" || return
	helm upgrade --install "$WESLEY_RELEASE" "$REPO_DIR/charts/wesley" --namespace "$WESLEY_NAMESPACE" \
		--set "image.repository=${WESLEY_TAG%:*}" --set "image.tag=${WESLEY_TAG##*:}" \
		--wait --timeout 120s "$@"
}

product_remove() {
	helm uninstall "$WESLEY_RELEASE" --namespace "$WESLEY_NAMESPACE" --ignore-not-found --wait --timeout 60s
	kube delete namespace "$WESLEY_NAMESPACE" --ignore-not-found --timeout=60s
}

# product_dump: everything needed to understand a failure, on standard output. Never fails.
product_dump() {
	local resource
	dump_part "nodes and pods" kube get nodes,pods --all-namespaces --output wide
	for resource in databases migrations migrationplans validationwindows; do
		dump_part "$resource" kube get "$resource.wesley.dev" --all-namespaces --output yaml --show-managed-fields=false
	done
	dump_part "jobs" kube get jobs --all-namespaces --output yaml --show-managed-fields=false
	dump_part "pods that are not running well" dump_unwell_pods
	dump_part "events" kube get events --all-namespaces --sort-by=.metadata.creationTimestamp
	dump_part "log of the operator" dump_logs "$WESLEY_NAMESPACE" ""
	dump_part "logs of runners" dump_logs "" "batch.kubernetes.io/job-name"
	dump_part "logs of PostgreSQL" dump_logs "" "app.kubernetes.io/name=postgres"
	if ! is_foreign && [[ -d $CLUSTER_LOGS ]]; then
		dump_part "errors of the cluster's parts" dump_cluster_logs
	fi
	return 0
}

dump_part() {
	printf '\n===== %s =====\n' "$1"
	shift
	"$@" 2>&1 | tail -n "${WESLEY_DUMP_LINES:-400}" || true
}

dump_unwell_pods() {
	local pod
	kube get pods --all-namespaces --no-headers --output \
		custom-columns=NS:.metadata.namespace,NAME:.metadata.name,PHASE:.status.phase,READY:.status.containerStatuses[*].ready |
		awk '!($3 == "Succeeded" || ($3 == "Running" && $4 !~ /false/)) { print $1, $2 }' |
		while read -r -a pod; do kube describe pod --namespace "${pod[0]}" "${pod[1]}"; done
}

# dump_logs NAMESPACE SELECTOR: logs of all pods that match, also of the container before a restart. An empty
# namespace is all of them.
dump_logs() {
	local scope=(--all-namespaces) selector=() pod
	[[ -z $1 ]] || scope=(--namespace "$1")
	[[ -z $2 ]] || selector=(--selector "$2")
	kube get pods "${scope[@]}" "${selector[@]}" --no-headers --output \
		custom-columns=NS:.metadata.namespace,NAME:.metadata.name,RESTARTS:.status.containerStatuses[0].restartCount |
		while read -r -a pod; do
			echo "--- ${pod[0]}/${pod[1]} (restarts: ${pod[2]})"
			if [[ ${pod[2]} =~ ^[1-9] ]]; then
				kube logs --namespace "${pod[0]}" "${pod[1]}" --all-containers --previous --tail=100 </dev/null
				echo "--- ${pod[0]}/${pod[1]}, after the restart"
			fi
			kube logs --namespace "${pod[0]}" "${pod[1]}" --all-containers --tail=200 </dev/null
		done
}

dump_cluster_logs() {
	local file
	for file in "$CLUSTER_LOGS"/*.log; do
		echo "--- $(basename "$file" .log)"
		grep -E '^E[0-9]|level=(error|fatal)|panic:|"level":"(error|fatal)"' "$file" | tail -n 15
	done
}
