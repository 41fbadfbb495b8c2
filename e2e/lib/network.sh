# shellcheck shell=bash
# The network namespace of the embedded cluster. Nothing in it touches the host's ports, routes or
# firewall, and nothing leaves it: the host end is not a router. Sourced after common.sh.

NETNS=wesley
NETNS_FILE=/run/netns/$NETNS
HOST_LINK=wesley-host
HOST_IP=10.250.0.254
NODE_IP=10.250.0.1
POD_CIDR=10.244.0.0/16
NODE_POD_CIDR=10.244.0.0/24
SERVICE_CIDR=10.96.0.0/16
API_SERVICE_IP=10.96.0.1

network_up() {
	local taken
	for taken in "$POD_CIDR" "$SERVICE_CIDR" "${NODE_IP%.*}.0/24"; do
		[[ -z $(ip -4 route show root "$taken") && -z $(ip -4 route show match "${taken%/*}" | grep -v '^default' || true) ]] ||
			die "the addresses $taken are in use on this machine" "$(ip -4 route show match "${taken%/*}")"
	done
	# The first namespace of a machine turns this folder into a mount, which is then ours to undo.
	mountpoint -q "${NETNS_FILE%/*}" || touch "$CLUSTER_STATE/made-netns-mount"
	ip netns add "$NETNS"
	ip link add "$HOST_LINK" type veth peer name node0 netns "$NETNS"
	ip addr add "$HOST_IP/24" dev "$HOST_LINK"
	ip link set "$HOST_LINK" up
	ip -n "$NETNS" addr add "$NODE_IP/24" dev node0
	ip -n "$NETNS" link set lo up
	ip -n "$NETNS" link set node0 up
	ip -n "$NETNS" route add default via "$HOST_IP"
	in_netns sysctl -qw net.ipv4.ip_forward=1
	# Tests on the host reach pods and services through the node.
	ip route add "$POD_CIDR" via "$NODE_IP" dev "$HOST_LINK"
	ip route add "$SERVICE_CIDR" via "$NODE_IP" dev "$HOST_LINK"
}

# Routes go with the link, firewall rules with the namespace.
network_down() {
	if ip link show "$HOST_LINK" >/dev/null 2>&1; then ip link delete "$HOST_LINK"; fi
	if [[ -e $NETNS_FILE ]]; then ip netns delete "$NETNS"; fi
	if [[ -e $CLUSTER_STATE/made-netns-mount && -z $(ls -A "${NETNS_FILE%/*}") ]]; then
		umount "${NETNS_FILE%/*}"
		rmdir "${NETNS_FILE%/*}"
	fi
}

# Not `ip netns exec`: that mounts a fresh /sys, which hides the control groups from the kubelet.
in_netns() { nsenter --net="$NETNS_FILE" -- "$@"; }
