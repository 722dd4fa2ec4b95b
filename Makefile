# rkt: build, install and test. `make` needs Go alone; the other targets name what they miss.

VERSION  ?= 2.0.0-dev
PREFIX   ?= /usr
DESTDIR  ?=
GOARCH   ?= $(shell go env GOARCH)
DIST     ?= dist
PLUGINS  ?= fetcher-docker fetcher-aci verifier-openpgp network-cni stage1-linux stage1-qemu stage1-lkvm

MODULE   := github.com/rkt/rkt/v2
LIB      := $(DIST)/lib/rkt/plugins
# The same sources give the same bytes: no paths, no VCS stamp, no build id.
STATIC  := -trimpath -buildvcs=false -tags=grpcnotrace -ldflags="-s -w -buildid= -X main.version=$(VERSION)"
# The date of what carries one.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
GOBUILD  := CGO_ENABLED=0 GOOS=linux GOARCH=$(GOARCH) go build $(STATIC)
# What runs while building is this machine's, whatever is built.
HOSTARCH := $(shell go env GOHOSTARCH)
GORUN    := CGO_ENABLED=0 GOARCH=$(HOSTARCH) go run $(STATIC)
# What network-cni drives besides its built-in types, from the CNI project's own module.
CNI      := bridge firewall host-local ipvlan loopback macvlan portmap ptp static tuning
CNI_PKG_bridge     := main/bridge
CNI_PKG_host-local := ipam/host-local
CNI_PKG_ipvlan     := main/ipvlan
CNI_PKG_loopback   := main/loopback
CNI_PKG_macvlan    := main/macvlan
CNI_PKG_portmap    := meta/portmap
CNI_PKG_ptp        := main/ptp
CNI_PKG_static     := ipam/static
CNI_PKG_tuning     := meta/tuning
CNI_PKG_firewall   := meta/firewall

.PHONY: all build rkt plugins share conformance cni install demo test check unit e2e race race-quick fuzz bench cross reproducible contract generate freeze guest-test guest-vm-test clean

all: build

build: rkt plugins share conformance

rkt:
	$(GOBUILD) -o $(DIST)/bin/rkt ./cmd/rkt
	$(GOBUILD) -o $(DIST)/lib/rkt/rkt-finish ./cmd/rkt-finish

# Man pages and completions, from the same command tree as --help.
share:
	rm -rf $(DIST)/share
	$(GORUN) -tags=grpcnotrace,reference ./cmd/rkt $(DIST)/share

plugins: $(addprefix plugin-,$(PLUGINS))

# For vendors: docs/conformance.md.
conformance:
	$(GOBUILD) -o $(DIST)/bin/rkt-conformance ./sdk/conformance/cmd/rkt-conformance

# A plugin's manifest is what its binary says of itself, so the two cannot drift. When building for another
# architecture, one for this machine says it. The same with the schema of its configuration.
plugin-%:
	mkdir -p $(LIB)/$*
	$(GOBUILD) -o $(LIB)/$*/rkt-$* ./plugins/$*
	$(if $(filter $(HOSTARCH),$(GOARCH)),$(LIB)/$*/rkt-$*,$(GORUN) ./plugins/$*) manifest $(LIB)/$*

plugin-stage1-linux: stage1-linux-supervisor
stage1-linux-supervisor:
	mkdir -p $(LIB)/stage1-linux
	$(GOBUILD) -o $(LIB)/stage1-linux/rkt-stage1-linux-supervisor ./plugins/stage1-linux/supervisor

# The flavors that run a pod in a VM have a supervisor each, and the guest's program in common.
plugin-stage1-qemu plugin-stage1-lkvm: plugin-%: vm-%
vm-%:
	mkdir -p $(LIB)/$*
	$(GOBUILD) -o $(LIB)/$*/rkt-$*-supervisor ./plugins/$*/supervisor
	$(GOBUILD) -o $(LIB)/$*/rkt-vmguest ./sdk/vmguest/cmd/rkt-vmguest

plugin-network-cni: cni
cni:
	mkdir -p $(LIB)/network-cni
	for p in $(foreach c,$(CNI),$(c)=$(CNI_PKG_$(c))); do \
	  $(GOBUILD) -o $(LIB)/network-cni/$${p%%=*} github.com/containernetworking/plugins/plugins/$${p#*=} || exit 1; \
	done

# install puts a chosen set of plugins below PREFIX: make install DESTDIR=/tmp/x PLUGINS="stage1-linux fetcher-docker"
install: install-rkt $(addprefix install-plugin-,$(PLUGINS))

# What else belongs to a system's package is in packaging/packaging.mk.
install-rkt: install-system
	install -D -m 0755 $(DIST)/bin/rkt $(DESTDIR)$(PREFIX)/bin/rkt
	install -D -m 0755 $(DIST)/lib/rkt/rkt-finish $(DESTDIR)$(PREFIX)/lib/rkt/rkt-finish

install-plugin-%:
	install -d -m 0755 $(DESTDIR)$(PREFIX)/lib/rkt/plugins/$*
	for f in $(LIB)/$*/*; do \
	  case $$f in *.json) m=0644;; *) m=0755;; esac; \
	  install -m $$m $$f $(DESTDIR)$(PREFIX)/lib/rkt/plugins/$*/ || exit 1; \
	done

include packaging/packaging.mk

demo: build
	tests/prerequisites demo
	go run -buildvcs=false ./tests/demo -rkt $(DIST)/bin/rkt

# test is everything that CI runs. As root, since pods are made by root.
test: check contract unit race-quick build e2e

check:
	tests/prerequisites test
	test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "gofmt -w these files"; exit 1; }
	go vet ./...

