#!/usr/bin/env python3
"""Sends traces to a real OpenTelemetry Collector.

  deploy/dev/servers run -- loadtests/trace.py call BIN [--svg FILE]
  deploy/dev/servers run -- loadtests/trace.py cost BIN

`call` follows one "call next" from a desk to a phone: it fails unless the collector has taken one
trace with all its spans from three processes, and draws it. `cost` runs `swarm commands` without
traces, with 1 % and with all requests traced, in turn. The collector is built by
`make target/tools/collector/otelcol`, which needs Go.
"""

import argparse
import concurrent.futures
import contextlib
import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import trace_picture
from rolling import LOCATION, ROOT, WORDS, Clinic, await_that, begin

COLLECTOR = ROOT / "target/tools/collector/otelcol"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
QUEUE = f"{LOCATION}.general"
# What the trace of a call has, at least: program and span.
PARTS = {
    ("clinicwire-gateway", "POST /v1/queues/{queue}/{action}"),
    ("clinicwire-gateway", "send clinicwire.care.v1"),
    ("clinicwire-processors", "process clinicwire.care.v1"),
    ("clinicwire-processors", "decide"),
    ("clinicwire-processors", "commit"),
    ("clinicwire-processors", "store views"),
    ("clinicwire-processors", "send clinicwire.views.v1"),
    ("clinicwire-gateway", "receive clinicwire.views.v1"),
    ("clinicwire-gateway", "deliver ticket"),
}
# It takes what it gets, at once, and passes it on in JSON to this script.
CONFIGURATION = """
receivers: {{ otlp: {{ protocols: {{ http: {{ endpoint: "127.0.0.1:{port}" }} }} }} }}
exporters:
  otlp_http: {{ endpoint: "http://127.0.0.1:{sink}", encoding: json, compression: none }}
service:
  telemetry: {{ metrics: {{ level: none }} }}
  pipelines: {{ traces: {{ receivers: [otlp], exporters: [otlp_http] }} }}
"""


class Sink(http.server.ThreadingHTTPServer):
    """Takes what the collector passes on: keeps the spans with their process, or counts them."""

    def __init__(self, port, keeps):
        self.keeps, self.spans, self.count = keeps, [], 0
        super().__init__(("127.0.0.1", port), SinkHandler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def take(self, request):
        """Takes the spans of one request."""
        self.count += request.count(b'"spanId"')
        groups = json.loads(request)["resourceSpans"] if self.keeps else []
        for group in groups:
            names = {entry["key"]: entry["value"] for entry in group["resource"]["attributes"]}
            process = names["service.name"]["stringValue"]
            instance = names["service.instance.id"]["stringValue"]
            for scope in group["scopeSpans"]:
                for span in scope["spans"]:
                    self.spans.append(span | {"process": process, "instance": instance})


class SinkHandler(http.server.BaseHTTPRequestHandler):
    """Answers the collector."""

    def do_POST(self):
        """Takes spans."""
        length = int(self.headers["content-length"])
        self.server.take(self.rfile.read(length))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        """Prints nothing."""


def start_collector(clinic, keeps):
    """Starts the collector, and tells the programs of the clinic where it is."""
    port, sink_port = clinic.proxy + 50, clinic.proxy + 51
    sink = Sink(sink_port, keeps)
    file = clinic.directory / "collector.yaml"
    file.write_text(CONFIGURATION.format(port=port, sink=sink_port))
    clinic.start("collector", [COLLECTOR, "--config", file])
    clinic.await_log("collector", "Everything is ready")
    clinic.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{port}"
    return sink


def send(clinic, token, method, path, body, headers=()):
    """Sends a request through the proxy. Returns the answer and its headers."""
    url = f"http://127.0.0.1:{clinic.proxy}{path}"
    request = urllib.request.Request(url, json.dumps(body).encode(), method=method)
    for name, value in [("authorization", f"Bearer {token}"), *headers]:
        request.add_header(name, value)
    request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"{}"), answer.headers


class Phone:
    """Follows a ticket by server-sent events."""

    def __init__(self, clinic, token, ticket):
        channel = f"ticket:{ticket}"
        once, _ = send(clinic, token, "POST", "/v1/stream-tickets", {"channels": [channel]})
        url = f"http://127.0.0.1:{clinic.proxy}/v1/stream?channel={channel}"
        self.stream = urllib.request.urlopen(f"{url}&ticket={once['ticket']}", timeout=60)

    def until(self, text):
        """Reads until a frame has the text, and returns when it came."""
        for line in self.stream:
            if line.startswith(b"data:") and text in line:
                return time.time_ns()
        sys.exit("trace: the phone's stream ended")


def open_queue(clinic, tokens):
    """A queue with one station and one ticket in line. Returns the ticket."""
    send(clinic, tokens["admin"], "PUT", f"/v1/queues/{QUEUE}", {"name": "General", "prefix": "A"})
    send(clinic, tokens["admin"], "PUT", f"/v1/stations/{QUEUE}-1", {"name": "Room 1"})
    send(clinic, tokens["reception"], "POST", f"/v1/queues/{QUEUE}/open", {})
    issued, _ = send(clinic, tokens["reception"], "POST", f"/v1/queues/{QUEUE}/tickets", {})
    return issued["result"]["ticket"]


