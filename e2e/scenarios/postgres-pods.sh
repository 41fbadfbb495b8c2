#!/usr/bin/env bash
# PostgreSQL 14 and 18 in pods under the restricted profile answer through Service and DNS name, from another pod
# and from themselves, and keep their data when the server is killed.
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
. "$E2E_DIR/lib/cluster.sh"

namespace=postgres-pods-$RANDOM
trap 'kube delete namespace "$namespace" --ignore-not-found --wait=false >/dev/null' EXIT

# asks FROM TO: the pod of FROM asks the Service of TO for its major version.
asks() {
	# shellcheck disable=SC2016 # the pod's shell expands it
	kube exec --namespace "$namespace" "$1-0" -- sh -c 'PGPASSWORD=$POSTGRES_PASSWORD PGCONNECT_TIMEOUT=3 psql -XAtq -U postgres -h "$1" \
		-c "show server_version_num"' sh "$2" | cut -c1-2
}
answers() { [[ $(asks "$1" "$2") == "$3" ]]; }

kube_namespace "$namespace"
for major in 14 18; do
	image_postgres "$major"
	kube_postgres "$namespace" "pg$major" "$major" &
done
wait
wait_for "18 answers to 14 by its Service" 20 answers pg14 pg18 18
wait_for "18 answers to 14 by its full name" 20 answers pg14 "pg18.$namespace.svc.cluster.local" 18
wait_for "14 answers to itself by its Service" 20 answers pg14 pg14 14

kube_psql "$namespace" pg18 -c 'create table kept (a int)' -c 'insert into kept values (1)'
restarts() { [[ $(kube get pod pg18-0 --namespace "$namespace" -o 'jsonpath={.status.containerStatuses[0].restartCount}') == 1 ]]; }
# Process 1 of a container cannot be killed from inside; one of its children dying makes the server start anew.
kube exec --namespace "$namespace" pg18-0 -- sh -c 'kill -QUIT 1'
wait_for "the container has restarted" 60 restarts
data_is_there() { [[ $(kube_psql "$namespace" pg18 -At -c 'select count(*) from kept') == 1 ]]; }
wait_for "the data is there again" 60 data_is_there
