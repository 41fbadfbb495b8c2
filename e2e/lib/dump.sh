#!/usr/bin/env bash
# dump.sh [--context NAME]: prints the state of the product in the cluster: resources, jobs, pods, events, logs.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$E2E_DIR/lib/cluster.sh"

take_context "$@"
product_dump
