#!/usr/bin/env bash
# The chart and the kustomize base give the same objects; no rule of the chart names Secrets; the samples are
# accepted by the API server as they stand.
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
. "$E2E_DIR/lib/cluster.sh"

NS=wesley-samples

WESLEY_HELM=$E2E_DIR/helm "$REPO_DIR/config/generate" --check
kube kustomize --load-restrictor LoadRestrictionsNone "$REPO_DIR/config/base" |
	kube apply --server-side --force-conflicts --dry-run=server -f - >/dev/null

# rules_of VALUES: every rule of every role of the rendered chart, as JSON.
rules_of() {
	helm template wesley "$REPO_DIR/charts/wesley" --kube-version 1.34.0 --set "$1" |
		kube create --dry-run=client --validate=false --output 'jsonpath={.rules}{"\n"}' -f -
}

for values in "crds.install=true" "watchNamespaces={a,b}" "networkPolicy.enabled=true"; do
	rules=$(rules_of "$values")
	[[ $rules == *'"jobs"'* ]] || die "the chart with $values has no rules at all"
	[[ $rules != *'"secrets"'* ]] || die "the chart with $values has a rule on Secrets"
	[[ $rules != *'"*"'* ]] || die "the chart with $values has a wildcard in a rule"
done
if helm template wesley "$REPO_DIR/charts/wesley" --kube-version 1.34.0 --set nonsense=1 >/dev/null 2>&1; then
	die "the chart takes values that it does not know"
fi

kube_namespace "$NS"
trap 'kube delete namespace "$NS" --wait=false >/dev/null' EXIT
kube kustomize "$REPO_DIR/config/samples" | kube apply --server-side --namespace "$NS" --dry-run=server -f - >/dev/null
