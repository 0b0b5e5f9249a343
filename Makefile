SHELL := /bin/bash
.DEFAULT_GOAL := help

js := gateway/tests/js
go := gateway/tests/go
java := gateway/tests/java
python := gateway/tests/python
venv := target/python
tsc := $(js)/node_modules/.bin/tsc
shell_scripts := deploy/dev/servers deploy/dev/dev deploy/dev/machine.sh loadtests/k6/run loadtests/transports .ci/run

# Where the browser tests find Chromium; set it to use another one.
export CLINICWIRE_CHROMIUM ?= $(shell command -v chromium chromium-browser google-chrome | head -n 1)

# What this machine lacked and was fetched: k6, a newer Go.
export PATH := $(CURDIR)/target/tools/bin:$(PATH)

.PHONY: help
help: ## what can be made
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

.PHONY: run
run: ## the whole clinic in one process, without servers
	cargo run --release -- $(ARGS)

.PHONY: dev
dev: ## Kafka, Redis, PostgreSQL, one processor, two gateways and a demo clinic; Ctrl-C stops all of it
	deploy/dev/dev

.PHONY: install
install: ## what the tests need and this machine lacks (apt, npm, Maven, pip, Go modules)
	deploy/dev/servers install
	@$(MAKE) -s --no-print-directory $(js)/node_modules $(venv)/.installed
	cd $(go) && go mod download

.PHONY: test
test: install ## every test, with real servers that are started for it and stopped afterwards
	cargo build --workspace --all-targets
	deploy/dev/servers run -- $(MAKE) --no-print-directory test-given

.PHONY: test-given
test-given: ## the same with the servers that CLINICWIRE_KAFKA, CLINICWIRE_REDIS and CLINICWIRE_POSTGRES name
	# All targets: the end-to-end tests start the programs, which `cargo test` alone would not build.
	cargo build --workspace --all-targets
	cargo test --workspace
	npm test --prefix $(js)
	# The published clients of other languages. The program they start is no input that Go's cache of results knows of.
	cd $(go) && go test -count=1 ./...
	mvn -q -B -Dstyle.color=never -f $(java)/pom.xml test </dev/null
	$(venv)/bin/python -m unittest discover -s $(python)

.PHONY: k6
k6: ## a clinic's scenarios by k6, against the server that wrote READY_FILE, or one that is started for it; needs Go once
	loadtests/k6/run

.PHONY: lint
lint: install ## format, clippy, dependency directions, types of the pages, shell scripts
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test -p clinicwire-standalone --test dependencies
	npm run -s types --prefix $(js)
	$(tsc) -p $(js)/tsconfig.web.json
	$(tsc) -p $(js)/tsconfig.json
	npm run -s format:check --prefix $(js)
	cd $(go) && test -z "$$(gofmt -l .)" && go vet ./...
	shellcheck -x $(shell_scripts)

$(js)/node_modules: $(js)/package.json $(js)/package-lock.json
	npm ci --prefix $(js) </dev/null
	@touch $@

$(venv)/.installed: $(python)/requirements.txt
	python3 -m venv $(venv)
	$(venv)/bin/pip install -q --disable-pip-version-check -r $<
	@touch $@
