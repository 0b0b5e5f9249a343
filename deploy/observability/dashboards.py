"""Writes the dashboards of Grafana: dashboards.py [--check].

With --check it only compares the files in dashboards/ with what it would write.
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent / "dashboards"
RATE = "$__rate_interval"


def rate(series, by="", where=""):
    """The sum of a counter's rate."""
    by = f" by ({by})" if by else ""
    return f"sum{by} (rate({series}{{{where}}}[{RATE}]))"


def quantile(share, histogram, by="le"):
    """A quantile of a histogram over all nodes."""
    return f"histogram_quantile({share}, sum by ({by}) (rate({histogram}_bucket[{RATE}])))"


DELAY = "clinicwire_delivery_delay_seconds"
DURATION = "clinicwire_http_request_seconds"


# Each panel: title, unit, [(legend, expression)], and optionally what it means.
WIRE = [
    ("Connections", "short", [("{{transport}}", "sum by (transport) (clinicwire_connections)")]),
    (
        "Delivery delay",
        "s",
        [(f"p{q}", quantile(q / 100, DELAY)) for q in (50, 95, 99)],
        "From the record of a step to the end of its fan-out. The aim is 8 ms and 15 ms (p99).",
    ),
    ("Steps later than 100 ms", "percentunit", [("1 h", "clinicwire:delivery_late:ratio_rate1h")]),
    (
        "Nodes ready",
        "short",
        [("ready", "sum(clinicwire_ready)"), ("all", "count(clinicwire_ready)")],
    ),
    (
        "Conditions",
        "short",
        [("{{instance}} {{condition}}", "clinicwire_condition == 1")],
        "docs/operations.md says what each one means.",
    ),
    (
        "Opened and closed",
        "ops",
        [
            ("opened {{transport}}", rate("clinicwire_connections_opened_total", "transport")),
            ("closed: {{reason}}", rate("clinicwire_closes_total", "reason")),
        ],
    ),
    ("Deliveries", "ops", [("{{transport}}", rate("clinicwire_deliveries_total", "transport"))]),
    ("Frames encoded", "ops", [("{{kind}}", rate("clinicwire_frames_encoded_total", "kind"))]),
    (
        "Bytes written",
        "Bps",
        [("{{transport}}", rate("clinicwire_bytes_written_total", "transport"))],
    ),
    ("Subscriptions", "short", [("{{kind}}", "sum by (kind) (clinicwire_subscriptions)")]),
    (
        "Views fetched",
        "ops",
        [("{{source}}", rate("clinicwire_view_fetches_total", "source"))],
        "`authority` means that Redis lacked the view.",
    ),
    (
        "Share of views from Redis",
        "percentunit",
        [
            (
                "hits",
                rate("clinicwire_view_fetches_total", where='source="store"')
                + " / "
                + rate("clinicwire_view_fetches_total", where='source=~"store|authority"'),
            )
        ],
    ),
    ("HTTP requests", "ops", [("{{status}}", rate("clinicwire_http_requests_total", "status"))]),
    (
        "HTTP duration",
        "s",
        [(f"p{q}", quantile(q / 100, DURATION)) for q in (50, 95, 99)],
        "To the head of the answer. Points are traces, where requests are traced.",
    ),
    (
        "HTTP duration by route, p95",
        "s",
        [("{{route}}", quantile(0.95, DURATION, "le, route"))],
        "Commands are the routes that end in {action}; their aim is 25 ms.",
    ),
    (
        "HTTP errors by route",
        "ops",
        [
            (
                "{{route}} {{status}}",
                rate("clinicwire_http_requests_total", "route, status", 'status=~"5.."'),
            )
        ],
    ),
    (
        "HTTP errors by tenant",
        "ops",
        [("{{tenant}} {{class}}", rate("clinicwire_tenant_errors_total", "tenant, class"))],
        "A single tenant with many 4xx is a wrong client; its audit says which.",
    ),
    (
        "Tenants and revocations",
        "short",
        [
            ("{{state}}", "max by (state) (clinicwire_tenants)"),
            ("revocations held", "max(clinicwire_revocations_held)"),
        ],
        "Every node holds all of them. A tenant that is suspended is refused everywhere.",
    ),
    (
        "Refused by limits",
        "ops",
        [("{{limit}}", rate("clinicwire_limited_total", "limit"))],
        "docs/limits.md explains each one.",
    ),
    ("Errors on sockets", "ops", [("{{code}}", rate("clinicwire_errors_total", "code"))]),
    (
        "Intake",
        "ops",
        [
            ("read", rate("clinicwire_intake_records_total")),
            ("refused", rate("clinicwire_intake_refused_total")),
            ("missed", rate("clinicwire_intake_missed_total")),
        ],
    ),
    ("Age of records when read", "s", [("{{instance}}", "clinicwire_intake_lag_seconds")]),
    ("Memory of tails", "bytes", [("{{instance}}", "clinicwire_tail_bytes")]),
    (
        "Connections to PostgreSQL",
        "short",
        [
            (
                "{{instance}} {{pool}} {{state}}",
                'clinicwire_postgres_connections{state=~"used|waiting"}',
            )
        ],
        "Of gateways and processors. Callers that wait mean that a pool is too small.",
    ),
    ("Spans of traces", "ops", [("{{result}}", rate("clinicwire_spans_total", "result"))]),
    ("TLS handshakes", "ops", [("{{result}}", rate("clinicwire_tls_handshakes_total", "result"))]),
    (
        "Certificates end in",
        "s",
        [
            (
                "{{instance}}",
                "(clinicwire_tls_certificate_ends_seconds > 0) - time()",
            )
        ],
    ),
    (
        "Certificate reloads",
        "short",
        [
            (
                "{{instance}} {{result}}",
                "sum by (instance, result) (increase(clinicwire_tls_reloads_total[1h]))",
            )
        ],
    ),
    (
        "Sockets refused by the system",
        "ops",
        [
            (
                "{{instance}}",
                rate("clinicwire_accept_failures_total", "instance"),
            )
        ],
    ),
    (
        "Positions reset",
        "ops",
        [("reset", rate("clinicwire_positions_reset_total"))],
        "Above zero after a database was restored.",
    ),
]

