#!/usr/bin/env bash
# With --context NAME only that context is touched, whatever the kubeconfig's current one is. The cluster of this
# run stands in for a foreign one; the current context of the kubeconfig is a decoy that nothing may call.
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
. "$E2E_DIR/lib/cluster.sh"

work=$(mktemp -d)
trap 'kill "$decoy" 2>/dev/null || true; rm -rf "$work" "$STATE_DIR"/kubeconfig-of-elsewhere' EXIT

# A server that writes down every connection it gets.
python3 - "$work" <<'PYTHON' &
import socket, sys, pathlib
work = pathlib.Path(sys.argv[1])
server = socket.create_server(("127.0.0.1", 0))
(work / "port.new").write_text(str(server.getsockname()[1]))
(work / "port.new").rename(work / "port")
while True:
    connection, _ = server.accept()
    with (work / "called").open("a") as log:
        log.write(repr(connection.recv(200)) + "\n")
    connection.close()
PYTHON
decoy=$!
wait_for "the decoy listens" 10 test -e "$work/port"

kube_use_context
cp "$KUBECONFIG" "$work/kubeconfig"
export KUBECONFIG=$work/kubeconfig
kubectl=$(program kubectl)
chosen=$("$kubectl" config current-context)
"$kubectl" config rename-context "$chosen" elsewhere >/dev/null
"$kubectl" config set-cluster decoy --server="http://127.0.0.1:$(cat "$work/port")" >/dev/null
"$kubectl" config set-context decoy --cluster=decoy >/dev/null
"$kubectl" config use-context decoy >/dev/null
unset KUBE_CONTEXT

# The decoy works as one: a call without a context reaches it.
"$kubectl" --request-timeout=5s get --raw /version >/dev/null 2>&1 || true
[[ -s $work/called ]] || die "the decoy did not notice a call"
rm "$work/called"

take_context --context elsewhere
[[ ${#ARGUMENTS[@]} == 0 ]] || die "arguments are left: ${ARGUMENTS[*]}"
namespace=foreign-$RANDOM
kube_namespace "$namespace"
helm list --namespace "$namespace" >/dev/null
"$E2E_DIR/kubectl" --namespace "$namespace" create configmap proof --from-literal=a=b >/dev/null
[[ $(kube get configmap proof --namespace "$namespace" -o 'jsonpath={.data.a}') == b ]] || die "the named context was not used"
kube_use_context
[[ $("$kubectl" config get-contexts -o name) == elsewhere ]] || die "KUBECONFIG holds more than the named context"
kube delete namespace "$namespace" --wait=false >/dev/null
[[ ! -e $work/called ]] || die "the current context of the kubeconfig was called:" "$(cat "$work/called")"

# A context that does not exist is refused with the names of those that do.
export KUBECONFIG=$work/kubeconfig
if message=$(KUBE_CONTEXT=nowhere kube_use_context 2>&1); then die "an unknown context was accepted"; fi
[[ $message == *"no context 'nowhere'"*elsewhere* ]] || die "unhelpful message: $message"