# With kernels for guests: sdk/vmguest boots some, emulated, and the conformance tests of the flavors that are machines
# boot a hundred, for some minutes each: they begin, so that nothing waits for them at the end.
unit:
	tests/vmkernel -9p go test -p 2 -timeout=25m ./plugins/stage1-lkvm ./plugins/stage1-qemu ./core/... ./cmd/... ./proto/... ./sdk/... ./plugins/...

race:
	CGO_ENABLED=1 tests/vmkernel go test -race -p 2 ./core/... ./cmd/... ./proto/... ./sdk/...

# What is concurrent, less what takes minutes under the race detector.
RACE := ./core/engine ./core/execute ./core/pod ./core/pin ./core/lock ./core/failure ./core/verify ./core/trust ./cmd/rkt \
        ./proto/poddir ./sdk/fetcher ./sdk/stage1 ./sdk/supervise ./sdk/ocilayout ./sdk/internal/serve ./sdk/vmguest/agent \
        ./sdk/vmhost/supervisor ./sdk/vmhost/enter ./plugins/fetcher-docker/internal/registry ./plugins/fetcher-aci/internal/transfer
race-quick:
	CGO_ENABLED=1 go test -race -p 2 $(RACE)

# The scripts of testdata/flavor run on linux and, emulated, on qemu and lkvm; RKT_TEST_FLAVORS chooses.
e2e: build
	tests/vmkernel -9p go test -count=1 -timeout=40m ./tests/...

FUZZTIME ?= 20s
fuzz:
	for p in $$(grep -rl '^func Fuzz' --include='*_test.go' core cmd proto sdk plugins | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$p/*_test.go | sed 's/func //'); do \
	    go test -run='^$$' -fuzz="^$$f\$$" -fuzztime=$(FUZZTIME) ./$$p || exit 1; \
	  done; \
	done

bench: build
	tests/prerequisites bench
	tests/vmkernel go run -buildvcs=false ./tests/bench -rkt $(DIST)/bin/rkt

cross:
	$(MAKE) build GOARCH=amd64 DIST=$(DIST)/amd64
	$(MAKE) build GOARCH=arm64 DIST=$(DIST)/arm64

# reproducible builds twice, the second time from a copy at another path, and compares the bytes.
reproducible:
	tests/reproducible

# contract holds proto/ against its last release, and its generated code against its sources.
contract:
	tests/contract check

generate:
	tests/contract generate

# freeze makes the contract and the sdk's API as they are now the ones that later changes must not break: at a release.
freeze:
	tests/contract freeze

# guest-test is the end-to-end suite, and the units, under systemd and cgroup v2 in an emulated machine.
guest-test: build
	RKT_TEST_BUILD_FIXTURES=$(CURDIR)/$(DIST)/fixtures go test -count=1 ./tests/e2e
	tests/guest/run tests/guest/suite.sh

# guest-vm-test is the flavors' suite with real KVM, in the same machine with QEMU in it: about an hour.
# One processor: with two, QEMU 7.2 emulates the nesting no faster, and its guest has been seen to panic.
# RKT_TEST_LKVM names a kvmtool binary; without one that flavor is skipped, and said to be.
guest-vm-test: build
	RKT_TEST_BUILD_FIXTURES=$(CURDIR)/$(DIST)/fixtures go test -count=1 ./tests/e2e
	tests/guest/run -cpus 1 -memory 3072 -timeout 100m -package qemu-system-x86 -package qemu-system-common -package erofs-utils \
	  -kernel linux-image-cloud-amd64 -kernel linux-image-amd64 $(if $(RKT_TEST_LKVM),-file lkvm=$(RKT_TEST_LKVM)) \
	  -e RKT_TEST_FLAVORS="$(RKT_TEST_FLAVORS)" -e RKT_TEST_PARTS="$(RKT_TEST_PARTS)" -e RKT_TEST_SCRIPTS="$(RKT_TEST_SCRIPTS)" -e RKT_TEST_CHECKS="$(RKT_TEST_CHECKS)" tests/guest/vm.sh

clean:
	rm -rf $(DIST)
