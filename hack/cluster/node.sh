# The local node's configuration files and processes.
# shellcheck shell=bash

# Image references of the node itself: PAUSE_IMAGE, COREDNS_IMAGE.
write_containerd_config() {
  cat >"$STATE/containerd.toml" <<END
version = 3
root = "$STATE/containerd"
state = "$RUN/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs", "io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp"]

[grpc]
  address = "$SOCKET"

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "docker.io/library/$PAUSE_IMAGE"

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true

[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["$BIN/node/cni"]
  conf_dir = "$STATE/cni"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  Root = "$RUN/runc"
  SystemdCgroup = false
END
}

# Point to point rather than a bridge: every packet between pods passes the node's IP layer, so that
# services work without the bridge's netfilter module.
write_cni_config() {
  mkdir -p "$STATE/cni"
  cat >"$STATE/cni/10-orderd.conflist" <<END
{
  "cniVersion": "1.0.0",
  "name": "orderd",
  "plugins": [
    {
      "type": "ptp",
      "ipam": {"type": "host-local", "dataDir": "$RUN/cni", "ranges": [[{"subnet": "$POD_CIDR"}]], "routes": [{"dst": "0.0.0.0/0"}]}
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
END
}

# The disk's fill level removes no image and evicts no pod here: images cannot be pulled again. A container
# that is killed comes back within seconds however often: whoever tries orderd here kills many.
write_kubelet_config() {
  printf 'nameserver %s\n' "$DNS_IP" >"$STATE/resolv.conf"
  cat >"$STATE/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $NODE_IP
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $STATE/pki/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: $STATE/pki/kubelet-server.crt
tlsPrivateKeyFile: $STATE/pki/kubelet-server.key
containerRuntimeEndpoint: unix://$SOCKET
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
localStorageCapacityIsolation: false
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
resolvConf: $STATE/resolv.conf
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 100Mi}
crashLoopBackOff: {maxContainerRestartPeriod: 5s}
END
}

start_etcd() {
  # Losing the last seconds of the local cluster's objects with the machine's power is no loss, and the
  # disk's time belongs to the logs and the database of orderd.
  start etcd "$BIN/kube/etcd" --name=local --data-dir="$STATE/etcd" --unsafe-no-fsync --log-level=warn \
    --listen-client-urls=http://127.0.0.1:23790 --advertise-client-urls=http://127.0.0.1:23790 \
    --listen-peer-urls=http://127.0.0.1:23800 --initial-advertise-peer-urls=http://127.0.0.1:23800 \
    --initial-cluster=local=http://127.0.0.1:23800
}

start_apiserver() {
  local pki=$STATE/pki
  CONFIG_OF=$pki/apiserver.crt start kube-apiserver "$BIN/kube/kube-apiserver" \
    --etcd-servers=http://127.0.0.1:23790 --bind-address="$NODE_IP" --secure-port=6443 --advertise-address="$NODE_IP" \
    --client-ca-file="$pki/ca.crt" --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
    --service-account-key-file="$pki/service-account.pub" --service-account-signing-key-file="$pki/service-account.key" \
    --service-account-issuer=https://kubernetes.default.svc --service-cluster-ip-range="$SERVICE_CIDR" \
    --kubelet-client-certificate="$pki/apiserver-kubelet-client.crt" --kubelet-client-key="$pki/apiserver-kubelet-client.key" \
    --kubelet-preferred-address-types=InternalIP --authorization-mode=Node,RBAC --allow-privileged --profiling=false
}

# One of each runs, so nobody has to elect a leader: that saves writes every two seconds.
start_controllers() {
  local pki=$STATE/pki
  CONFIG_OF=$pki/controller-manager.kubeconfig start kube-controller-manager "$BIN/kube/kube-controller-manager" \
    --kubeconfig="$pki/controller-manager.kubeconfig" --bind-address=127.0.0.1 --leader-elect=false --profiling=false \
    --root-ca-file="$pki/ca.crt" --service-account-private-key-file="$pki/service-account.key" --use-service-account-credentials
  CONFIG_OF=$pki/scheduler.kubeconfig start kube-scheduler "$BIN/kube/kube-scheduler" \
    --kubeconfig="$pki/scheduler.kubeconfig" --bind-address=127.0.0.1 --leader-elect=false --profiling=false
}

start_containerd() {
  # It finds its shim, which lies beside it, and runc through the PATH.
  PATH=$BIN/node:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin CONFIG_OF=$STATE/containerd.toml \
    start containerd "$BIN/node/containerd" --config "$STATE/containerd.toml" --log-level warn
}

start_node() {
  CONFIG_OF=$STATE/kubelet.yaml start kubelet "$BIN/kube/kubelet" --config="$STATE/kubelet.yaml" --kubeconfig="$STATE/pki/kubelet.kubeconfig" \
    --root-dir="$STATE/kubelet" --hostname-override="$NODE_NAME" --node-ip="$NODE_IP"
  CONFIG_OF=$STATE/pki/kube-proxy.kubeconfig start kube-proxy "$BIN/kube/kube-proxy" --kubeconfig="$STATE/pki/kube-proxy.kubeconfig" \
    --hostname-override="$NODE_NAME" --proxy-mode=iptables --cluster-cidr="$POD_CIDR" --conntrack-max-per-core=0 \
    --nodeport-addresses="$NODE_IP/32" --bind-address="$NODE_IP" --healthz-bind-address=127.0.0.1:10256 --metrics-bind-address=127.0.0.1:10249
}
