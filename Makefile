# One command each. `make` alone lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
EVENTS ?= events/http-api-first.json events/http-api-returning.json
FUZZ_SECONDS ?= 600
# Where `make invoke` and `make doctor` keep sessions: cookie, memory or memcached; if it is empty, as .env says.
STORE ?=
LOCAL_FEATURES = cli$(if $(filter memcached,$(STORE)),$(comma)memcached)
comma := ,
IN_STORE = $(if $(STORE),SESSION_STORE=$(STORE)) $(if $(filter memcached,$(STORE)),e2e/with-memcached.sh)
# The function as it is deployed: all features but the command line's, which would bring more of the AWS SDK along; and no
# TRACE lines, which are 0.3 MB (DESIGN.md, "What does it cost?").
export FUNCTION_FEATURES = memcached,ssm,tracing/release_max_level_debug
BUILD_FUNCTION = $(CARGO) build --locked --release --features $(FUNCTION_FEATURES) --bin bootstrap
export CARGO_TERM_COLOR ?= auto

.PHONY: help
help: ## This list
	@grep -hE '^[a-zA-Z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: toolchain
toolchain:
	@command -v $(CARGO) >/dev/null || { echo "cargo is not here: install Rust 1.88 or later (https://rustup.rs), then run this again" >&2; exit 3; }
	@command -v cc >/dev/null || { echo "installing a C linker: build-essential" >&2; apt-get update -qq && apt-get install -y -qq build-essential; }

.PHONY: python
python:
	@command -v python3 >/dev/null || { echo "installing python3: tests start a function written in it" >&2; apt-get update -qq && apt-get install -y -qq python3; }

# The real memcached, and openssl for its throw-away certificates.
.PHONY: peers
peers:
	@command -v memcached >/dev/null && command -v openssl >/dev/null || { echo "installing memcached and openssl: tests talk to the real ones" >&2; apt-get update -qq && apt-get install -y -qq memcached openssl; }

.PHONY: invoke
invoke: toolchain .env ## Build the example and play sample events through it (EVENTS="events/…" STORE=memcached)
	$(CARGO) build --locked --quiet --features $(LOCAL_FEATURES) --bins
	$(IN_STORE) target/debug/lambda-session invoke $(EVENTS)

.PHONY: serve
serve: toolchain .env ## The example on http://localhost:3000, as a front door of AWS would serve it (AS=rest STORE=memcached)
	$(CARGO) build --locked --quiet --features $(LOCAL_FEATURES) --bins
	$(IN_STORE) target/debug/lambda-session serve $(if $(AS),--as $(AS))

.PHONY: doctor
doctor: toolchain ## Whether secrets, settings and store are good, and what to do where not (STORE=memcached)
	$(CARGO) build --locked --quiet --features cli,memcached --bins
	$(if $(STORE),SESSION_STORE=$(STORE)) target/debug/lambda-session doctor

.env: | toolchain
	$(CARGO) build --locked --features $(LOCAL_FEATURES) --bins
	@echo "no .env here: making one with a fresh secret (mode 0600, ignored by git)"
	umask 077 && target/debug/lambda-session secret --env > .env.new && mv .env.new .env

.PHONY: keys
keys: ## How to make the ring of keys in SSM that template.yaml reads, once a stage
	@echo "The function reads the keys that seal its sessions from one SecureString in SSM Parameter Store. CloudFormation"
	@echo "cannot make a SecureString, so make it once a stage, with a role that may write it, before the first deployment:"
	@echo
	@echo "  cargo install --locked --path . --features cli,ssm"
	@echo "  lambda-session keys init --parameter /lambda-session/prod/session/keys"
	@echo
	@echo "or, to take along the secrets of a .env file and the sessions that they sealed:"
	@echo
	@echo "  lambda-session keys import .env --parameter /lambda-session/prod/session/keys"
	@echo
	@echo "--kms-key ID encrypts it with a key of your own; give that to the template's KeysKmsKeyId as well. Then:"
	@echo
	@echo "  sam build && sam deploy    # --parameter-overrides KeysParameter=… where it has another name"
	@echo
	@echo "docs/deploying-with-sam.md goes on from there;"
	@echo "docs/rotating-secrets.md has the schedule, the roles, and what each command does to people's sessions."

.PHONY: test
test: toolchain python peers ## All tests, with all features and with none
	$(CARGO) test --locked --all-features
	$(CARGO) test --locked --no-default-features --lib --tests

.PHONY: e2e
e2e: build ## The built function in Lambda's own emulator, in cargo lambda, and deployed by SAM with curl and Chromium
	e2e/run.sh

