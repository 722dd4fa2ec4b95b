# Packages and releases: docs/packaging.md, docs/releasing.md. Included by the Makefile.

PACKAGES   := rkt rkt-dev $(addprefix rkt-,$(PLUGINS))
OUT        ?= $(DIST)/packages
STAGE      := $(DIST)/stage
# Who answers for the packages; a releaser says.
MAINTAINER ?= nobody <nobody@invalid>
NFPM       := GOARCH=$(shell go env GOHOSTARCH) go tool -modfile=packaging/tools.mod nfpm
# What QEMU's packages are called.
QEMU_amd64 := x86
QEMU_arm64 := arm
QEMU_RPM_amd64 := x86
QEMU_RPM_arm64 := aarch64
RELEASE_ENV := VERSION='$(VERSION)' PKG_ARCH='$(GOARCH)' MAINTAINER='$(MAINTAINER)' STAGE='$(STAGE)' \
               QEMU_ARCH='$(QEMU_$(GOARCH))' QEMU_RPM='$(QEMU_RPM_$(GOARCH))'

.PHONY: install-rkt install-system install-dev packages packages-built packages-next packages-test guest-packages-test release release-test

# install-system: units, users, directories, manual, completions, documents, the vendor's settings.
install-system:
	for u in packaging/systemd/*; do \
	  install -d $(DESTDIR)$(PREFIX)/lib/systemd/system && \
	  sed 's|@PREFIX@|$(PREFIX)|' $$u > $(DESTDIR)$(PREFIX)/lib/systemd/system/$${u##*/} && \
	  chmod 0644 $(DESTDIR)$(PREFIX)/lib/systemd/system/$${u##*/} || exit 1; \
	done
	install -D -m 0644 packaging/sysusers.d/rkt.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/rkt.conf
	install -D -m 0644 packaging/tmpfiles.d/rkt.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/rkt.conf
	install -D -m 0644 packaging/rkt.toml $(DESTDIR)$(PREFIX)/lib/rkt/rkt.toml
	cd $(DIST)/share && for f in $$(find * -type f); do \
	  install -D -m 0644 $$f $(abspath $(DESTDIR)/$(PREFIX))/share/$$f || exit 1; \
	done
	for f in README.md ARCHITECTURE.md $$(find docs packaging/examples -type f); do \
	  install -D -m 0644 $$f $(DESTDIR)$(PREFIX)/share/doc/rkt/$${f#packaging/} || exit 1; \
	done

# install-dev: what authors of plugins read and run.
install-dev:
	cd proto && for f in $$(find rkt -name '*.proto' | sort); do \
	  install -D -m 0644 $$f $(abspath $(DESTDIR)/$(PREFIX))/share/rkt/proto/$$f || exit 1; \
	done
	for f in $$(find docs/plugins* $(wildcard docs/errors.md docs/on-disk.md docs/stability.md docs/conformance.md) -type f); do \
	  install -D -m 0644 $$f $(DESTDIR)$(PREFIX)/share/doc/rkt-dev/$$f || exit 1; \
	done
	if [ -e $(DIST)/bin/rkt-conformance ]; then \
	  install -D -m 0755 $(DIST)/bin/rkt-conformance $(DESTDIR)$(PREFIX)/bin/rkt-conformance; \
	fi

# packages builds everything and makes a deb and an rpm of each package below OUT.
packages: build
	$(MAKE) packages-built

packages-built: $(addprefix package-,$(PACKAGES))

package-%: stage-%
	mkdir -p $(OUT)
	$(RELEASE_ENV) $(NFPM) package -f packaging/nfpm/$*.yaml -p deb -t $(OUT)/ > /dev/null
	$(RELEASE_ENV) $(NFPM) package -f packaging/nfpm/$*.yaml -p rpm -t $(OUT)/ > /dev/null

# A package's tree, with its bill of materials and licences, every date that of the sources.
stage-%:
	rm -rf $(STAGE)/$*
	mkdir -p $(STAGE)/$*
	umask 022; case $* in \
	rkt)     t=install-rkt ;; \
	rkt-dev) t=install-dev ;; \
	*)       t=install-plugin-$(patsubst rkt-%,%,$*) ;; \
	esac; $(MAKE) $$t PREFIX=/usr DESTDIR=$(STAGE)/$*
	$(GORUN) ./packaging/inventory -name $* -version $(VERSION) -license LICENSE -out $(STAGE)/$*/usr/share/doc/$* $(STAGE)/$*
	if [ $* = rkt ]; then \
	  install -d -m 0755 $(addprefix $(STAGE)/rkt/etc/rkt/,plugins plugins.d net.d) && \
	  install -d -m 0700 $(STAGE)/rkt/etc/rkt/auth.d; \
	fi
	find $(STAGE)/$* -path '*/man/*' -type f -exec gzip -9n {} +
	find $(STAGE)/$* -exec touch -h -d @$(SOURCE_DATE_EPOCH) {} +

# What the tests upgrade to: the same sources under a later version.
NEXT       := 2.9.9
packages-next: packages
	$(MAKE) packages VERSION=$(NEXT) DIST=$(DIST)/next
	RKT_TEST_BUILD_FIXTURES=$(CURDIR)/$(DIST)/fixtures go test -count=1 ./tests/e2e

# packages-test installs, upgrades, removes and purges the packages in clean roots, with real dpkg and rpm.
packages-test: packages-next
	tests/packaging/run $(DIST)

# guest-packages-test does so under systemd, in the emulated machine of tests/guest.
guest-packages-test: packages-next
	tests/guest/run tests/guest/packages.sh

# release-test makes a release twice, with a key of its own.
release-test:
	tests/packaging/release.sh

# release VERSION=1.2.3 KEY=FINGERPRINT MAINTAINER='Name <mail>': docs/releasing.md
release:
	packaging/release '$(VERSION)' '$(KEY)' '$(MAINTAINER)'
