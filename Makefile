# gcw: one non-recursive Makefile; `make help` lists the targets.
# Everything it makes goes below $(B) (default: build), one folder a variant (build, build/asan, ...).

ifneq ($(V),1) # V=1 shows the commands
MAKEFLAGS += -s --no-print-directory
endif

VERSION := 0.1.0
SOVERSION := 0
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
BINDIR ?= $(PREFIX)/bin
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
EXAMPLEDIR ?= $(PREFIX)/share/gcw
B ?= build

CC ?= cc
PKG_CONFIG ?= pkg-config
PROTOC_C ?= protoc-c
PYTHON ?= python3

# ---- what is built from what -----------------------------------------------------------------------------------

FLOORS := base model codec batch queue deliver net config writer
LIB_SRC := $(foreach f,$(FLOORS),$(sort $(wildcard plugin/$(f)/*.c)))
CLI_SRC := $(sort $(wildcard plugin/input/*.c) $(wildcard plugin/cli/*.c) $(wildcard plugin/cli/*/*.c))
HOSTS_FB_SRC := $(sort $(wildcard plugin/hosts/fluent-bit/*.c))
PROTO_SRC := $(sort $(wildcard proto/*.proto))
TEST_SRC := $(sort $(wildcard tests/unit/*/test_*.c))
SUPPORT_SRC := $(sort $(wildcard tests/support/*.c))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
BENCH_SRC := $(sort $(wildcard bench/*.c))

# collectd's write plugin needs collectd's headers (Debian: collectd-dev); where they lack, it is left out, and `make` says so.
COLLECTD_INCLUDE ?= /usr/include
COLLECTD_MODDIR ?= /usr/lib/collectd
COLLECTD_SRC := $(sort $(wildcard plugin/hosts/collectd/*.c))
HAVE_COLLECTD := $(wildcard $(COLLECTD_INCLUDE)/collectd/core/daemon/plugin.h)
COLLECTD_FLAGS := -DHAVE_CONFIG_H -isystem $(COLLECTD_INCLUDE)/collectd/core -isystem $(COLLECTD_INCLUDE)/collectd
COLLECTD_MODULE := $(if $(HAVE_COLLECTD),$(B)/collectd/grafana_cloud.so)

# ---- flags ---------------------------------------------------------------------------------------------------------

WARN := -Wall -Wextra -Werror -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
        -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wswitch-enum -Wcast-qual
HARDEN := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fcf-protection -fPIC
OPT ?= -O2 -g
DEFS := $(DEFS_SIM) -D_GNU_SOURCE -DGCW_BUILD_VERSION='"$(VERSION)"'
SAN ?=
# The same bytes whoever builds, wherever: no build paths, no time stamps (SOURCE_DATE_EPOCH is not needed).
REPRO := -ffile-prefix-map=$(CURDIR)=.

HAVE_LIBDEFLATE := $(shell $(PKG_CONFIG) --exists libdeflate 2>/dev/null && echo yes)
LIB_PKGS := libcurl zlib libprotobuf-c
ifeq ($(HAVE_LIBDEFLATE),yes)
DEFS += -DHAVE_LIBDEFLATE
DEFLATE_LIBS = $(shell $(PKG_CONFIG) --libs libdeflate)
endif
LIB_LIBS = $(shell $(PKG_CONFIG) --libs $(LIB_PKGS)) $(DEFLATE_LIBS) -lm -pthread
CLI_LIBS = $(shell $(PKG_CONFIG) --libs libmicrohttpd jansson) -lsnappy

CFLAGS_ALL := -std=c11 $(OPT) $(WARN) $(if $(SAN),,$(HARDEN)) -fPIC $(REPRO) $(DEFS) -fvisibility=hidden -pthread \
              -Iplugin -I$(B)/gen $(if $(SAN),-fno-omit-frame-pointer $(SAN)) $(CFLAGS)
LDFLAGS_ALL := $(if $(SAN),$(SAN),-Wl,-z,relro,-z,now,-z,noexecstack) -Wl,--as-needed -pthread $(LDFLAGS)

# ---- rules -----------------------------------------------------------------------------------------------------------

obj = $(patsubst %.c,$(B)/obj/%.o,$(1))
GEN_C := $(patsubst proto/%.proto,$(B)/gen/%.pb-c.c,$(PROTO_SRC))
GEN_O := $(GEN_C:$(B)/gen/%.c=$(B)/obj/gen/%.o)
# expositions are the tool's alone
LIB_GEN_O := $(filter-out %/metrics.pb-c.o,$(GEN_O))
LIB_O := $(call obj,$(LIB_SRC))
CLI_O := $(call obj,$(CLI_SRC))
# label_map_path is JSON, which input/ can read
HOSTS_FB_O := $(call obj,$(HOSTS_FB_SRC) plugin/input/json_scan.c)

.DEFAULT_GOAL := all
.SECONDARY: # objects of test programs are kept, for the next build
.PHONY: all
all: $(B)/gcw $(B)/libgcw.a $(B)/libgcw.so $(B)/gcw.pc man fluent-bit collectd ## library, tool, pkg-config file, man pages, host modules

$(B)/gen/%.pb-c.c $(B)/gen/%.pb-c.h: proto/%.proto $(PROTO_SRC)
	@mkdir -p $(B)/gen
	$(PROTOC_C) --c_out=$(B)/gen --proto_path=proto $<

$(B)/obj/gen/%.o: $(B)/gen/%.c $(B)/flags | $(GEN_C)
	@mkdir -p $(@D)
	$(CC) -std=c11 $(OPT) -fPIC $(REPRO) -fvisibility=hidden -I$(B)/gen $(SAN) -c -o $@ $<

# What was compiled with other flags, or before a library was there, is compiled again.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CFLAGS_ALL)' | cmp -s - $@ || echo '$(CC) $(CFLAGS_ALL)' > $@
.PHONY: FORCE
FORCE:

# Generated headers exist before anything that may include them.
$(B)/obj/%.o: %.c $(B)/flags | $(GEN_C)
	@mkdir -p $(@D)
	@echo '  CC      $@'
	$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(B)/libgcw.a: $(LIB_O) $(GEN_O)
	@rm -f $@
	$(AR) rcsD $@ $^

$(B)/libgcw.so.$(VERSION): $(LIB_O) $(LIB_GEN_O)
	$(CC) -shared -Wl,-soname,libgcw.so.$(SOVERSION) -Wl,-z,defs $(LDFLAGS_ALL) -o $@ $^ $(LIB_LIBS)

$(B)/libgcw.so: $(B)/libgcw.so.$(VERSION)
	ln -sf $(<F) $(B)/libgcw.so.$(SOVERSION)
	ln -sf libgcw.so.$(SOVERSION) $@

$(B)/gcw: $(CLI_O) $(B)/libgcw.a
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIB_LIBS) $(CLI_LIBS)

$(B)/gcw.pc: Makefile
	@mkdir -p $(@D)
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' 'includedir=$(INCLUDEDIR)' '' 'Name: gcw' \
	  'Description: Grafana Cloud writer: metrics by Prometheus remote write, logs by Loki push' \
	  'Version: $(VERSION)' 'Libs: -L$${libdir} -lgcw' 'Libs.private: -lcurl -lprotobuf-c -lz -lm -pthread' \
	  'Cflags: -I$${includedir}' > $@

# ---- modules for hosts -------------------------------------------------------------------------------------------------

# Modules live in other people's processes: they hold all they need but libcurl and libc, show nothing but their entry
# points, and are bound before they run. The archives are position independent as long as their names stay inside
# (--exclude-libs); -z text would say so if not. -z nodelete: threads and strings outlive the host's dlclose().
MODULE_FLAGS = -shared $(if $(SAN),,-Wl$(comma)-z$(comma)defs) -Wl,-z,text -Wl,-z,nodelete -Wl,-Bsymbolic -Wl,--exclude-libs,ALL
MODULE_LIBS ?= $(shell $(PKG_CONFIG) --libs libcurl) -Wl,-Bstatic -lprotobuf-c $(DEFLATE_LIBS) -lz -Wl,-Bdynamic -lm
comma := ,

.PHONY: fluent-bit
fluent-bit: $(B)/out_grafana_cloud.so ## Fluent Bit's output plugin
$(B)/out_grafana_cloud.so: $(HOSTS_FB_O) $(B)/libgcw.a plugin/hosts/fluent-bit/module.map
	$(CC) $(MODULE_FLAGS) -Wl,--version-script=plugin/hosts/fluent-bit/module.map $(LDFLAGS_ALL) -o $@ $(HOSTS_FB_O) \
	  $(B)/libgcw.a $(MODULE_LIBS)

# The same, but for -z defs: collectd's plugin API is in the program.
COLLECTD_O := $(call obj,$(COLLECTD_SRC))
$(COLLECTD_O): CFLAGS_ALL += $(COLLECTD_FLAGS)
$(B)/collectd/grafana_cloud.so: $(COLLECTD_O) $(B)/libgcw.a plugin/hosts/collectd/exports.map
	@mkdir -p $(@D)
	$(CC) $(filter-out -Wl$(comma)-z$(comma)defs,$(MODULE_FLAGS)) -Wl,--version-script=plugin/hosts/collectd/exports.map \
	  $(LDFLAGS_ALL) -o $@ $(COLLECTD_O) $(B)/libgcw.a $(MODULE_LIBS)

.PHONY: collectd
collectd: $(COLLECTD_MODULE) ## collectd's write plugin, below build/collectd
	@[ -n "$(HAVE_COLLECTD)" ] || echo "SKIPPED: collectd module: no headers in $(COLLECTD_INCLUDE)/collectd (Debian: collectd-dev)"

# ---- tests -------------------------------------------------------------------------------------------------------------

TEST_BIN := $(patsubst tests/unit/%.c,$(B)/tests/%,$(TEST_SRC))
SUPPORT_O := $(call obj,$(SUPPORT_SRC))
TEST_LIBS = -lcmocka

# Unit tests see every floor's private headers, the tool's input floor and stand-in receiver (all but main), and what the
# host modules are made of.
TESTABLE_CLI_O := $(filter-out $(B)/obj/plugin/cli/main.o,$(CLI_O))
$(B)/tests/%: $(B)/obj/tests/unit/%.o $(SUPPORT_O) $(TESTABLE_CLI_O) $(HOSTS_FB_O) $(B)/libgcw.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIB_LIBS) $(CLI_LIBS) $(TEST_LIBS)

# The small Fluent Bit loads the module of its own build, and exports what the real one does.
$(B)/tests/hosts/test_fluent_bit_module: $(B)/obj/tests/unit/hosts/flb_host.o | $(B)/out_grafana_cloud.so
$(B)/tests/hosts/test_fluent_bit_module: private LDFLAGS += -rdynamic

.PHONY: unit-bins
unit-bins: $(TEST_BIN)

# libFuzzer targets: clang, instrumented from the ground up, in a folder of their own.
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(FUZZ_SRC))
$(B)/fuzz/%: $(B)/obj/tests/fuzz/%.o $(TESTABLE_CLI_O) $(HOSTS_FB_O) $(B)/libgcw.a
	@mkdir -p $(@D)
	$(CC) -fsanitize=fuzzer $(LDFLAGS_ALL) -o $@ $^ $(LIB_LIBS) $(CLI_LIBS)

.PHONY: fuzz-bins
fuzz-bins: $(FUZZ_BIN)

VARIANT_asan := CC=clang OPT='-O1 -g' SAN='-fsanitize=address,undefined -fno-sanitize-recover=all'
VARIANT_tsan := CC=clang OPT='-O1 -g' SAN='-fsanitize=thread'
VARIANT_fuzz := CC=clang OPT='-O1 -g' SAN='-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all'
VARIANT_clang := CC=clang
VARIANT_sim := DEFS_SIM=-DGCW_PLANTS
VARIANT_sim-asan := $(VARIANT_asan) DEFS_SIM=-DGCW_PLANTS

# The simulator: queue/ and deliver/ with the planted faults compiled in, in a folder of its own.
SIM_O := $(call obj,$(sort $(wildcard tests/sim/*.c)))
$(B)/simulator: $(SIM_O) $(B)/libgcw.a
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIB_LIBS)

SEEDS ?= 20000
.PHONY: sim sim-build
sim: sim-build ## the delivery core against a virtual clock, network and disk: SEEDS=N schedules, then the planted faults
	build/sim/simulator --seeds $(SEEDS)
	build/sim/simulator --plants --seeds 20000
sim-build:
	$(MAKE) B=build/sim $(VARIANT_sim) build/sim/simulator
	$(MAKE) B=build/sim-asan $(VARIANT_sim-asan) build/sim-asan/simulator

.PHONY: asan tsan clang fuzz-build
asan: ## library, tool and unit tests with AddressSanitizer and UBSan, below build/asan
	$(MAKE) B=build/asan $(VARIANT_asan) build/asan/gcw unit-bins
tsan: ## the same with ThreadSanitizer, below build/tsan
	$(MAKE) B=build/tsan $(VARIANT_tsan) build/tsan/gcw unit-bins
clang: ## the same with clang and no sanitizer: a second compiler's warnings
	$(MAKE) B=build/clang $(VARIANT_clang) build/clang/gcw unit-bins
fuzz-build:
	$(MAKE) B=build/fuzz $(VARIANT_fuzz) fuzz-bins

FUZZ_SECONDS ?= 300
.PHONY: fuzz
fuzz: fuzz-build ## run each fuzz target for FUZZ_SECONDS (default 300)
	tests/run fuzz $(FUZZ_SECONDS)

# What is installed decides how things are built: so these look for it first, and then begin anew.
.PHONY: test demo bench now-test now-demo now-bench
test demo bench: deps
	$(MAKE) now-$@
test: ## everything: unit, sanitizers, short fuzz, real servers
demo: ## push this machine's metrics and a log file to a stand-in receiver, show what arrived
bench: ## measure beside the peers: table, JSON and SVG below build/bench

now-test: all unit-bins bench-bins asan tsan clang fuzz-build sim-build
	tests/run all

.PHONY: test-unit test-system valgrind peers
test-unit: unit-bins ## unit tests of the plain build
	tests/run unit
test-system: all ## tests against real servers
	tests/run system
valgrind: unit-bins ## unit tests under valgrind
	tests/run valgrind
peers: all ## scrape awkward targets beside Prometheus 3 and vmagent, compare what each forwards
	$(PYTHON) -B tests/system/peers_scrape.py

# ---- documentation ---------------------------------------------------------------------------------------------------

.PHONY: man docs
man: $(B)/gcw.1 $(B)/gcw.conf.5
$(B)/gcw.1: $(B)/gcw
	$(B)/gcw help man gcw > $@
$(B)/gcw.conf.5: $(B)/gcw
	$(B)/gcw help man gcw.conf > $@
docs: $(B)/gcw ## write doc/options.md and vendor-notes/answers.md from their tables
	$(B)/gcw help options --markdown > doc/options.md
	$(B)/gcw help answers --markdown > vendor-notes/answers.md

# ---- the two commands, and installing ------------------------------------------------------------------------------------

now-demo: all
	tests/demo $(B)/gcw

# bench/bench_*.c are programs, what else lies beside them they share.
BENCH_BIN := $(patsubst bench/%.c,$(B)/bench/bin/%,$(filter bench/bench_%.c,$(BENCH_SRC)))
BENCH_O := $(call obj,$(filter-out bench/bench_%.c,$(BENCH_SRC)))
$(B)/bench/bin/%: $(B)/obj/bench/%.o $(BENCH_O) $(HOSTS_FB_O) $(B)/libgcw.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIB_LIBS) -lsnappy

.PHONY: bench-bins
bench-bins: $(BENCH_BIN)
now-bench: all bench-bins
	bench/run --build $(B) $(BENCH_FLAGS)

# CPU per value of collectd's write plugins, ours beside write_http; values come from a plugin of its own.
$(B)/bench/bench_source.so: bench/collectd/source.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O2 -Wall -Wextra -fPIC -shared -fvisibility=hidden $(COLLECTD_FLAGS) -o $@ $<
.PHONY: bench-collectd
bench-collectd: deps all $(if $(HAVE_COLLECTD),$(B)/bench/bench_source.so) ## collectd: CPU per value, ours beside write_http
	bench/collectd/run

.PHONY: deps
deps: ## apt-get what is missing
	@tests/deps

.PHONY: install
install: all ## to DESTDIR and PREFIX: tool, library, header, pkg-config file, man pages; modules where their hosts look
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(LIBDIR)/fluent-bit $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man5
	install -m 755 $(B)/gcw $(DESTDIR)$(BINDIR)/gcw
	install -m 644 $(B)/libgcw.a $(DESTDIR)$(LIBDIR)/libgcw.a
	install -m 755 $(B)/libgcw.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libgcw.so.$(VERSION)
	ln -sf libgcw.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libgcw.so.$(SOVERSION)
	ln -sf libgcw.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/libgcw.so
	install -m 755 $(B)/out_grafana_cloud.so $(DESTDIR)$(LIBDIR)/fluent-bit/out_grafana_cloud.so
	install -m 644 plugin/include/gcw.h $(DESTDIR)$(INCLUDEDIR)/gcw.h
	sed -e 's|^prefix=.*|prefix=$(PREFIX)|; s|^libdir=.*|libdir=$(LIBDIR)|; s|^includedir=.*|includedir=$(INCLUDEDIR)|' $(B)/gcw.pc > $(DESTDIR)$(LIBDIR)/pkgconfig/gcw.pc
	install -m 644 $(B)/gcw.1 $(DESTDIR)$(MANDIR)/man1/gcw.1
	install -m 644 $(B)/gcw.conf.5 $(DESTDIR)$(MANDIR)/man5/gcw.conf.5
	for host in collectd rsyslog syslog-ng; do install -D -m 644 -t $(DESTDIR)$(EXAMPLEDIR)/$$host plugin/hosts/$$host/*.conf; done
	install -D -m 644 -t $(DESTDIR)$(EXAMPLEDIR)/fluent-bit plugin/hosts/fluent-bit/examples/*
	install -D -m 644 -t $(DESTDIR)$(EXAMPLEDIR)/scrape plugin/cli/scrape/examples/*
ifneq ($(HAVE_COLLECTD),)
	install -d $(DESTDIR)$(COLLECTD_MODDIR)
	install -m 644 $(B)/collectd/grafana_cloud.so $(DESTDIR)$(COLLECTD_MODDIR)/grafana_cloud.so
endif

# ---- keeping house -----------------------------------------------------------------------------------------------------------

ALL_C := $(shell git ls-files '*.c' '*.h' 2>/dev/null)
.PHONY: format lint lint-format lint-includes lint-tidy lint-cppcheck
format: ## clang-format every source in place
	clang-format -i $(ALL_C)
lint: lint-format lint-includes lint-cppcheck lint-tidy ## formatting, layering, cppcheck, clang-tidy
lint-format:
	clang-format --dry-run -Werror $(ALL_C)
lint-includes:
	tests/lint-includes
lint-cppcheck:
	cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --enable=warning,portability --suppress=missingIncludeSystem \
	  --suppress=normalCheckLevelMaxBranches -D__GNUC__ -Iplugin plugin
lint-tidy: $(GEN_C)
	@printf '%s\n' $(filter-out $(if $(HAVE_COLLECTD),,plugin/hosts/collectd/%),$(filter plugin/%.c,$(ALL_C))) | \
	  xargs -P $$(nproc) -n 8 sh -c 'clang-tidy --quiet "$$@" -- -std=c11 $(DEFS) $(COLLECTD_FLAGS) -Iplugin -I$(B)/gen' -

.PHONY: clean
clean: ## remove the build folder
	rm -rf build

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-zA-Z_.-]+:.*## /{printf "  %-14s %s\n",$$1,$$2}' Makefile

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
