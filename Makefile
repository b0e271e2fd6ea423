# make alone lists the targets. What they install goes to .tools/ and .venv/,
# what they build to dist/; git ignores all three.

GO         ?= go
TOOLS      := $(CURDIR)/.tools
GOLANGCI_VERSION := v2.15.0
GOLANGCI   := $(TOOLS)/bin/golangci-lint-$(GOLANGCI_VERSION)
FUNCTIONS  := ingest reconcile register
SEEDS      ?= 200
PYTHON     ?= python3

# The Python that the pinned packages are for, and what an environment needs.
HAS_PYTHON := $(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'

# Where goroutines really run side by side. Everything else is one at a time.
RACE       := ./functions/reconcile/... ./pkg/awscloud/...

# What has to compile on an operator's machine, whatever that is.
PORTABLE   := ./cmd/... ./pkg/... ./events/...

# go run does not know the commit.
SOAK       = mkdir -p dist && PLIMSOLL_COMMIT="$$(git describe --always --dirty 2>/dev/null)" $(GO) run ./cmd/plimsoll soak --seeds $(SEEDS)

export GOLANGCI_LINT_CACHE := $(TOOLS)/cache/golangci-lint

.DEFAULT_GOAL := help
.PHONY: help demo build synth test check format check-format vet lint check-modules generate check-fresh soak figures cost bench bench-lambda clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## replay a day of web traffic in the simulated cloud; needs Go only (ARGS='--seed 2')
	@echo "Building the command line. The first time takes two to three minutes on two cores, later times seconds."
	@$(GO) run ./cmd/plimsoll demo $(ARGS)

build: $(FUNCTIONS:%=dist/%/bootstrap) dist/plimsoll ## build the Lambda functions (linux/arm64), with zips and bills of materials, and the command line into dist/
	$(GO) run ./infra/pack $(FUNCTIONS:%=dist/%)

# -buildvcs=false: the bytes depend on the code alone, not on the commit.
.PHONY: $(FUNCTIONS:%=dist/%/bootstrap) dist/plimsoll
$(FUNCTIONS:%=dist/%/bootstrap): dist/%/bootstrap:
	GOOS=linux GOARCH=arm64 CGO_ENABLED=0 $(GO) build -buildvcs=false -tags lambda.norpc -trimpath -ldflags '-s -w' -o $@ ./functions/$*/bootstrap

dist/plimsoll:
	@mkdir -p dist
	$(GO) build -trimpath -o dist/ ./cmd/plimsoll

synth: build node_modules ## make the CloudFormation template of plimsoll.yaml (or of the example) into cdk.out/; needs Node
	npx cdk synth --quiet

node_modules: package-lock.json
	npm ci --no-audit --no-fund
	@touch $@

# The race detector needs a C compiler; without one its run is left out aloud. So
# are the tests that want Node: go shows no output of a package that passes.
test: .venv/requirements.txt ## run all tests, and the race detector where goroutines meet; go prints each package's time
	@command -v node >/dev/null || echo "LEFT OUT: the deployment's tests and moto's, for want of Node"
	$(GO) test ./...
	@if [ "$$($(GO) env CGO_ENABLED)" = 1 ] && command -v "$$($(GO) env CC)" >/dev/null; then \
		echo "$(GO) test -race $(RACE)"; $(GO) test -race $(RACE); \
	else echo "LEFT OUT: the race detector, for want of a C compiler"; fi

# The environment is whole once it has the copy that the tests compare. Without
# Python they leave out what needs it, which fails where CI is set. Most of what
# is installed never runs: what does is compiled then.
.venv/requirements.txt: test/peer/requirements.txt
	@if ! $(HAS_PYTHON) 2>/dev/null; then echo "LEFT OUT: moto and cfn-lint, for want of Python 3.11 with venv"; exit 0; fi; \
	echo "Installing moto and cfn-lint into .venv. This takes a minute or two, once."; \
	rm -rf .venv && $(PYTHON) -m venv .venv && \
	.venv/bin/python -m pip --disable-pip-version-check install --quiet --no-compile --require-hashes --requirement $< && cp $< $@

check: check-format vet lint check-modules check-fresh ## check format, vet, lint, go.mod and that generated files are fresh; wants everything committed

format: $(GOLANGCI) ## format the Go code in place
	$(GOLANGCI) fmt

check-format: $(GOLANGCI) ## show what format would change
	$(GOLANGCI) fmt --diff

# Each system compiles the AWS SDK once: minutes the first time.
vet: ## go vet for Linux, Windows and macOS
	@for os in linux windows darwin; do \
		echo "go vet for $$os"; GOOS=$$os $(GO) vet $(PORTABLE) || exit 1; \
	done

# Another clone on the same machine may lint too: the cache is our own.
lint: $(GOLANGCI) ## golangci-lint, which has staticcheck and gosec in it
	$(GOLANGCI) run --allow-parallel-runners

check-modules: ## show what go mod tidy would change
	$(GO) mod tidy -diff

# Generated files are written by the tests that compare them, with -update.
generate: ## write the generated files anew: docs/reasons.md, the schema, golden files
	@set -e; packages=$$(grep -rl --include='*_test.go' 'flag\.Bool("update"' cmd events functions pkg test 2>/dev/null | sed 's,/[^/]*$$,,; s,^,./,' | sort -u); \
	if [ -z "$$packages" ]; then echo "nothing is generated"; exit 0; fi; \
	for p in $$packages; do $(GO) test -count=1 "$$p" -update; done

check-fresh: generate ## fail if generate changed anything, or something is not committed
	@if ! git rev-parse --git-dir >/dev/null 2>&1; then echo "LEFT OUT: the clean tree, for want of git"; exit 0; fi; \
	changed=$$(git status --porcelain); \
	if [ -n "$$changed" ]; then \
		echo "The tree is not clean: commit what you changed; if you did not change it, make generate did."; \
		echo "$$changed"; git --no-pager diff --stat; exit 1; \
	fi; echo "clean tree: ok"

# Ten times the checks of make test, and hundreds of lease histories; crashes at
# every API call of a run; then all planted bugs, each a test case that has to be
# caught; then SEEDS runs.
soak: ## the long runs of leases, of crashes, of planted bugs, and of SEEDS=200 windows of scenarios with all faults
	PLIMSOLL_SOAK=1 $(GO) test -count=1 -timeout 60m ./pkg/store ./pkg/reconcile ./test/binary
	$(GO) test -count=1 -timeout 60m -v -run TestACrashAtAnyCallLeadsToTheSameEnd ./pkg/scenario -every-crash
	@$(GO) test -count=1 -v -run Planted ./pkg/store ./pkg/reconcile ./pkg/scenario ./pkg/soak | awk -f test/planted.awk
	@$(SOAK)

figures: ## run SEEDS=200 windows of scenarios with all faults, and write docs/reliability.json and .md anew by them
	@$(SOAK) --json > dist/reliability.json && mv dist/reliability.json docs/reliability.json
	$(GO) test -count=1 -run Reliability ./pkg/soak -update

cost: ## count anew what the controller costs, for docs/operations.md: many minutes
	$(GO) run ./cmd/plimsoll cost --json > docs/cost.json.new
	mv docs/cost.json.new docs/cost.json
	$(GO) test -count=1 -run TestThePage ./cmd/plimsoll -update

bench: ## run the benchmarks of the planner and of the simulated cloud
	$(GO) test -run '^$$' -bench . -benchmem ./pkg/plan/ ./pkg/simcloud/

# Medians of several runs; PLIMSOLL_BENCH_RUNS=25 takes more of them.
bench-lambda: ## measure the functions' binaries beside bare programs with the same clients; writes dist/bench-lambda.json
	@mkdir -p dist
	PLIMSOLL_BENCH=$(CURDIR)/dist/bench-lambda.json $(GO) test -count=1 -timeout 30m -run '^TestBenchLambda$$' -v ./test/binary | grep -v '^=== \|^--- PASS\|^PASS\|^ok'

clean: ## remove what build made (the tools stay: rm -r .tools .venv)
	rm -rf dist cdk.out

$(GOLANGCI):
	@echo "Building golangci-lint $(GOLANGCI_VERSION). This takes minutes, once."
	@mkdir -p $(TOOLS)/bin
	GOBIN=$(TOOLS)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv $(TOOLS)/bin/golangci-lint $@
