#!/usr/bin/env bash
# side_by_side.sh [ROWS]: the same changes on PostgreSQL 18 as plain SQL, with Reshape (built from the crate registry) and
# with this program, each beside an application and each killed half-way once. Prints a JSON object a run, which
# side_by_side_chart.py makes a table and a chart of.
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib/common.sh"
. "$E2E_DIR/lib/rust.sh"

need_rust
need_cargo_tool reshape 0.11.2
# shellcheck source=/dev/null
. "$("$E2E_DIR/postgres/install")"
"$E2E_DIR/postgres/start" 18 >/dev/null
cd "$E2E_DIR/.."
WESLEY_BENCH_URL="postgres://$WESLEY_PG_USER:$WESLEY_PG_PASSWORD@127.0.0.1:$((WESLEY_PG_PORT_BASE + 18))/postgres" \
	cargo bench --locked --quiet --bench side_by_side -- "${1:-500000}"
