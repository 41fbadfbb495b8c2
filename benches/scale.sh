#!/usr/bin/env bash
# scale.sh BINARY [COUNT]...: the operator as a process beside a real API server (etcd and kube-apiserver of the embedded
# cluster) with that many Migrations and a tenth as many Databases (0, 1000, 10000 by default): its memory, the writes
# in a minute at rest, and the time from its start until it is ready. Prints a JSON object a line.
# Every Migration has SQL of its own and a status, and waits for another that does not exist: what counts is what is
# kept of it. Memory is that of the process; anonymous memory is what does not depend on how the binary was built.
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib/common.sh"
. "$E2E_DIR/lib/cluster.sh"

binary=${1:?usage: scale.sh BINARY [COUNT]...}
shift
counts=("$@")
((${#counts[@]})) || counts=(0 1000 10000)
NS=wesley-scale
PORT=18080
folder=$(mktemp -d)
operator=

"$E2E_DIR/up" >/dev/null
kube_use_context

stop_operator() {
	[[ -z $operator ]] || kill "$operator" 2>/dev/null || true
	[[ -z $operator ]] || wait "$operator" 2>/dev/null || true
	operator=
}
clean_up() {
	stop_operator
	kube delete namespace "$NS" --ignore-not-found --wait=false >/dev/null
	rm -rf "$folder"
}
trap clean_up EXIT

# manifests FROM TO: into files that several clients create at the same time.
manifests() {
	python3 - "$1" "$2" "$NS" "$folder" <<'PY'
import json, sys
first, last, namespace, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
files = [open(f"{folder}/part-{part}.json", "w") for part in range(4)]
def write(number, kind, name, spec):
    meta = {"name": name, "namespace": namespace}
    files[number % 4].write(json.dumps({"apiVersion": "wesley.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}) + "\n")
for number in range(first // 10, last // 10):
    text = lambda value: {"value": value}
    connection = {"host": text("db.example"), "dbname": text(f"shop{number}"), "user": text("owner"),
                  "password": {"secretKeyRef": {"name": f"shop-{number}", "key": "password"}}}
    write(number, "Database", f"shop-{number:04}", {"connection": connection})
for number in range(first, last):
    sql = "\n".join(f"alter table shop.table_{number} add column column_{n} text not null default '';" for n in range(12))
    write(number, "Migration", f"m-{number:05}", {
        "databaseRef": {"name": f"shop-{number // 10:04}"}, "source": {"sql": sql}, "dependsOn": [{"name": "absent"}]})
PY
}

create() {
	local part clients=()
	for part in "$folder"/part-*.json; do
		kube create -f "$part" >/dev/null &
		clients+=($!)
	done
	wait "${clients[@]}"
}

start_operator() {
	"$binary" controller --runner-image none --metrics-bind "127.0.0.1:$PORT" --log-level warn >>"$folder/log" 2>&1 &
	operator=$!
}

is_ready() { curl --silent --fail --max-time 2 "http://127.0.0.1:$PORT/readyz" >/dev/null; }

all_have_status() {
	sleep 4
	kube get --raw "/apis/wesley.dev/v1alpha1/namespaces/$NS/migrations?fieldSelector=status.phase%21%3DBlocked&limit=1" | grep -q '"items":\[\]'
}

memory() { awk -v what="$1:" '$1 == what { printf "%.1f", $2 / 1000 }' "/proc/$operator/status"; }

# Writes of objects of ours that the API server has answered so far.
writes() {
	kube get --raw /metrics | python3 -c '
import re, sys
ours = re.compile("resource=\"(migrations|databases|migrationplans|validationwindows)\"")
print(sum(int(float(line.rsplit(" ", 1)[1])) for line in sys.stdin
    if line.startswith("apiserver_request_total{") and ours.search(line) and re.search("verb=\"(APPLY|PATCH|PUT|POST)\"", line)))
'
}

kube delete namespace "$NS" --ignore-not-found --wait >/dev/null
"$binary" crd | kube apply --server-side --force-conflicts -f - >/dev/null
kube_namespace "$NS"
have=0
for count in "${counts[@]}"; do
	if ((count > have)); then
		manifests "$have" "$count"
		progress "creating $((count - have)) Migrations" create
		have=$count
	fi
	start_operator
	((count == 0)) || wait_for "every Migration has a status" 1800 all_have_status
	stop_operator
	# From here on everything is as it will stay: what is measured is a restart.
	begun=$(date +%s%N)
	start_operator
	until is_ready; do sleep 0.05; done
	ready=$((($(date +%s%N) - begun) / 1000000))
	progress "settling" sleep 20
	before=$(writes)
	progress "a minute at rest" sleep 60
	printf '{"migrations":%s,"databases":%s,"residentMegabytes":%s,"anonymousMegabytes":%s,"millisecondsUntilReady":%s,"writesInAMinuteAtRest":%s}\n' \
		"$count" "$((count / 10))" "$(memory VmRSS)" "$(memory RssAnon)" "$ready" "$(($(writes) - before))"
	stop_operator
done
