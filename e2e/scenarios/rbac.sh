#!/usr/bin/env bash
# What the accounts may do, asked of the real API server: the operator nothing on Secrets, the approver no
# more than approve, the application team nothing of the platform team's, nobody anything in a namespace of others.
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
. "$E2E_DIR/lib/cluster.sh"

NS=wesley-rbac
failed=0

# expect yes|no ACCOUNT VERB RESOURCE[/SUBRESOURCE] [NAMESPACE]
expect() {
	local answer part='' where=(--namespace "${5:-$NS}")
	# To can-i, what stands behind a slash is a name.
	[[ $4 != */* ]] || part=${4#*/}
	answer=$(kube auth can-i "$3" "${4%%/*}" --subresource="$part" --as "$2" "${where[@]}" 2>/dev/null || true)
	[[ $answer == "$1" ]] && return
	printf 'expected %s, got %s: may %s %s %s in %s?\n' "$1" "${answer:-nothing}" "$2" "$3" "$4" "${5:-$NS}" >&2
	failed=1
}

# expect_role yes|no CLUSTERROLE VERB RESOURCE: for somebody bound to the role in the namespace.
expect_role() { expect "$1" "$2-user" "$3" "$4"; }

kube_namespace "$NS"
trap 'kube delete namespace "$NS" --wait=false >/dev/null' EXIT
for role in view edit platform approver; do
	kube create rolebinding "$role" --namespace "$NS" --clusterrole "$WESLEY_RELEASE-$role" --user "$role-user" \
		--dry-run=client -o yaml | kube apply -f - >/dev/null
done

operator=system:serviceaccount:$WESLEY_NAMESPACE:wesley
for verb in get list watch create update patch delete deletecollection; do
	expect no "$operator" "$verb" secrets
	expect no "$operator" "$verb" secrets "$WESLEY_NAMESPACE"
	expect no "$operator" "$verb" secrets kube-system
done
for verb in create update patch delete; do expect no "$operator" "$verb" databases.wesley.dev; done
expect yes "$operator" create jobs.batch
expect no "$operator" create pods
expect no "$operator" get pods/log
expect no "$operator" create pods/exec

expect_role yes view get migrations.wesley.dev
expect_role no view create migrations.wesley.dev
expect_role yes edit create migrations.wesley.dev
expect_role no edit patch databases.wesley.dev
expect_role no edit patch migrationplans.wesley.dev/status
expect_role no edit patch migrations.wesley.dev/status
expect_role no edit create validationwindows.wesley.dev
expect_role yes platform patch databases.wesley.dev
expect_role yes platform create validationwindows.wesley.dev
expect_role no platform patch migrationplans.wesley.dev/status
expect_role yes approver patch migrationplans.wesley.dev/status
expect_role no approver patch migrations.wesley.dev
expect_role no approver create migrationplans.wesley.dev
expect_role no approver patch migrationplans.wesley.dev

for role in view edit platform approver; do
	expect no "$role-user" get migrations.wesley.dev default
	expect no "$role-user" create migrations.wesley.dev default
	expect no "$role-user" patch migrationplans.wesley.dev/status default
done

((failed == 0)) || die "the rights are not as they should be"
