#!/usr/bin/env bash
# The chart and the kustomize base give the same objects; no rule of the chart names Secrets; the samples are
# accepted by the API server as they stand.
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
. "$E2E_DIR/lib/cluster.sh"

NS=wesley-samples

WESLEY_HELM=$E2E_DIR/helm "$REPO_DIR/config/generate" --check
kube kustomize --load-restrictor LoadRestrictionsNone "$REPO_DIR/config/base" | kube apply --dry-run=server -f - >/dev/null

for values in "crds.install=true" "watchNamespaces={a,b}" "metrics.serviceMonitor=true,networkPolicy.enabled=true"; do
	if helm template wesley "$REPO_DIR/charts/wesley" --kube-version 1.34.0 --set "$values" |
		kube create --dry-run=client --validate=false -o json -f - |
		python3 -c '
import json, sys
decoder, text, at = json.JSONDecoder(), sys.stdin.read(), 0
while text[at:].strip():
    at += len(text[at:]) - len(text[at:].lstrip())
    document, at = decoder.raw_decode(text, at)
    for item in document.get("items", [document]):
        for rule in item.get("rules", []):
            if {"secrets", "*"} & set(rule.get("resources", [])) or "*" in rule.get("verbs", []):
                sys.exit(0)
sys.exit(1)
'; then
		die "the chart with $values has a rule on Secrets or a wildcard"
	fi
done
if helm template wesley "$REPO_DIR/charts/wesley" --kube-version 1.34.0 --set nonsense=1 >/dev/null 2>&1; then
	die "the chart takes values that it does not know"
fi

kube_namespace "$NS"
trap 'kube delete namespace "$NS" --wait=false >/dev/null' EXIT
kube kustomize "$REPO_DIR/config/samples" | kube apply --namespace "$NS" --dry-run=server -f - >/dev/null
