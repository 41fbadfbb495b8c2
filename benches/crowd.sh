#!/usr/bin/env bash
# crowd.sh [--context NAME] [MIGRATIONS] [DATABASES]: that many Migrations applied at once (200), spread over that many
# databases (20) of one real PostgreSQL 18: how long until all have succeeded, the most Jobs at work at a time, in all
# and on one database; fails unless every database has in the end what was asked for. Prints a JSON object.
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib/common.sh"
. "$E2E_DIR/lib/cluster.sh"

take_context "$@"
migrations=${ARGUMENTS[0]:-200}
databases=${ARGUMENTS[1]:-20}
NS=wesley-crowd
folder=$(mktemp -d)

is_foreign || "$E2E_DIR/up" >/dev/null
kube_use_context
image_product
image_postgres 18
progress "installing the chart" product_install
clean_up() {
	kube delete namespace "$NS" --ignore-not-found --wait=false >/dev/null
	rm -rf "$folder"
}
trap clean_up EXIT

manifests() {
	python3 - "$migrations" "$databases" <<'PY'
import json, sys
migrations, databases = int(sys.argv[1]), int(sys.argv[2])
text = lambda value: {"value": value}
def write(kind, name, spec):
    print(json.dumps({"apiVersion": "wesley.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}))
for number in range(databases):
    connection = {"host": text("crowd-db"), "dbname": text(f"crowd{number}"), "user": text("postgres"),
                  "password": {"secretKeyRef": {"name": "crowd-db", "key": "password"}}}
    write("Database", f"crowd-{number:03}", {"connection": connection, "tls": {"mode": "Disable"}})
for number in range(migrations):
    sql = f"create table part_{number} (id bigint primary key); create index on shared (a, b) where a > {number};"
    write("Migration", f"m-{number:04}", {"databaseRef": {"name": f"crowd-{number % databases:03}"}, "source": {"sql": sql}})
PY
}

# Pods of Jobs that have not ended, one database a line.
at_work() {
	kube get pods --namespace "$NS" --selector wesley.dev/database --output json | python3 -c '
import json, sys
for pod in json.load(sys.stdin)["items"]:
    if pod["status"]["phase"] in ("Pending", "Running"):
        print(pod["metadata"]["labels"]["wesley.dev/database"])'
}

phases() { kube get migrations --namespace "$NS" --output 'jsonpath={range .items[*]}{.status.phase}{"\n"}{end}' | sort | uniq -c; }

kube delete namespace "$NS" --ignore-not-found --wait >/dev/null
kube_namespace "$NS"
kube_postgres "$NS" crowd-db 18
for ((number = 0; number < databases; number++)); do
	kube_psql "$NS" crowd-db -c "create database crowd$number"
	kube_psql "$NS" crowd-db -d "crowd$number" -c "create table shared (a int, b int)"
done
manifests >"$folder/all.json"
begun=$SECONDS
progress "applying $migrations Migrations" kube create --namespace "$NS" -f "$folder/all.json" >/dev/null
most=0 most_on_one=0 shown=$SECONDS
while true; do
	at_work >"$folder/now"
	now=$(wc -l <"$folder/now")
	on_one=$(sort "$folder/now" | uniq -c | sort -rn | awk 'NR == 1 { print $1 }')
	((now <= most)) || most=$now
	((${on_one:-0} <= most_on_one)) || most_on_one=$on_one
	phases >"$folder/phases"
	if (($(awk '$2 == "Succeeded" { print $1 }' "$folder/phases") + 0 == migrations)); then break; fi
	if ((SECONDS - shown >= 30)); then
		log "$(tr -s ' \n' ' ' <"$folder/phases")"
		shown=$SECONDS
	fi
	((SECONDS - begun < 3600)) || die "not all have succeeded within an hour" "$(cat "$folder/phases")"
	sleep 1
done
seconds=$((SECONDS - begun))
for ((number = 0; number < databases; number++)); do
	made=$(kube_psql "$NS" crowd-db -d "crowd$number" -At -c "select count(*) filter (where relname like 'part\_%' and relkind = 'r'),
		count(*) filter (where relname like 'shared\_%' and relkind = 'i') from pg_class where relnamespace = 'public'::regnamespace")
	wanted=$(((migrations - number + databases - 1) / databases))
	[[ $made == "$wanted|$wanted" ]] || die "database crowd$number has $made tables and indexes instead of $wanted each"
done
printf '{"migrations":%s,"databases":%s,"seconds":%s,"mostJobsAtWork":%s,"mostOnOneDatabase":%s}\n' \
	"$migrations" "$databases" "$seconds" "$most" "$most_on_one"
