# Copyright 2026 The Karo Authors
# SPDX-License-Identifier: Apache-2.0

SHELL := /bin/bash
.DEFAULT_GOAL := help

# Binaries are static; only the race detector of the unit tests needs cgo.
export CGO_ENABLED ?= 0

.PHONY: help
help: ## Show what there is
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# What karo-apiserver --version, /version and the metric karo_build_info say.
VERSION ?= $(shell git describe --tags --always --dirty)
REVISION ?= $(shell git rev-parse HEAD)
LDFLAGS = -s -w -X github.com/prometheus/common/version.Version=$(VERSION) -X github.com/prometheus/common/version.Revision=$(REVISION)

.PHONY: build
build: ## Build bin/karo-apiserver
	go build -ldflags "$(LDFLAGS)" -o bin/karo-apiserver ./cmd/apiserver

IMAGE ?= localhost/karo:$(VERSION)
ARCHITECTURES ?= amd64 arm64

.PHONY: image
image: ## Build the image for amd64 and arm64, without Docker, into the OCI archive bin/karo-image.tar
	for arch in $(ARCHITECTURES); do \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch go build -trimpath -ldflags "$(LDFLAGS)" -o bin/linux-$$arch/karo-apiserver ./cmd/apiserver || exit 1; \
	done
	go -C hack/tools/image run . -out $(CURDIR)/bin/karo-image.tar -name $(IMAGE) -version $(VERSION) -revision $(REVISION) \
		$(foreach arch,$(ARCHITECTURES),linux/$(arch)=$(CURDIR)/bin/linux-$(arch)/karo-apiserver)

# What make starts is the demo itself, so that it learns how make ends; go run would be in between.
.PHONY: bin/demo
bin/demo:
	@[[ -e $@ ]] || echo "compiling the demo, which takes about a minute the first time"
	@go build -o $@ ./hack/demo

.PHONY: run
run: bin/demo ## Start a cluster with Karo, send one alert, and stay up (first time: about 10 minutes of compiling)
	@exec bin/demo -stay

.PHONY: demo
demo: bin/demo ## The same, but end once the Job of the alert has completed
	@exec bin/demo

.PHONY: test
test: test-unit test-integration test-chaos ## Run all tests

.PHONY: test-unit
test-unit: ## Run the tests that need no cluster, with the race detector
	CGO_ENABLED=1 KUBE_CACHE_MUTATION_DETECTOR=true go test -race ./cmd/... ./hack/... ./pkg/...

.PHONY: test-integration
test-integration: ## Run the tests against a real control plane with a real Alertmanager
	go test -count=1 -timeout=40m -v ./test/integration/...

.PHONY: test-chaos
test-chaos: ## Break what Karo stands on for half a minute, and count the Jobs (about 4 minutes)
	go test -count=1 -timeout=20m -v ./test/chaos/

# How long the faults go on, and what they come from: 0 takes a seed from the clock, and prints it.
CHAOSTIME ?= 30m
SEED ?= 0

.PHONY: chaos
chaos: ## The same for CHAOSTIME (default: 30m), with 10,000 alerts in half an hour, plus about 10 minutes; SEED plans the same again
	go test -count=1 -timeout=0 -v ./test/chaos/ -seed=$(SEED) -duration=$(CHAOSTIME)

# The lines of the benchmark to measure, as a regular expression, and where the results go as JSON.
BENCH ?= .
BENCH_JSON ?= bin/bench.json

.PHONY: bench
bench: ## Measure what Karo promises about its speed, as ratios (5 to 20 minutes, as the machine is; BENCH='storm|ingest' for some)
	go build -o bin/bench ./test/bench
	@bin/bench -only '$(BENCH)' -json '$(BENCH_JSON)'

# How long each fuzz target runs. Little of it goes into making inputs smaller, which by default may take all of it.
FUZZTIME ?= 2m

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (default: 2m each)
	@set -o errexit -o pipefail; \
	targets=$$(go test -list '^Fuzz' ./pkg/... | \
		awk '/^Fuzz/ {t[n++] = $$1} /^ok/ {for (i = 0; i < n; i++) print $$2, t[i]; n = 0}'); \
	[[ -n "$$targets" ]] || { echo "there are no fuzz targets" >&2; exit 1; }; \
	while read -r package target; do \
		echo "fuzzing $$target of $$package for $(FUZZTIME)"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s "$$package"; \
	done <<<"$$targets"

.PHONY: verify
verify: ## Check format, lint, generated code and documentation
	hack/verify-format.sh
	hack/verify-codegen.sh
	hack/verify-docs.sh
	hack/verify-lint.sh

.PHONY: update
update: ## Mend what verify finds
	hack/update-codegen.sh
	hack/update-docs.sh
	hack/update-format.sh
	hack/update-lint.sh
