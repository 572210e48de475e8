{{- define "orderd.fullname" -}}
{{- if contains "operator" .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-operator" (.Release.Name | trunc 53 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "orderd.serviceAccountName" -}}
{{- default (include "orderd.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "orderd.selectorLabels" -}}
app.kubernetes.io/name: orderd-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "orderd.labels" -}}
{{ include "orderd.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}
