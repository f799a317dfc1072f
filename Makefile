# What people type first. Everything else is `cargo xtask`.
.PHONY: demo test bench fuzz install prepare help
SHELL := /bin/sh
export PATH := $(PATH):$(if $(CARGO_HOME),$(CARGO_HOME),$(HOME)/.cargo)/bin

TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
SENSOR := $(TARGET)/release/mcp-sensor
# The captures of real MCP traffic that come with the project.
MCP := $(sort $(wildcard fixtures/captures/d*.pcap))

help:
	@echo 'make demo    build, replay the captures that come with the project, show the servers in them'
	@echo 'make test    every check and test'
	@echo 'make bench   benchmarks, and the score on the captures'
	@echo 'make fuzz    every fuzz target for a minute (nightly toolchain and cargo-fuzz)'
	@echo 'make install the program, its manual and its service, after cargo build --release --locked'

prepare:
	@sensor/xtask/prepare.sh

demo: prepare
	cargo build --release --locked
	@echo
	@echo '$$ mcp-sensor replay --table fixtures/captures/d*.pcap'
	@$(SENSOR) replay --table $(MCP)
	@echo
	@echo 'The same as events, one JSON object a line:'
	@echo '  $(SENSOR) replay -o - fixtures/captures/d02_py1124_streamable.pcap'
	@echo 'Your own capture:'
	@echo '  $(SENSOR) replay YOUR.pcap'

test:
	@sensor/xtask/prepare.sh test
	cargo xtask check

bench: prepare
	cargo bench --locked -p benches
	cargo run --release --locked --quiet -p benches --bin score -- fixtures/captures/MANIFEST.json fixtures/captures

fuzz: prepare
	@for target in $(basename $(notdir $(wildcard sensor/fuzz/fuzz_targets/*.rs))); do \
		cargo xtask fuzz $$target 60 || exit 1; \
	done

install:
	install -D -m 755 $(SENSOR) $(DESTDIR)/usr/bin/mcp-sensor
	install -D -m 644 deploy/systemd/mcp-sensor.service $(DESTDIR)/usr/lib/systemd/system/mcp-sensor.service
	install -D -m 644 deploy/systemd/mcp-sensor-proxy.service $(DESTDIR)/usr/lib/systemd/system/mcp-sensor-proxy.service
	install -D -m 644 deploy/systemd/mcp-sensor.sysusers.conf $(DESTDIR)/usr/lib/sysusers.d/mcp-sensor.conf
	install -d $(DESTDIR)/usr/share/man/man1
	$(SENSOR) man --dir $(DESTDIR)/usr/share/man/man1
	test -e $(DESTDIR)/etc/mcp-sensor/sensor.toml || \
		install -D -m 644 deploy/sensor.toml $(DESTDIR)/etc/mcp-sensor/sensor.toml
	test -e $(DESTDIR)/etc/mcp-sensor/proxy.toml || \
		install -D -m 644 deploy/proxy.toml $(DESTDIR)/etc/mcp-sensor/proxy.toml