PROCESSORS = [
    (
        "Lag",
        "s",
        [("{{topic}}/{{partition}}", "clinicwire_processor_lag_seconds")],
        "Age of the oldest record that has arrived and is not committed.",
    ),
    (
        "Partitions with an owner",
        "short",
        [
            (
                "{{topic}}",
                "count by (topic) (clinicwire_processor_next_offset)",
            )
        ],
    ),
    ("Records", "ops", [("{{became}}", rate("clinicwire_processor_records_total", "became"))]),
    (
        "Records in a batch",
        "short",
        [
            (
                "records",
                rate("clinicwire_processor_records_total")
                + " / "
                + rate("clinicwire_processor_batches_total"),
            )
        ],
    ),
    (
        "Time of a commit",
        "s",
        [
            (
                "mean",
                rate("clinicwire_processor_commit_seconds_total")
                + " / "
                + rate("clinicwire_processor_batches_total"),
            )
        ],
    ),
    (
        "Share of aggregates from memory",
        "percentunit",
        [
            (
                "hits",
                rate("clinicwire_processor_aggregates_total", where='source="cache"')
                + " / "
                + rate("clinicwire_processor_aggregates_total"),
            )
        ],
        "A low share for long: raise --cached-tickets.",
    ),
    (
        "Oldest row of the outbox",
        "s",
        [
            (
                "{{topic}}/{{partition}}",
                "clinicwire_processor_outbox_oldest_seconds",
            )
        ],
    ),
    (
        "Partitions that do not advance",
        "s",
        [
            (
                "{{topic}}/{{partition}}",
                "clinicwire_processor_failing_seconds > 0",
            ),
            (
                "{{topic}}/{{partition}}: another topic",
                "clinicwire_processor_topic_replaced > 0",
            ),
            (
                "new epochs",
                rate("clinicwire_processor_epoch_renewals_total"),
            ),
        ],
    ),
    (
        "Since the last publication",
        "s",
        [
            (
                "{{instance}}",
                "time() - (clinicwire_processor_last_publication_timestamp_seconds > 0)",
            )
        ],
    ),
    (
        "Views that Redis lacks",
        "short",
        [
            (
                "{{topic}}/{{partition}}",
                "clinicwire_processor_dirty_views",
            )
        ],
    ),
    (
        "Views dirtied and repaired",
        "ops",
        [
            ("dirtied", rate("clinicwire_processor_views_dirtied_total")),
            ("repaired", rate("clinicwire_processor_views_repaired_total")),
        ],
    ),
    (
        "Steps without entries",
        "ops",
        [("omitted", rate("clinicwire_processor_view_steps_omitted_total"))],
    ),
    ("Ticks", "ops", [("ticks", rate("clinicwire_processor_ticks_total"))]),
    (
        "Silence of clients of Kafka",
        "s",
        [
            (
                "{{instance}} {{client}}",
                "clinicwire_kafka_client_silence_seconds",
            )
        ],
    ),
    (
        "Clients of Kafka replaced",
        "short",
        [
            (
                "{{client}}",
                "sum by (client) (increase(clinicwire_kafka_clients_replaced_total[1h]))",
            )
        ],
    ),
    (
        "Audit: written and stored",
        "ops",
        [
            ("written by gateways", rate("clinicwire_audit_entries_written_total")),
            ("stored", rate("clinicwire_audit_entries_stored_total")),
            ("batches", rate("clinicwire_audit_batches_total")),
        ],
    ),
    (
        "Audit: lag",
        "s",
        [
            ("lag of {{partition}}", "clinicwire_audit_lag_seconds"),
            ("failing {{partition}}", "clinicwire_audit_failing_seconds > 0"),
        ],
    ),
    ("Audit: next offset", "short", [("{{partition}}", "clinicwire_audit_next_offset")]),
    (
        "Audit: what must stay 0",
        "short",
        [
            ("broken chains", "sum(clinicwire_audit_chains_broken_total)"),
            ("parked records", "sum(clinicwire_audit_records_parked_total)"),
            ("lost notes", "sum(clinicwire_audit_notes_lost_total)"),
        ],
    ),
    (
        "Partitions: days ahead",
        "s",
        [("{{table}}", "min by (table) (clinicwire_partitions_ahead_seconds)")],
    ),
    (
        "Partitions: what must stay 0",
        "short",
        [
            ("strays of {{table}}", "max by (table) (clinicwire_partition_strays)"),
            ("failures", "sum(increase(clinicwire_maintenance_failures_total[1h]))"),
        ],
    ),
    (
        "Partitions and rows that went",
        "short",
        [
            ("added", "sum(clinicwire_partitions_added_total)"),
            ("dropped", "sum(clinicwire_partitions_dropped_total)"),
            ("rows of {{table}}", "sum by (table) (clinicwire_rows_retired_total)"),
            ("archived rows", "sum(clinicwire_archive_rows_total)"),
            ("snapshots", "sum(clinicwire_archive_snapshots_total)"),
        ],
    ),
    (
        "Audit: notes that wait, days dropped",
        "short",
        [
            ("waiting", "sum(clinicwire_audit_notes_waiting)"),
            ("dropped", "sum(clinicwire_audit_days_dropped_total)"),
        ],
    ),
]

