SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
TOOLS := bin/tools
# Given to the scripts only if set on the command line or in the environment.
export KUBECONFIG REGISTRY KIND MINIKUBE
# Whatever has no race detector is compiled in the same way, so that lint, tools, images and tests find in Go's cache
# what one of them has compiled.
export CGO_ENABLED := 0
export GOFLAGS := $(strip $(shell go env GOFLAGS 2>/dev/null) -trimpath)
# Compilers, linkers and linters work with a larger heap and collect garbage less often, which takes a fifth of their
# processor time away.
dev demo e2e test soak simulate images build generate lint: export GOGC := 400
dev demo e2e test soak simulate images build generate lint: export GOMEMLIMIT := 3GiB
# Tests are not vetted on the way: that would be done again for all that they import, and make lint does it.
# Three packages at once, since they wait a lot.
RACE := CGO_ENABLED=1 GOFLAGS="$(filter-out -trimpath,$(GOFLAGS))" go test -race -vet=off -p 3
# In this order: the longest suite begins before the others of test/, so that it does not run on alone at the end.
PACKAGES := ./api/... ./operator/... ./orderd/... ./test/integration/operator ./...
RACE_RUN := CGO_ENABLED=1 GOFLAGS="$(filter-out -trimpath,$(GOFLAGS))" go run -race

.PHONY: help dev demo demo-down test e2e chaos soak simulate bench-orders bench-desk bench-flash build images generate lint clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

dev: ## a whole shop on this machine without a cluster: ARGS='-f config/samples -reset' (-h says what there is)
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then hack/cluster/database.sh install; fi
	@go build -ldflags "$$(hack/version.sh ldflags)" -o bin/dev/orderd-dev ./hack/dev
	@exec bin/dev/orderd-dev $(ARGS)

demo: ## hold one sale on a local cluster, or on another: KUBECONFIG=… REGISTRY=host/path, KIND=name or MINIKUBE=profile
	@hack/demo/prepare.sh
	@go run ./hack/demo run

demo-down: ## stop the local cluster and delete its data (KUBECONFIG=…: take orderd off that cluster)
	@hack/demo/down.sh

test: ## unit and integration tests with the race detector
	@hack/cluster/build.sh envtest
	@hack/cluster/build.sh tools
	@hack/cluster/database.sh install
	@hack/tools/browser.sh install
	cd hack/images && $(RACE) ./...
	KUBEBUILDER_ASSETS=$(CURDIR)/bin/kube KUBEBUILDER_CONTROLPLANE_START_TIMEOUT=60s XDG_CACHE_HOME=$(CURDIR)/bin/cache \
	  $(RACE) -timeout 30m $(PACKAGES)

e2e: ## the demo's path as a test, with pods and the operator killed, rolled and upgraded during sales
	@hack/demo/prepare.sh
	ORDERD_E2E_TARGET=$(CURDIR)/bin/demo/target.yaml go test -vet=off -tags e2e -count 1 -timeout 40m -v ./test/e2e -ginkgo.v -ginkgo.no-color

chaos: ## hold 200 sales of real processes while faults are injected, and audit each: SEEDS=first:count
	@hack/cluster/database.sh install
	go run ./test/chaos -seeds $(or $(SEEDS),1:200)

soak: ## let two operators look after two shops for SOAK=30m while all is changed and fails, and compare with fresh ones: SEED=n
	@hack/cluster/build.sh envtest
	@hack/cluster/database.sh install
	@mkdir -p bin/logs
	KUBEBUILDER_ASSETS=$(CURDIR)/bin/kube KUBEBUILDER_CONTROLPLANE_START_TIMEOUT=60s XDG_CACHE_HOME=$(CURDIR)/bin/cache \
	  $(RACE_RUN) ./test/soak -for $(or $(SOAK),30m) -seed $(or $(SEED),0)

simulate: ## run the flash lane's partitions in virtual time under 20,000 seeds of faults: SEEDS=first:count
	ORDERD_SIMULATION_SEEDS=$(or $(SEEDS),1:20000) go test -vet=off -count 1 -timeout 20m -v -run Simul ./orderd/flash/owner | \
	  awk '/^=== CONT/ && ++n % 1000 == 0 {print n " sales begun"; fflush()} !/^=== (RUN|PAUSE|CONT)|^ *--- PASS: .*\// {print; fflush()}'

bench-orders: ## measure the standard lane: PlaceOrder against alternatives, and the queries; under ten minutes
	@hack/cluster/database.sh install
	go run ./test/bench/orders

bench-desk: ## measure what staff wait for, at 100,000 to 10,000,000 orders; the first time it makes them, which takes long: ARGS='-most 1000000'
	@hack/cluster/database.sh install
	go run ./test/bench/desk $(ARGS)

bench-flash: ## measure the flash lane against its alternatives; under fifteen minutes
	@hack/cluster/database.sh install
	go run ./test/bench/flash

build: ## compile orderd, the operator and the demo into bin/
	ldflags=$$(hack/version.sh ldflags); \
	  go build -ldflags "$$ldflags" -o bin/ ./orderd ./operator; \
	  go build -ldflags "$$ldflags" -o bin/demo/ ./hack/demo

images: ## pack the container images into bin/images, or push them: REGISTRY=host/path
	@hack/images/build.sh orderd orderd-operator orderd-demo
	@grep '^ORDERD' bin/images/tags.env

generate: ## generate code, CRDs and RBAC from the protos and Go types
	@hack/tools/gen/generate.sh

lint: $(TOOLS)/golangci-lint $(TOOLS)/buf ## check Go code, custom resources, protos and the chart
	$(TOOLS)/golangci-lint run --allow-parallel-runners ./...
	cd hack/images && ../../$(TOOLS)/golangci-lint run --allow-parallel-runners ./...
	$(TOOLS)/buf lint api
	@hack/tools/lint/breaking.sh
	@hack/cluster/build.sh tools
	@hack/version.sh check
	$(TOOLS)/helm lint --strict --quiet charts/orderd
	@$(TOOLS)/helm template charts/orderd >/dev/null

clean: ## stop this clone's cluster and delete everything that was built
	@if [ "$$(cat /run/orderd-cluster/owner 2>/dev/null)" = "$(CURDIR)" ]; then hack/cluster/down.sh; fi
	rm -rf bin

$(TOOLS)/golangci-lint: hack/tools/lint/go.mod hack/tools/lint/go.sum
	@echo "building golangci-lint; the first time this takes about three minutes on two cores"
	cd hack/tools/lint && go build -o $(CURDIR)/$@ sigs.k8s.io/kube-api-linter/cmd/golangci-lint-kube-api-linter
	@touch $@

$(TOOLS)/buf: hack/tools/buf/go.mod hack/tools/buf/go.sum
	@echo "building buf; the first time this takes about two minutes on two cores"
	cd hack/tools/buf && go build -o $(CURDIR)/$@ github.com/bufbuild/buf/cmd/buf
	@touch $@
