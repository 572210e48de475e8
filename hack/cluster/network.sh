# The local cluster's addresses. They stay off the machine's real interfaces: the node's address lies on
# a veth pair that leads nowhere, the services' and pods' ranges are routed to it (a pod's own route is
# narrower and wins), and the filters let nothing in or out between them and other networks.
# shellcheck shell=bash
LINK=orderd0
PEER=orderd1

network_up() {
  local range
  if ! ip link show "$LINK" >/dev/null 2>&1; then
    for range in "$NODE_IP/32" "$POD_CIDR" "$SERVICE_CIDR"; do
      [ -z "$(ip -4 route show root "$range")" ] ||
        die "the range $range is in use on this machine: $(ip -4 route show root "$range" | head -1)"
    done
    ip link add "$LINK" type veth peer name "$PEER"
  fi
  ip address replace "$NODE_IP/32" dev "$LINK"
  ip link set "$LINK" up
  ip link set "$PEER" up
  for range in "$SERVICE_CIDR" "$POD_CIDR"; do
    ip route replace "$range" dev "$LINK" src "$NODE_IP"
  done
  [ -e "$RUN/ip_forward" ] || cat /proc/sys/net/ipv4/ip_forward >"$RUN/ip_forward"
  echo 1 >/proc/sys/net/ipv4/ip_forward
  filters_up
}

# Pods' packets stay among pods, services and the node, and nobody else's reach them.
filters_up() {
  iptables -w -n -L ORDERD-FORWARD >/dev/null 2>&1 && return 0
  iptables-restore -w --noflush <<END
*filter
:ORDERD-FORWARD - [0:0]
:ORDERD-INPUT - [0:0]
-A ORDERD-FORWARD -s $POD_CIDR -d $POD_CIDR -j ACCEPT
-A ORDERD-FORWARD -s $POD_CIDR -j REJECT
-A ORDERD-FORWARD -d $POD_CIDR -j REJECT
-A ORDERD-FORWARD -i $PEER -j DROP
-A ORDERD-INPUT -s $POD_CIDR -j RETURN
-A ORDERD-INPUT -i lo -j RETURN
-A ORDERD-INPUT -j DROP
-I FORWARD -j ORDERD-FORWARD
-I INPUT -d $NODE_IP/32 -j ORDERD-INPUT
COMMIT
END
}

network_down() {
  local tool table rules
  ip link delete "$LINK" 2>/dev/null || true
  # The chains are ours, kube-proxy's, the kubelet's and the port mapper's; other rules stay as they are.
  for tool in iptables ip6tables; do
    for table in filter nat mangle; do
      rules=$("$tool-save" -t "$table" 2>/dev/null) || continue
      grep -qE 'ORDERD-|KUBE-|CNI-' <<<"$rules" || continue
      grep -vE 'ORDERD-|KUBE-|CNI-' <<<"$rules" | "$tool-restore" -w -T "$table" ||
        say "warning: $tool rules of the table $table were left"
    done
  done
  if [ -e "$RUN/ip_forward" ]; then
    cat "$RUN/ip_forward" >/proc/sys/net/ipv4/ip_forward
    rm -f "$RUN/ip_forward"
  fi
}