def call(clinic, arguments):
    """Traces one call, checks what the collector has of it, and draws it."""
    sink = start_collector(clinic, keeps=True)
    tokens = begin(clinic, arguments.bin, arguments)
    ticket = open_queue(clinic, tokens)
    phone = Phone(clinic, tokens["reception"], ticket)
    phone.until(b"waiting")
    # The frame may come before the answer.
    watch = concurrent.futures.ThreadPoolExecutor(1)
    called = watch.submit(phone.until, b"called")
    tapped = time.time_ns()
    _, headers = send(
        clinic,
        tokens["reception"],
        "POST",
        f"/v1/queues/{QUEUE}/call-next",
        {"station": f"{QUEUE}-1"},
        [("traceparent", f"00-{TRACE}-{CALLER}-01")],
    )
    seen = called.result()

    def spans():
        return [span for span in sink.spans if span["traceId"] == TRACE]

    def is_whole():
        return {(span["process"], span["name"]) for span in spans()} >= PARTS

    await_that("the collector has the spans of the call", is_whole)
    clinic.stop_all()
    fault = trace_picture.fault(spans(), CALLER)
    log = (clinic.directory / "collector.log").read_text()
    refused = [line for line in log.splitlines() if "\terror\t" in line or "\twarn\t" in line]
    if fault or refused or TRACE not in headers["traceparent"]:
        sys.exit(f"trace: {fault or refused or headers['traceparent']}")
    print(f"one trace: {len(spans())} spans of {len({s['instance'] for s in spans()})} processes")
    for line in trace_picture.lines(spans(), CALLER):
        print(line)
    print(f"from the tap to the frame on the phone: {(seen - tapped) / 1e6:.1f} ms")
    if arguments.svg:
        arguments.svg.write_text(trace_picture.draw(spans(), CALLER, tapped, seen))
    return True


def cost(clinic, arguments):
    """Prints what commands cost without traces, with some and with all traced."""
    sink = start_collector(clinic, keeps=False)
    endpoint = clinic.environment.pop("OTEL_EXPORTER_OTLP_ENDPOINT")
    clinic.prepare(arguments.bin)
    print(f"{'traced':>8} {'commands/s':>11} {'p50, ms':>8} {'p95, ms':>8} {'CPU, ms':>8} spans")
    for turn in range(arguments.rounds * 3):
        ratio = (None, "0.01", "1")[turn % 3]
        clinic.environment.pop("OTEL_EXPORTER_OTLP_ENDPOINT", None)
        if ratio:
            clinic.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
            clinic.environment["CLINICWIRE_TRACE_RATIO"] = ratio
        sink.count = 0
        clinic.start_processors(arguments.bin)
        clinic.start_gateway(arguments.bin, 0)
        figures = measure(clinic, arguments)
        clinic.stop("gateway-0")
        clinic.stop("processors")
        row = f"{ratio or 'off':>8} {figures['commands_per_second']:>11.0f}"
        row += f" {figures['command_p50_ms']:>8.1f} {figures['command_p95_ms']:>8.1f}"
        row += f" {figures['cpu_per_delivery_us'] / 1000:>8.2f} {sink.count}"
        print(row, flush=True)
    return True


def measure(clinic, arguments):
    """The figures of one run of commands."""
    report = clinic.directory / "swarm.json"
    command = [arguments.swarm or arguments.bin / "swarm"]
    for name in ("gateway-0", "processors"):
        command += ["--pid", clinic.running[name].pid]
    command += ["--url", f"http://127.0.0.1:{clinic.nodes[0]}", "--json", report]
    command += [f"--insecure-development-key={WORDS}"]
    command += ["commands", "--seconds", arguments.seconds, "--at-once", arguments.at_once]
    subprocess.run(
        [str(part) for part in command],
        env=clinic.environment,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return json.loads(report.read_text())["figures"]


def main():
    """Reads the arguments and runs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    modes = parser.add_subparsers(dest="mode", required=True)
    calling, costing = modes.add_parser("call"), modes.add_parser("cost")
    for mode in calling, costing:
        mode.add_argument("bin", type=pathlib.Path)
    calling.add_argument("--svg", type=pathlib.Path, help="where to draw the trace")
    costing.add_argument("--rounds", type=int, default=2)
    costing.add_argument("--seconds", type=int, default=15)
    costing.add_argument("--at-once", type=int, default=64)
    costing.add_argument("--swarm", type=pathlib.Path, help="the swarm, if it is not in BIN")
    arguments = parser.parse_args()
    if "CLINICWIRE_SERVERS_PORT" not in os.environ:
        sys.exit("trace: needs servers: deploy/dev/servers run -- loadtests/trace.py …")
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="clinicwire-trace-"))
        clinic = Clinic(pathlib.Path(directory))
        stack.callback(clinic.stop_all)
        {"call": call, "cost": cost}[arguments.mode](clinic, arguments)


if __name__ == "__main__":
    main()