CLINIC = [
    ("Commands", "ops", [("{{kind}}", rate("clinicwire_commands_total", "kind"))]),
    ("Results of commands", "ops", [("{{result}}", rate("clinicwire_commands_total", "result"))]),
    (
        "Commands without a decision in 2 s",
        "percentunit",
        [
            ("1 h", "clinicwire:commands_unanswered:ratio_rate1h"),
        ],
    ),
    (
        "Facts of appointments",
        "ops",
        [("{{change}}", rate("clinicwire_processor_facts_total", "change"))],
        "`stale` and `repeated` changed nothing; `overruled` by the front desk.",
    ),
    ("Alerts to phones", "ops", [("{{result}}", rate("clinicwire_alerts_total", "result"))]),
    (
        "Age of sent alerts",
        "s",
        [
            (
                "mean",
                rate("clinicwire_alerts_age_seconds_total")
                + " / "
                + rate("clinicwire_alerts_total", where='result="sent"'),
            )
        ],
        "From the decision to the answer of the push service.",
    ),
    ("Webhooks", "ops", [("{{result}}", rate("clinicwire_webhook_attempts_total", "result"))]),
    (
        "Age of sent webhooks",
        "s",
        [
            (
                "mean",
                rate("clinicwire_webhook_age_seconds_total")
                + " / "
                + rate("clinicwire_webhook_attempts_total", where='result="sent"'),
            ),
            ("oldest that waits", "max(clinicwire_webhook_pending_age_seconds)"),
        ],
        "From the decision to the answer of the receiver.",
    ),
    (
        "Queues of webhooks",
        "short",
        [
            ("waiting", "max(clinicwire_webhook_pending)"),
            ("dead letters", "max(clinicwire_webhook_dead)"),
            ("failing webhooks", "max(clinicwire_webhook_failing)"),
        ],
    ),
    (
        "Records of bridges",
        "ops",
        [("{{became}}", rate("clinicwire_bridge_records_total", "became"))],
    ),
    (
        "Checks of claims files",
        "short",
        [
            ("running", "sum(clinicwire_worker_running)"),
            ("taken in an hour", "sum(increase(clinicwire_worker_taken_total[1h]))"),
        ],
    ),
    ("Attempts", "ops", [("{{ended}}", rate("clinicwire_worker_attempts_total", "ended"))]),
    ("Rows checked", "ops", [("rows", rate("clinicwire_worker_rows_total"))]),
    (
        "Time of rules",
        "percentunit",
        [("{{rule}}", rate("clinicwire_worker_rule_seconds_total", "rule"))],
    ),
    ("Uploads", "ops", [("{{result}}", rate("clinicwire_uploads_total", "result"))]),
    ("Bytes uploaded", "Bps", [("bytes", rate("clinicwire_upload_bytes_total"))]),
    (
        "Patients' phones",
        "short",
        [
            (
                "tickets",
                'sum(clinicwire_subscriptions{kind="ticket"})',
            )
        ],
    ),
]

