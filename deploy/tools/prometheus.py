"""Runs the rules and every expression of the dashboards in a real Prometheus.

prometheus.py PROGRAM GATEWAY PROCESSOR: the program, and the addresses that it scrapes. Fails when
a rule or an expression cannot be evaluated, or an alert fires although all is well.
"""

import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

import yaml

OBSERVABILITY = pathlib.Path(__file__).resolve().parent.parent / "observability"
# Long enough for a scrape, a round of all rules, and a slow machine.
LIMIT_S = 60


def configuration(gateways, processors):
    """Scrapes all addresses each second, under the names that the alerts know."""
    jobs = {"clinicwire-gateway": gateways, "clinicwire-processors": processors}
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(OBSERVABILITY / "rules" / "*.yaml")],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": addresses}]}
            for job, addresses in jobs.items()
        ],
    }


def get(url, path, **query):
    """An answer of Prometheus's API. A refusal is an error."""
    address = f"{url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(address, timeout=10) as answer:
        return json.load(answer)["data"]


def rules(url):
    """All rules, with their state."""
    return [rule for group in get(url, "rules")["groups"] for rule in group["rules"]]


def await_rules(url):
    """Waits until every rule was evaluated after a scrape."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        try:
            scraped = get(url, "query", query="count(up == 1) == 2")["result"]
            if scraped and all(rule["health"] != "unknown" for rule in rules(url)):
                return
        except OSError:
            pass
        time.sleep(0.2)
    sys.exit("Prometheus has not evaluated the rules within the limit")


def faults(url):
    """Rules that cannot be evaluated, and rules that fire although all is well."""
    for rule in rules(url):
        if rule["health"] != "ok":
            yield f"{rule['name']}: {rule.get('lastError', rule['health'])}"
        if rule["type"] == "alerting" and rule["state"] == "firing":
            yield f"{rule['name']} fires on a healthy installation"
    for file in sorted(OBSERVABILITY.glob("dashboards/*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                expression = target["expr"].replace("$__rate_interval", "1m")
                try:
                    get(url, "query", query=expression)
                except urllib.error.HTTPError as error:
                    yield f"{file.name}: {panel['title']}: {error.read().decode()}"


def main():
    """Starts Prometheus, asks it, and stops it."""
    program, *addresses = sys.argv[1:]
    gateway, processor = (address.removeprefix("http://") for address in addresses)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with tempfile.TemporaryDirectory() as work:
        settings = pathlib.Path(work) / "prometheus.yml"
        settings.write_text(yaml.safe_dump(configuration([gateway], [processor])))
        command = [program, f"--config.file={settings}", f"--storage.tsdb.path={work}/data"]
        command.append(f"--web.listen-address={address}")
        with open(f"{work}/log", "w", encoding="utf-8") as log:
            server = subprocess.Popen(command, stderr=log)
        try:
            await_rules(f"http://{address}")
            found = list(faults(f"http://{address}"))
            count = len(rules(f"http://{address}"))
        finally:
            server.terminate()
            server.wait()
    print("\n".join(found) or f"{count} rules and all panels are evaluated by Prometheus")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
