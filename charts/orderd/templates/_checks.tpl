{{- /*
The arguments that say how the leader is elected. With one replica a short Lease has no use: nobody waits to take over,
and an API server that is away for four seconds ends the operator. With more, it is what a sale of seconds needs.
*/ -}}
{{- define "orderd.electionArgs" -}}
{{- $election := .Values.leaderElection -}}
{{- $alone := le (int .Values.replicas) 1 -}}
{{- $lease := $election.leaseDuration | default (ternary "15s" "6s" $alone) -}}
{{- $deadline := $election.renewDeadline | default (ternary "10s" "4s" $alone) -}}
{{- $retry := $election.retryPeriod | default (ternary "2s" "1s" $alone) -}}
{{- if ge (trimSuffix "s" $deadline | int) (trimSuffix "s" $lease | int) -}}
{{- printf "leaderElection.renewDeadline is %s: it has to be shorter than leaderElection.leaseDuration, which is %s"
  $deadline $lease | fail -}}
{{- end -}}
{{- if ge (trimSuffix "s" $retry | int | mul 12) (trimSuffix "s" $deadline | int | mul 10) -}}
{{- printf "%s is %s: 1.2 times as long has to be shorter than leaderElection.renewDeadline, which is %s"
  "leaderElection.retryPeriod" $retry $deadline | fail -}}
{{- end -}}
- --leader-elect
- --leader-election-id={{ include "orderd.fullname" . }}
- --leader-election-lease-duration={{ $lease }}
- --leader-election-renew-deadline={{ $deadline }}
- --leader-election-retry-period={{ $retry }}
{{- end -}}

{{- /*
Fails if another release looks after one of the namespaces. helm sees no more than whoever installs, and nothing at all
where it only renders. One that names namespaces may be installed by somebody without rights outside of them: whether
another looks after all is asked for only if this release makes ClusterRoles.
*/ -}}
{{- define "orderd.checkNamespaces" -}}
{{- $api := "rbac.authorization.k8s.io/v1" -}}
{{- $bindings := list -}}
{{- range .Values.watchNamespaces -}}
{{- $bindings = concat $bindings (lookup $api "RoleBinding" . "" | dig "items" list) -}}
{{- else -}}
{{- $bindings = lookup $api "RoleBinding" "" "" | dig "items" list -}}
{{- end -}}
{{- if or (not .Values.watchNamespaces) .Values.aggregatedRoles -}}
{{- $bindings = concat $bindings (lookup $api "ClusterRoleBinding" "" "" | dig "items" list) -}}
{{- end -}}
{{- range $bindings -}}
{{- $labels := .metadata.labels | default dict -}}
{{- $name := dig "annotations" "meta.helm.sh/release-name" "" .metadata -}}
{{- $namespace := dig "annotations" "meta.helm.sh/release-namespace" "" .metadata -}}
{{- $operator := and (eq (index $labels "app.kubernetes.io/name" | default "") "orderd-operator")
  (eq (index $labels "app.kubernetes.io/component" | default "") "operator") -}}
{{- if and $operator $name (or (ne $name $.Release.Name) (ne $namespace $.Release.Namespace)) -}}
{{- printf "release %s in namespace %s already looks after %s: two operators in one namespace undo each other's work"
  $name $namespace (.metadata.namespace | default "all namespaces") | fail -}}
{{- end -}}
{{- end -}}
{{- end -}}