# They are built by `make bench` and `make fuzz` alone, each with versions of its own.
OTHER_CRATES = benches/peers benches/peers/plain_fetch benches/memcached benches/serve fuzz
.PHONY: lint
lint: toolchain ## Format, clippy with warnings denied, the template
	$(CARGO) fmt --all --check
	@for crate in $(OTHER_CRATES); do \
	  $(CARGO) fmt --manifest-path $$crate/Cargo.toml --check; \
	  $(CARGO) update --locked --workspace --quiet --manifest-path $$crate/Cargo.toml || { echo "$$crate/Cargo.lock is not up to date" >&2; exit 1; }; \
	done
	$(CARGO) clippy --locked --all-targets --all-features -- -D warnings
	$(CARGO) clippy --locked --no-default-features --lib -- -D warnings
	$(CARGO) check --locked --features cli,ssm --bins
	e2e/tools.sh
	e2e/lint-template.sh

.PHONY: doc
doc: toolchain ## The documentation, with warnings denied
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --all-features

.PHONY: check
check: lint test doc e2e ## All that a change must pass

.PHONY: bench
bench: toolchain peers ## Speed beside named peers, in one run: per event, cold start, memory; then in process
	CARGO_TARGET_DIR=target/peers $(CARGO) build --locked --release --bin bootstrap
	$(BUILD_FUNCTION)
	CARGO_TARGET_DIR=target/peers $(CARGO) build --locked --release --manifest-path benches/peers/Cargo.toml
	CARGO_TARGET_DIR=target/peers $(CARGO) build --locked --release --manifest-path benches/peers/plain_fetch/Cargo.toml
	target/peers/release/drive --ours target/peers/release/bootstrap
	target/peers/release/drive --ours target/release/bootstrap --plain-fetch target/peers/release/plain_fetch --only-fetches
	$(CARGO) bench --locked --bench session
	$(MAKE) bench-memcached
	$(MAKE) bench-serve

.PHONY: bench-memcached
bench-memcached: toolchain peers ## The memcached client beside named peers: per deed, per node, what it says besides
	CARGO_TARGET_DIR=target/peers $(CARGO) build --locked --release --manifest-path benches/memcached/Cargo.toml
	target/peers/release/lambda-session-bench-memcached

# cargo lambda watch builds with the same flags, so it finds its work done; Rust's own servers are put out of its reach, lest it fetches a toolchain.
SERVE_FLAGS = --locked --profile quick --features cli
.PHONY: bench-serve
bench-serve: toolchain ## What `serve` adds to a request, beside `cargo lambda watch`
	e2e/tools.sh
	$(CARGO) build $(SERVE_FLAGS) --bins
	CARGO_TARGET_DIR=target/peers $(CARGO) build --locked --release --manifest-path benches/serve/Cargo.toml
	PATH="$$PWD/.tools/venv/bin:$$PATH" RUSTUP_DIST_SERVER=http://127.0.0.1:1 RUSTUP_UPDATE_ROOT=http://127.0.0.1:1 \
	  target/peers/release/lambda-session-bench-serve target/quick/bootstrap target/quick/lambda-session \
	  $$(PATH="$$PWD/.tools/venv/bin:$$PATH"; command -v cargo-lambda >/dev/null && echo cargo lambda watch $(SERVE_FLAGS) \
	    --bin bootstrap --ignore-changes --disable-cors --invoke-address 127.0.0.1 --invoke-port)

.PHONY: faults
faults: toolchain peers ## What the session store must survive, done to it: figures owed and measured (FAULTS="F5")
	@$(CARGO) test --locked --profile quick --no-default-features --features memcached --test faults -- $(FAULTS)

.PHONY: load
load: toolchain peers ## serve with four environments under 1,000 requests a second of mixed sessions (LOAD=10 STORE=memcached)
	@$(CARGO) test --locked --profile quick --features cli,memcached --test load --no-run
	@$(IN_STORE) $(CARGO) test --locked --profile quick --features cli,memcached --test load -- $(LOAD)

.PHONY: fuzz
fuzz: toolchain ## Every fuzz target for FUZZ_SECONDS (600)
	fuzz/run.sh $(FUZZ_SECONDS)

.PHONY: build
build: toolchain ## The example and the command line, as released
	$(CARGO) build --locked --release --all-features --bins

# What `sam build` calls for the function in template.yaml.
.PHONY: build-SessionFunction
build-SessionFunction:
	CARGO="$(CARGO)" deploy/build.sh "$(ARTIFACTS_DIR)"

.PHONY: build-tools
build-tools: ## cargo-lambda and zig, with which `sam build` builds for the other architecture
	deploy/tools.sh

.PHONY: arm64-check
arm64-check: toolchain peers ## Builds the function for arm64 with Debian's Rust and zig, and lets it answer events under qemu
	$(CARGO) build --locked --quiet --features cli --bin lambda-session
	deploy/arm64-check.sh