DASHBOARDS = {
    "wire": ("Clinicwire: wire", WIRE),
    "processors": ("Clinicwire: processors", PROCESSORS),
    "clinic": ("Clinicwire: clinic", CLINIC),
}


def panel(number, title, unit, queries, description=""):
    """A panel of the grid of three columns."""
    source = {"type": "prometheus", "uid": "${source}"}
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "description": description,
        "datasource": source,
        "gridPos": {"x": number % 3 * 8, "y": number // 3 * 8, "w": 8, "h": 8},
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "min": 0,
                "custom": {"showPoints": "never", "fillOpacity": 5},
            },
            "overrides": [],
        },
        "options": {
            "tooltip": {"mode": "multi", "sort": "desc"},
            "legend": {"displayMode": "list"},
        },
        "targets": [
            {"refId": chr(65 + at), "expr": query, "legendFormat": legend, "datasource": source}
            for at, (legend, query) in enumerate(queries)
        ],
    }


def dashboard(name):
    """The whole dashboard."""
    title, panels = DASHBOARDS[name]
    variable = {
        "name": "source",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
    }
    return {
        "uid": f"clinicwire-{name}",
        "title": title,
        "tags": ["clinicwire"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [variable]},
        "links": [
            {
                "type": "dashboards",
                "tags": ["clinicwire"],
                "title": "Clinicwire",
                "asDropdown": True,
            }
        ],
        "panels": [panel(number, *each) for number, each in enumerate(panels)],
    }


def main():
    """Writes or checks all dashboards."""
    late = []
    for name in DASHBOARDS:
        text = json.dumps(dashboard(name), indent=2) + "\n"
        file = HERE / f"{name}.json"
        if "--check" not in sys.argv:
            file.write_text(text)
        elif not file.exists() or file.read_text() != text:
            late.append(file.name)
    if late:
        sys.exit(f"run deploy/observability/dashboards.py: {', '.join(late)} must be written anew")


main()
