{{- define "clinicwire.labels" -}}
app.kubernetes.io/name: clinicwire
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "clinicwire.selector" -}}
app.kubernetes.io/name: clinicwire
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "clinicwire.name" -}}
{{- printf "%s-%s" .root.Release.Name .component | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{- define "clinicwire.image" -}}
{{- $image := .root.Values.image -}}
{{ $image.registry }}/{{ .program }}:{{ .tag | default $image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{/* What every pod has: no root, no token of the cluster, nothing written but its volumes. */}}
{{- define "clinicwire.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "clinicwire.container" -}}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}

{{/* Pods of one component are on different nodes and zones, if there are enough of them. */}}
{{- define "clinicwire.spread" -}}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "clinicwire.selector" $ | nindent 8 }}
    matchLabelKeys: [{{ if eq $.component "gateway" }}pod-template-hash{{ else }}controller-revision-hash{{ end }}]
  {{- end }}
{{- end }}

{{- define "clinicwire.probes" -}}
{{- $port := .port -}}
startupProbe:
  httpGet: { path: /health/live, port: {{ $port }} }
  periodSeconds: 1
  failureThreshold: 60
# The process runs. It never fails for a server, or a lost server would restart every pod.
livenessProbe:
  httpGet: { path: /health/live, port: {{ $port }} }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: { path: /health/ready, port: {{ $port }} }
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- end }}

{{/* Addresses and logins of the servers. `program`: gateway, processors or prepare. */}}
{{- define "clinicwire.servers" -}}
{{- $v := .root.Values -}}
{{- $kafka := .user | default (index $v.kafka.users .program) -}}
- { name: CLINICWIRE_LOG, value: {{ $v.log | quote }} }
- { name: CLINICWIRE_LOG_FORMAT, value: json }
- { name: CLINICWIRE_KAFKA, value: {{ $v.kafka.brokers | quote }} }
- { name: CLINICWIRE_KAFKA_SECURITY, value: {{ $v.kafka.security }} }
{{- if hasPrefix "sasl" $v.kafka.security }}
- { name: CLINICWIRE_KAFKA_MECHANISM, value: {{ $v.kafka.mechanism }} }
- { name: CLINICWIRE_KAFKA_USER, value: {{ $kafka.name | quote }} }
- { name: CLINICWIRE_KAFKA_PASSWORD_FILE, value: /run/clinicwire/kafka-password }
{{- end }}
{{- if $v.kafka.caSecret.name }}
- { name: CLINICWIRE_KAFKA_CA, value: /run/clinicwire/kafka-ca.pem }
{{- end }}
{{- if ne .program "bridge" }}
{{- $user := (index $v.postgres.users .program).name }}
- name: CLINICWIRE_POSTGRES
  value: "postgres://{{ $user }}@{{ $v.postgres.host }}:{{ $v.postgres.port }}/
    {{- $v.postgres.database }}?sslmode={{ $v.postgres.sslmode }}
    {{- if $v.postgres.caSecret.name }}&sslrootcert=/run/clinicwire/postgres-ca.pem{{ end -}}
    &password_file=/run/clinicwire/postgres-password"
{{- end }}
{{- if has .program (list "gateway" "processors") }}
{{- $user := (index $v.redis.users .program).name }}
- name: CLINICWIRE_REDIS
  value: "redis{{ if $v.redis.tls }}s{{ end }}://{{ $user }}@{{ $v.redis.host }}:{{ $v.redis.port -}}
    ?password_file=/run/clinicwire/redis-password
    {{- if $v.redis.caSecret.name }}&ca_file=/run/clinicwire/redis-ca.pem{{ end }}"
- { name: CLINICWIRE_FILES, value: {{ $v.files.url | quote }} }
{{- if $v.files.tablesConfigMap }}
- { name: CLINICWIRE_CODES, value: /run/tables/codes.csv }
- { name: CLINICWIRE_ESTABLISHMENTS, value: /run/tables/establishments.csv }
{{- end }}
{{- end }}
{{- end }}

{{- define "clinicwire.filesEnv" -}}
{{- with .root.Values.files.credentialsSecret -}}
envFrom:
  - secretRef: { name: {{ . }} }
{{- end }}
{{- end }}

{{- define "clinicwire.mounts" -}}
- { name: secrets, mountPath: /run/clinicwire, readOnly: true }
{{- if has .program (list "gateway" "processors") }}
{{- if .root.Values.files.existingClaim }}
- { name: files, mountPath: /var/lib/clinicwire/files }
{{- end }}
{{- if .root.Values.files.tablesConfigMap }}
- { name: tables, mountPath: /run/tables, readOnly: true }
{{- end }}
{{- end }}
{{- end }}

{{- define "clinicwire.secretItem" -}}
- secret:
    name: {{ .secret.name }}
    items: [{ key: {{ .secret.key }}, path: {{ .path }} }]
{{- end }}

{{- define "clinicwire.volumes" -}}
{{- $v := .root.Values -}}
{{- $program := .program -}}
{{- $kafka := .user | default (index $v.kafka.users $program) -}}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- if hasPrefix "sasl" $v.kafka.security }}
      {{- include "clinicwire.secretItem" (dict "secret" $kafka.secret "path" "kafka-password") | nindent 6 }}
      {{- end }}
      {{- with $v.kafka.caSecret }}{{ if .name }}
      {{- include "clinicwire.secretItem" (dict "secret" . "path" "kafka-ca.pem") | nindent 6 }}
      {{- end }}{{ end }}
      {{- if ne $program "bridge" }}
      {{- $user := index $v.postgres.users $program }}
      {{- include "clinicwire.secretItem" (dict "secret" $user.secret "path" "postgres-password") | nindent 6 }}
      {{- with $v.postgres.caSecret }}{{ if .name }}
      {{- include "clinicwire.secretItem" (dict "secret" . "path" "postgres-ca.pem") | nindent 6 }}
      {{- end }}{{ end }}
      {{- end }}
      {{- if has $program (list "gateway" "processors") }}
      {{- $user := index $v.redis.users $program }}
      {{- include "clinicwire.secretItem" (dict "secret" $user.secret "path" "redis-password") | nindent 6 }}
      {{- with $v.redis.caSecret }}{{ if .name }}
      {{- include "clinicwire.secretItem" (dict "secret" . "path" "redis-ca.pem") | nindent 6 }}
      {{- end }}{{ end }}
      {{- end }}
      {{- if and (eq $program "processors") (ne .component "workers") $v.alerts.key.name }}
      {{- include "clinicwire.secretItem" (dict "secret" $v.alerts.key "path" "push-key") | nindent 6 }}
      {{- end }}
      {{- if and (has $program (list "gateway" "processors")) (ne .component "workers") $v.webhooks.key.name }}
      {{- include "clinicwire.secretItem" (dict "secret" $v.webhooks.key "path" "webhook-key") | nindent 6 }}
      {{- end }}
      {{- if eq $program "gateway" }}
      {{- include "clinicwire.secretItem" (dict "secret" $v.gateway.grantSecret "path" "grant-secret") | nindent 6 }}
      {{- end }}
{{- if has $program (list "gateway" "processors") }}
{{- with $v.files.existingClaim }}
- name: files
  persistentVolumeClaim: { claimName: {{ . }} }
{{- end }}
{{- with $v.files.tablesConfigMap }}
- name: tables
  configMap: { name: {{ . }} }
{{- end }}
{{- end }}
{{- end }}
