#!/usr/bin/env bash
# operator.sh [--context NAME] [COUNT]...: memory of the operator with that many Migrations (0 and 1000 by default), the
# time until each has a status, and the writes in one minute at rest after that. Prints a JSON object a line.
# The Migrations wait for a Database that does not exist, each with SQL of its own: what counts is what is kept of them.
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib/common.sh"
. "$E2E_DIR/lib/cluster.sh"

take_context "$@"
counts=("${ARGUMENTS[@]}")
((${#counts[@]})) || counts=(0 1000)
NS=wesley-bench

is_foreign || "$E2E_DIR/up" >/dev/null
kube_use_context
image_product
progress "installing the chart" product_install
trap 'kube delete namespace "$NS" --ignore-not-found --wait=false >/dev/null' EXIT

# manifests FROM TO
manifests() {
	python3 - "$1" "$2" "$NS" <<'PY'
import json, sys
first, last, namespace = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
for number in range(first, last):
    sql = "\n".join(f"alter table shop.table_{number} add column column_{n} text not null default '';" for n in range(12))
    print(json.dumps({
        "apiVersion": "wesley.dev/v1alpha1", "kind": "Migration",
        "metadata": {"name": f"m-{number:05}", "namespace": namespace},
        "spec": {"databaseRef": {"name": "absent"}, "source": {"sql": sql}},
    }))
PY
}

without_status() {
	kube get migrations --namespace "$NS" --output 'jsonpath={range .items[*]}{.status.phase}{"\n"}{end}' | grep -c '^$' || true
}

all_have_status() { (($(without_status) == 0)); }

# The kubelet's figure for the container, of the last seconds.
resident() {
	local node
	node=$(kube get pods --namespace "$WESLEY_NAMESPACE" --selector app.kubernetes.io/name=wesley --output 'jsonpath={.items[0].spec.nodeName}')
	kube get --raw "/api/v1/nodes/$node/proxy/stats/summary" | python3 -c '
import json, sys
for pod in json.load(sys.stdin)["pods"]:
    if pod["podRef"]["namespace"] == sys.argv[1] and pod["podRef"]["name"].startswith("wesley-"):
        print(round(sum(container["memory"]["rssBytes"] for container in pod["containers"]) / 1e6, 1))
' "$WESLEY_NAMESPACE"
}

# Writes of Migrations that the API server has answered so far.
writes() {
	kube get --raw /metrics | python3 -c '
import re, sys
total = 0
for line in sys.stdin:
    if line.startswith("apiserver_request_total{") and "resource=\"migrations\"" in line:
        if re.search("verb=\"(APPLY|PATCH|PUT|POST)\"", line):
            total += int(float(line.rsplit(" ", 1)[1]))
print(total)
'
}

kube delete namespace "$NS" --ignore-not-found --wait >/dev/null
kube_namespace "$NS"
have=0
for count in "${counts[@]}"; do
	kube rollout restart --namespace "$WESLEY_NAMESPACE" deployment/wesley >/dev/null
	kube rollout status --namespace "$WESLEY_NAMESPACE" deployment/wesley --timeout=120s >/dev/null
	started=$SECONDS
	if ((count > have)); then
		manifests "$have" "$count" >"${TMPDIR:-/tmp}/wesley-bench.$$"
		progress "creating $((count - have)) Migrations" kube create -f "${TMPDIR:-/tmp}/wesley-bench.$$"
		rm -f "${TMPDIR:-/tmp}/wesley-bench.$$"
		have=$count
		wait_for "every Migration has a status" 600 all_have_status
	fi
	seconds=$((SECONDS - started))
	before=$(writes)
	progress "a minute at rest" sleep 60
	printf '{"migrations":%s,"residentMegabytes":%s,"secondsUntilStatus":%s,"writesInAMinuteAtRest":%s}\n' \
		"$count" "$(resident)" "$seconds" "$(($(writes) - before))"
done
