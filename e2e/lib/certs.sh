# shellcheck shell=bash
# Certificates and kubeconfigs of the embedded cluster: one authority, made anew by every `up`.
# Sourced after network.sh.

PKI=$CLUSTER_STATE/pki
KUBECONFIGS=$CLUSTER_STATE/kubeconfig
CLUSTER_CONTEXT=wesley-embedded
CLUSTER_KUBECONFIG=$STATE_DIR/kubeconfig

certs_make() {
	mkdir -p "$PKI" "$KUBECONFIGS"
	chmod 700 "$PKI" "$KUBECONFIGS"
	new_key "$PKI/ca.key"
	openssl req -x509 -new -key "$PKI/ca.key" -subj "/CN=$CLUSTER_CONTEXT" -days 3650 -out "$PKI/ca.crt" \
		-addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"
	openssl genrsa -out "$PKI/service-account.key" 2048
	openssl rsa -in "$PKI/service-account.key" -pubout -out "$PKI/service-account.pub"

	certificate kube-apiserver "/CN=kube-apiserver" \
		"DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:$NODE_IP,IP:$API_SERVICE_IP,IP:127.0.0.1"
	certificate kubelet-server "/O=system:nodes/CN=system:node:node0" "DNS:node0,IP:$NODE_IP"
	certificate kubelet-client "/O=system:masters/CN=kube-apiserver-kubelet-client"
	client admin "/O=system:masters/CN=admin"
	client kube-controller-manager "/CN=system:kube-controller-manager"
	client kube-scheduler "/CN=system:kube-scheduler"
	client kube-proxy "/CN=system:kube-proxy"
	client kubelet "/O=system:nodes/CN=system:node:node0"
	client coredns "/O=system:masters/CN=coredns"
	install -m 600 "$KUBECONFIGS/admin" "$CLUSTER_KUBECONFIG"
}

new_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }

# certificate NAME SUBJECT [ALTERNATIVE NAMES]
certificate() {
	new_key "$PKI/$1.key"
	openssl req -new -key "$PKI/$1.key" -subj "$2" -out "$PKI/$1.csr"
	openssl x509 -req -in "$PKI/$1.csr" -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -CAcreateserial -days 3650 \
		-out "$PKI/$1.crt" -extfile <(
			echo "keyUsage=critical,digitalSignature"
			echo "extendedKeyUsage=serverAuth,clientAuth"
			if [[ -n ${3:-} ]]; then echo "subjectAltName=$3"; fi
		)
}

# client NAME SUBJECT: certificate and kubeconfig
client() {
	certificate "$1" "$2"
	cat >"$KUBECONFIGS/$1" <<-YAML
		apiVersion: v1
		kind: Config
		current-context: $CLUSTER_CONTEXT
		clusters:
		- name: $CLUSTER_CONTEXT
		  cluster:
		    server: https://$NODE_IP:6443
		    certificate-authority-data: $(base64 -w0 "$PKI/ca.crt")
		users:
		- name: $1
		  user:
		    client-certificate-data: $(base64 -w0 "$PKI/$1.crt")
		    client-key-data: $(base64 -w0 "$PKI/$1.key")
		contexts:
		- name: $CLUSTER_CONTEXT
		  context: {cluster: $CLUSTER_CONTEXT, user: $1}
	YAML
}
