#!/usr/bin/env bash
# Makes the local node's persistent volumes, folders below bin/cluster/volumes, and offers those again
# whose claim is gone, emptied. Called by up.sh: the storage class has nobody who makes volumes on demand.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
COUNT=6

volume() {
  cat <<END
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: local-$1}
spec:
  capacity: {storage: 10Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: local
  local: {path: $STATE/volumes/local-$1}
  nodeAffinity:
    required:
      nodeSelectorTerms:
      - matchExpressions:
        - {key: kubernetes.io/hostname, operator: In, values: [$NODE_NAME]}
END
}

phases=$("${KUBECTL[@]}" get pv -o 'jsonpath={range .items[*]}{.metadata.name}={.status.phase} {end}')
wanted=""
for ((n = 1; n <= COUNT; n++)); do
  case " $phases " in
  *" local-$n=Released "*)
    "${KUBECTL[@]}" delete pv "local-$n" >/dev/null
    rm -rf "$STATE/volumes/local-$n"
    ;;
  *" local-$n="*) continue ;;
  esac
  mkdir -p "$STATE/volumes/local-$n"
  wanted+=$(volume $n)$'\n'
done
[ -z "$wanted" ] || "${KUBECTL[@]}" create -f - >/dev/null <<<"$wanted"
