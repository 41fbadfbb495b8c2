# shellcheck shell=bash
# The pieces of e2e/demo: how it talks, the application's felt times, and what it compares.
# Sourced after kube.sh.

title() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
say() { printf '   %s\n' "$*"; }
show() {
	printf '\033[2m$ %s\033[0m\n' "$*"
	"$@" | sed 's/^/   /'
}

migration_field() { kube get migration --namespace "$NS" "$MIGRATION" -o "jsonpath={$1}"; }
phase() { migration_field .status.phase; }
plan_name() { migration_field .status.plan.name; }

condition_message() {
	kube get migration --namespace "$NS" "$MIGRATION" \
		-o "jsonpath={.status.conditions[?(@.type=='$1')].message}"
}

# phase_is NAME...: whether the Migration is in one of the phases.
phase_is() {
	local now name
	now=$(phase)
	for name in "$@"; do [[ $now == "$name" ]] && return 0; done
	return 1
}

# follow SECONDS PHASE...: prints every change of phase, message and rows until one of the phases is reached.
follow() {
	local limit=$1 start line last="" now
	shift
	start=$SECONDS
	while true; do
		now=$(phase)
		line="$now  $(condition_message Ready)  $(backfill_progress)"
		if [[ $line != "$last" ]]; then
			say "[$(date +%H:%M:%S)] $line"
			last=$line
		fi
		for name in "$@"; do [[ $now == "$name" ]] && return 0; done
		[[ $now != Failed ]] || demo_failed "the Migration failed: $(condition_message Ready)"
		((SECONDS - start < limit)) || demo_failed "the Migration did not reach $* within $limit s"
		sleep 0.5
	done
}

# Rows of the running backfill, from the plan's status.
backfill_progress() {
	local plan
	plan=$(plan_name)
	[[ -n $plan ]] || return 0
	kube get migrationplan --namespace "$NS" "$plan" -o json 2>/dev/null | python3 -c '
import json, os, sys
pace = sys.argv[1]
plan = json.load(sys.stdin)
status = plan.get("status") or {}
for step in status.get("steps") or []:
    if step.get("state") == "Running":
        done, total = step.get("rowsDone") or 0, step.get("rowsTotal") or 0
        text = step["id"]
        if total:
            text += f" {done:,}/{total:,} rows ({min(100 * done // total, 100)} %)"
            elapsed = step.get("elapsedMilliseconds") or 0
            # Rows of a runner before this one took none of its time.
            first = json.load(open(pace)) if os.path.exists(pace) else None
            if not first or first[0] != step["id"] or elapsed < first[3]:
                first = [step["id"], done, elapsed, elapsed]
            json.dump(first[:3] + [elapsed], open(pace, "w"))
            if done > first[1] and elapsed - first[2] > 2000:
                text += f", about {max(total - done, 0) * (elapsed - first[2]) // (done - first[1]) // 1000} s left"
        print(text)
        break
' "$WORK/pace"
}

# The plan as people read it.
print_plan() {
	kube get migrationplan --namespace "$NS" "$1" -o json | python3 "$E2E_DIR/lib/show_plan.py" | sed 's/^/   /'
}

demo_failed() {
	printf '\nFAILED: %s\n' "$1" >&2
	FAILED=1
	exit 1
}

# --- the application --------------------------------------------------------------------------------

# load_start PROGRAM URL FILE RATE
load_start() {
	"$1" "$2" "$3" 4 "$4" >"$3.summary" 2>"$3.errors" &
	LOAD_PID=$!
}

load_stop() {
	[[ -n ${LOAD_PID:-} ]] || return 0
	kill -TERM "$LOAD_PID" 2>/dev/null || true
	wait "$LOAD_PID" || true
	LOAD_PID=
}

# felt FILE FROM TO: statements, failed, longest stall in ms between two points in time (seconds of the epoch).
felt() {
	awk -v from="$2" -v to="$3" \
		'$1 >= from && $1 < to { statements += $2; failed += $3; if ($4 > longest) longest = $4; seconds++ }
		END { printf "%d %d %d %d\n", statements, failed, longest, seconds }' "$1"
}

# --- before and after ---------------------------------------------------------------------------------

# The schema without the ledger, as pg_dump prints it; keys that differ from dump to dump are left out.
shop_schema() {
	"$PG_TOOLS/pg_dump" --schema-only --exclude-schema=wesley "$URL" | grep -v '^\\\(un\)\?restrict'
}

# A fingerprint of what the application does not change: the orders that were there at the start.
shop_data() {
	kube_psql "$NS" shop-db -At -c "
		select count(*), md5(string_agg(md5(row(id, number, customer_id, total_cents, created_at)::text), '' order by id))
		from shop.orders where id <= 1000000
		union all
		select count(*), md5(string_agg(md5(row(c.*)::text), '' order by id)) from shop.customers c"
}

# kill_runner: SIGKILL to the runner that works now; a force-deleted pod where the nodes are out of reach.
kill_runner() {
	local pod
	pod=$(kube get pods --namespace "$NS" --selector batch.kubernetes.io/job-name \
		--field-selector status.phase=Running --output 'jsonpath={.items[0].metadata.name}')
	if is_foreign; then
		kube delete pod --namespace "$NS" "$pod" --grace-period=0 --force >/dev/null 2>&1
	else
		"$E2E_DIR/fault" kill "$NS" "$pod"
	fi
}
