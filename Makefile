# Muster. `make` alone lists what there is.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS   += --no-print-directory

# The Go that is there is the Go that is used; binaries and tests are pure Go.
export GOTOOLCHAIN := local
export CGO_ENABLED := 0
# For builds and tests alike, so that they share what is compiled. The version is stamped below,
# and a checkout owned by another user must build too.
export GOFLAGS += -trimpath -buildvcs=false

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BUILD   := go build -ldflags '-s -w -X muster/internal/cli.Version=$(VERSION)'

# Pinned; built once through the Go module proxy and kept by version.
LINT_VERSION := 2.15.0
LINT         := .cache/bin/golangci-lint-$(LINT_VERSION)

# One of each system; the other processor differs in nothing that is ours.
PLATFORMS := linux/arm64 windows/amd64 darwin/arm64

.PHONY: help demo build test race check lint fix cross bench soak cover clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' Makefile
	@echo
	@echo '  make demo ARGS=--once hands its arguments through; make bench and make soak take ARGS for go test.'

demo: build ## gather an emulated tenant into SQLite, a day passes, gather again, show what changed
	./bin/muster demo $(ARGS)

build: ## build bin/muster
	$(BUILD) -o bin/muster ./cmd/muster

test: ## run all tests, in a new order each time
	go test -shuffle=on -timeout 10m $(ARGS) ./...

race: ## run all tests under the race detector; needs a C compiler
	@if command -v "$${CC:-gcc}" >/dev/null; then \
		echo 'go test -race ./...'; CGO_ENABLED=1 go test -race -shuffle=on -timeout 20m $(ARGS) ./...; \
	else \
		echo 'NOT RUN: the race detector needs a C compiler, and there is none (Debian: apt-get install gcc libc6-dev).'; \
	fi

check: lint cross ## format, vet, lint, modules, generated files, and a build for every platform
	go vet ./...
	go mod tidy -diff
	go test -run 'Golden|Generated' ./...

lint: $(LINT) ## format and linter alone
	$(LINT) run ./...

fix: $(LINT) ## format, and mend what the linter can mend by itself
	$(LINT) run --fix ./...

$(LINT):
	@echo 'building golangci-lint $(LINT_VERSION), once, about a minute'
	@mkdir -p $(@D)
	GOBIN=$(abspath $(@D)) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$(LINT_VERSION)
	@mv $(@D)/golangci-lint $@

cross: ## build for every platform, keep nothing
	@for platform in $(PLATFORMS); do \
		echo "build $$platform"; GOOS=$${platform%/*} GOARCH=$${platform#*/} $(BUILD) -o /dev/null ./cmd/muster; \
	done

bench: ## gather a million findings, beside the floor and the goals; BENCH=100k or 10m for other sizes
	go test -run '^$$' -bench . -benchtime 1x -timeout 180m $(ARGS) ./internal/bench

soak: ## the long fault suites, of which make test runs a sample
	MUSTER_SOAK=1 go test -count 1 -timeout 120m $(ARGS) ./...

cover: ## tests with coverage, as bin/coverage.html
	@mkdir -p bin
	go test -coverpkg ./... -coverprofile bin/coverage.out ./...
	go tool cover -html bin/coverage.out -o bin/coverage.html

clean: ## remove what was built, but not the cached linter
	rm -rf bin dist
