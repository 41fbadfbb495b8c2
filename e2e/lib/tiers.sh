# shellcheck shell=bash
# The tiers of tests, one function each. Sourced after cluster.sh; used by e2e/test.

# test_targets PREFIX: names of the integration tests (tests/PREFIX*.rs, tests/PREFIX*/main.rs).
test_targets() {
	find "$REPO_DIR/tests" -maxdepth 2 \( -path "$REPO_DIR/tests/$1*.rs" -o -path "$REPO_DIR/tests/$1*/main.rs" \) 2>/dev/null |
		sed -E "s|^$REPO_DIR/tests/||; s|/main\.rs$||; s|\.rs$||" | grep -v / | sort
}

# cargo_test ARGUMENT...: output is shown as it comes.
cargo_test() { cargo test --locked --manifest-path "$REPO_DIR/Cargo.toml" "$@"; }

# cargo_test_twice ARGUMENT...: a test that fails among others runs once more, alone, and only the second failure
# counts: these tests share two processors with servers and a cluster. Both are shown, and what passed only then
# is named.
cargo_test_twice() {
	local out failed
	out=$(mktemp)
	if cargo_test --no-fail-fast "$@" 2>&1 | tee "$out"; then
		rm -f "$out"
		return 0
	fi
	# Names stand alone, indented, below the last `failures:` of each target.
	mapfile -t failed < <(sed -nE 's/^    ([A-Za-z0-9_]+(::[A-Za-z0-9_]+)*)$/\1/p' "$out" | sort -u)
	rm -f "$out"
	((${#failed[@]})) || return 1
	log "once more, alone: ${failed[*]}"
	RUST_TEST_THREADS=1 cargo_test --no-fail-fast "$@" -- --exact "${failed[@]}" || return 1
	warn "passed only when run alone: ${failed[*]}"
}

tier_unit() {
	local name targets=(--lib --bins)
	need_rust
	cd "$REPO_DIR" || return
	log "format"
	cargo fmt --check
	log "lints"
	cargo clippy --all-targets --locked -- -D warnings
	if type -P shellcheck >/dev/null; then
		log "shell scripts"
		find "$E2E_DIR" .ci -type f \( -name '*.sh' -o -perm -100 \) -not -path '*/node_modules/*' -exec \
			grep -lE '^#!.*(bash|/sh)$|shellcheck shell=' {} + | xargs shellcheck
	fi
	for name in $(test_targets "" | grep -vE '^(postgres|cluster)'); do targets+=(--test "$name"); done
	log "licences, duplicate versions, unused dependencies"
	need_cargo_tool cargo-deny 0.20.2
	need_cargo_tool cargo-machete 0.9.2
	cargo deny --offline check licenses bans sources
	cargo machete
	log "tests"
	cargo_test "${targets[@]}"
}

tier_postgres() {
	local name targets=()
	need_rust
	for name in $(test_targets postgres); do targets+=(--test "$name"); done
	((${#targets[@]})) || die "there is no tests/postgres*.rs"
	command -v openssl >/dev/null || need_apt openssl
	"$E2E_DIR/postgres/start" >/dev/null
	# shellcheck disable=SC1091
	. "$PG_HOME/env"
	export WESLEY_TEST_MAJORS=${WESLEY_TEST_MAJORS:-14,15,16,17,18}
	cargo_test_twice "${targets[@]}"
}

tier_cluster() {
	local name targets=() scenarios=() failed=0 script
	need_rust
	for name in $(test_targets cluster); do
		# Faults are for a cluster that is ours to break.
		if is_foreign && [[ $name == cluster_faults ]]; then continue; fi
		targets+=(--test "$name")
	done
	for script in "$E2E_DIR"/scenarios/*.sh; do [[ ! -e $script ]] || scenarios+=("$script"); done
	((${#targets[@]} + ${#scenarios[@]})) || die "there is neither tests/cluster*.rs nor e2e/scenarios/*.sh"
	if ! is_foreign; then "$E2E_DIR/up" >/dev/null; fi
	kube_use_context
	image_product
	for name in 14 18; do image_postgres "$name"; done
	# A dead leader is followed sooner than by default: nobody learns anything while that is waited for.
	if ! progress "installing the chart" product_install --set leaderElection.leaseSeconds=4; then
		product_dump
		return 1
	fi
	export WESLEY_TEST_CONTEXT=${KUBE_CONTEXT:-$CLUSTER_CONTEXT} WESLEY_TEST_IMAGE=$WESLEY_TAG WESLEY_NAMESPACE
	export WESLEY_TEST_POSTGRES_IMAGE=$POSTGRES_REPOSITORY WESLEY_KUBECTL=$E2E_DIR/kubectl WESLEY_HELM=$E2E_DIR/helm
	if ((${#targets[@]})); then
		build_tests "${targets[@]}"
		remove_test_namespaces true
		# Tests of a target wait for the cluster most of the time, so more of them run than there are processors.
		RUST_TEST_THREADS=${WESLEY_TEST_THREADS:-8} cargo_test_twice "${targets[@]}" || failed=1
	fi
	for script in "${scenarios[@]}"; do
		log "scenario $(basename "$script" .sh)"
		if "$script"; then
			log "scenario $(basename "$script" .sh): passed"
		else
			failed=1
			log "scenario $(basename "$script" .sh): FAILED"
		fi
	done
	if ((failed)); then product_dump; fi
	remove_test_namespaces false
	return "$failed"
}

# remove_test_namespaces true|false: what failed or killed tests left; whether to wait until it is gone.
remove_test_namespaces() {
	kube delete namespace --selector wesley.dev/test=true --ignore-not-found --wait="$1" --timeout=120s >/dev/null
}

build_tests() { progress "building the tests" cargo_test --no-run "$@"; }
