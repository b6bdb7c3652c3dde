# make demo: everything on one machine. make test: every check.

ARGS      ?=
TESTFLAGS ?= -timeout=30m
BENCH     ?= .
FUZZTIME  ?= 1m
DURATION  ?= 10m
SEED      ?=
RACE      ?= -race
RUN       ?=

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
IMAGE   ?= understudy:$(VERSION)
APP     := github.com/understudy-worker/understudy/app
LDFLAGS := -X $(APP).buildVersion=$(VERSION) -X $(APP).buildCommit=$(COMMIT)

# The modules of this repository: its own, and those of examples and benchmarks.
MODULES := . $(patsubst %/go.mod,%,$(wildcard examples/*/go.mod bench/go.mod))

# The tests of the manifests are a module too. They go without the race detector
# and without go test's own vet, for which all that they import of Kubernetes would
# be gone through once more; and are not cached, as they read files of other modules.
MANIFESTS := manifests

# The packages whose tests fill the machine by themselves: nothing else runs beside them.
CONTAINERS := understudy/integration

.PHONY: help demo test integration soak cluster screenshots build image lint bench microbench fuzz clean

help: ## Say what can be made
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile

demo: ## Run two versions, production and preview, on this machine (ARGS="--script promote,undo")
	@hack/install-tools.sh demo $(ARGS)
	@$(MAKE) --no-print-directory build
	@exec bin/understudy demo $(ARGS)

test: ## Check everything: formatting, vet, staticcheck, tests with the race detector
	@hack/install-tools.sh test $(TESTFLAGS)
	@$(MAKE) --no-print-directory lint
	@set -e; for module in $(MODULES); do \
		echo "== go test -race $$module"; \
		(cd $$module && CGO_ENABLED=1 go test -race $(TESTFLAGS) $$(go list ./... | grep -v $(CONTAINERS))); \
	done
	@echo "== go test $(MANIFESTS)"
	@cd $(MANIFESTS) && go test -vet=off -count=1 $(TESTFLAGS) ./...
	@echo "== go test -race ./integration/..."
	@CGO_ENABLED=1 go test -race -p 1 -count=1 $(TESTFLAGS) ./integration/...

integration: ## Run the tests in containers alone (UNDERSTUDY_POSTGRES_IMAGE=postgres:15; RACE= to be quicker; RUN=pattern)
	@hack/install-tools.sh test $(TESTFLAGS)
	CGO_ENABLED=1 go test $(RACE) -p 1 -count=1 $(TESTFLAGS) $(RUN:%=-run '%') ./integration/...

soak: ## Break everything at random for DURATION (SEED=n for the faults of another soak)
	@hack/install-tools.sh test
	UNDERSTUDY_TEST_SOAK_DURATION=$(DURATION) UNDERSTUDY_TEST_SOAK_SEED=$(SEED) CGO_ENABLED=1 \
		go test -race -count=1 -v -timeout=0 -run '^TestASoak' ./integration

cluster: ## Drive the manifests on the cluster that KUBECONFIG names, with the image IMAGE
	UNDERSTUDY_TEST_IMAGE=$(IMAGE) go test -tags cluster -count=1 -v -timeout=40m $(RUN:%=-run '%') ./integration/cluster

screenshots: ## Take the pictures of all pages in docs/images anew
	@hack/install-tools.sh test
	go test -count=1 -v -run '^TestPictures' ./integration/browser -pictures=$(CURDIR)/docs/images

build: ## Build bin/understudy
	go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/understudy ./cmd/understudy

image: ## Build the image understudy:VERSION (VERSION=1.0, or IMAGE=name:tag)
	@hack/install-tools.sh image
	go_image=$$(hack/go-image.sh) && docker build --build-arg GO_IMAGE=$$go_image --build-arg GOPROXY --build-arg GOSUMDB \
		--build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) --tag $(IMAGE) .

lint: ## Check formatting, go vet and staticcheck
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then \
		echo "not formatted, run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	@cd hack/tools && go build -buildvcs=false -o ../../bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	@set -e; for module in $(MODULES) $(MANIFESTS); do \
		echo "== go vet, staticcheck $$module"; \
		(cd $$module && go vet ./... && $(CURDIR)/bin/staticcheck ./...); \
	done
	@go vet -tags cluster ./integration/cluster && bin/staticcheck -tags cluster ./integration/cluster

bench: ## Compare with River and gue on one server (ARGS="-measures drain,latency -rounds 5"; -h lists all)
	@hack/install-tools.sh test -short
	cd bench && go run . $(ARGS)

microbench: ## Run the benchmarks of the parts (BENCH=pattern)
	@hack/install-tools.sh test -short
	@set -e; for module in $(MODULES); do \
		(cd $$module && go test -run '^$$' -bench '$(BENCH)' -benchmem -timeout=1h ./...); \
	done

fuzz: ## Run every fuzz target for FUZZTIME
	@hack/fuzz.sh $(FUZZTIME)

clean: ## Remove what was built
	rm -rf bin
