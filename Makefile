# fieldpost. `make help` lists the targets.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
# The date of the commit, not of the build: two builds give the same bytes.
BUILT   ?= $(shell TZ=UTC0 git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null || echo 2026-01-01T00:00:00Z)
LDFLAGS := -s -w -buildid= -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.built=$(BUILT)
GOBUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)'
PLATFORMS := arm64 arm amd64
# The race detector needs a C compiler.
RACE := $(if $(shell command -v gcc || command -v clang),-race)

.DEFAULT_GOAL := help
.PHONY: help run build stamps test bridge systemtest board lint vulncheck fuzz bench trials soak clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## the whole of fieldpost on this machine: gateway, hub simulator, readings, commands
	@mkdir -p .demo/bin
	@CGO_ENABLED=0 go build -ldflags '$(LDFLAGS)' -o .demo/bin/ ./cmd/fieldpost ./cmd/hubsim ./scripts/demo
	@exec .demo/bin/demo

build: ## fieldpost and hubsim for linux/arm64, arm and amd64 in dist/
	@for arch in $(PLATFORMS); do \
	  for cmd in fieldpost hubsim; do \
	    GOOS=linux GOARCH=$$arch GOARM=6 $(GOBUILD) -o dist/$$cmd-linux-$$arch ./cmd/$$cmd || exit 1; \
	  done; \
	done; ls -l dist

# What a second build needs to give the same bytes, as shell assignments.
stamps:
	@echo "VERSION='$(VERSION)' COMMIT='$(COMMIT)' BUILT='$(BUILT)'"

# The queue's tests take longest, so they begin first. Tests wait for disks and devices
# more than they calculate, so more packages run at a time than there are processors.
test: ## all tests, the outage test with real processes included
	go vet ./...
	go test -p 4 $(RACE) ./storeforward $$(go list ./... | grep -v /scripts/systemtest)
	go test -count=1 -timeout 5m ./scripts/systemtest

bridge: ## the microcontroller's side of firmware-bridge: built for AVR and PC, its sizes, its tests; with the gateway
	$(MAKE) -C firmware-bridge/c all check footprint arduino trial fuzz
	go vet -tags bridge ./scripts/systemtest
	go test -tags bridge -count=1 -timeout 5m -parallel 16 -v -run '^TestBridge' ./scripts/systemtest

systemtest: ## the wider system tests, with foreign parts: as root, after make build; .ci/run installs what they need
	go vet -tags wide ./scripts/systemtest
	go test -tags wide -count=1 -timeout 20m -v -run '^('$$(sed -n '/^func Test/s/^func \(Test[A-Za-z0-9_]*\).*/\1/p' $$(grep -l '^//go:build wide' scripts/systemtest/*_test.go) | paste -sd'|')')$$' ./scripts/systemtest

board: ## fieldpost on emulated arm64 boards, a Raspberry Pi too, with the kernel's real drivers
	scripts/board/prepare .cache/board
	scripts/board/qemu10 .cache/qemu10
	GOOS=linux GOARCH=arm64 $(GOBUILD) -o dist/fieldpost-linux-arm64 ./cmd/fieldpost
	go vet -tags board ./scripts/systemtest
	go test -tags board -count=1 -timeout 10m -v -run '^TestBoard' ./scripts/systemtest

# Its linters include all of staticcheck; its formatter is gofumpt, which looks
# into the modules below this one too.
GOLANGCI := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

lint: ## golangci-lint: gofumpt, staticcheck and the rules of .golangci.yml
	$(GOLANGCI) fmt --diff
	$(GOLANGCI) run --build-tags wide,board,avr,bridge ./...

vulncheck: ## known vulnerabilities in what the programs really call
	@out=$$(go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./... 2>&1); code=$$?; echo "$$out"; \
	  case "$$out" in *"fetching vulnerabilities"*) echo "not checked: the database of vulnerabilities cannot be reached from here";; \
	  *) exit $$code;; esac

FUZZTIME ?= 100000x

fuzz: ## FUZZTIME (100000x, runs) for each decoder of outside bytes
	scripts/fuzz $(FUZZTIME)

bench: ## the queue beside a raw log, a segmented log and bbolt (10 min), then the other packages
	cd storeforward/bench && go run . -json ../../bench.json
	go test -run '^$$' -bench . -benchmem ./gateway/... ./drivers/...

trials: ## the queue on a disk that loses its power, is full, fails or is read-only: as root
	cd storeforward/trials && go vet ./... && go test -count=1 -timeout 10m -v ./...

soak: ## 400 power cuts, 3,600 kills at steps of the queue's and of commands' way, 1,000 random walks, 100,000 frames over a bad line (an hour)
	cd storeforward/trials && STOREFORWARD_CUT_ROUNDS=400 go test -count=1 -timeout 60m -v -run PowerCut .
	STOREFORWARD_CRASH_ROUNDS=3000 go test -count=1 -timeout 60m -v -run Kill9 ./storeforward
	COMMAND_KILL_ROUNDS=600 go test -count=1 -timeout 60m -v -run Kill9 ./gateway/command
	go test -count=1 -timeout 60m -run RandomWalks ./storeforward -rapid.checks=1000 -rapid.steps=60
	$(MAKE) -C firmware-bridge/c host avr
	FIELDPOST_BRIDGE_FRAMES=100000 go test -tags bridge -count=1 -timeout 60m -parallel 16 -v -run '^TestBridge' ./scripts/systemtest

clean: ## remove what the targets above have made
	rm -rf dist .demo .cache bench.json firmware-bridge/c/build
