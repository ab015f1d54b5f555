# gcw: one non-recursive Makefile; `make help` lists the targets.
# Everything it makes goes below $(B) (default: build), one folder a variant (build, build/asan, ...).

VERSION := 0.1.0
SOVERSION := 0
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
BINDIR ?= $(PREFIX)/bin
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
B ?= build

CC ?= cc
PKG_CONFIG ?= pkg-config
PROTOC_C ?= protoc-c
PYTHON ?= python3

# ---- what is built from what -----------------------------------------------------------------------------------

FLOORS := base model codec batch queue deliver net config writer
LIB_SRC := $(foreach f,$(FLOORS),$(sort $(wildcard plugin/$(f)/*.c)))
CLI_SRC := $(sort $(wildcard plugin/input/*.c) $(wildcard plugin/cli/*.c) $(wildcard plugin/cli/*/*.c))
PROTO_SRC := $(sort $(wildcard proto/*.proto))
TEST_SRC := $(sort $(wildcard tests/unit/*/test_*.c))
SUPPORT_SRC := $(sort $(wildcard tests/support/*.c))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
BENCH_SRC := $(sort $(wildcard bench/*.c))

# ---- flags ---------------------------------------------------------------------------------------------------------

WARN := -Wall -Wextra -Werror -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
        -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wswitch-enum -Wcast-qual
HARDEN := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fcf-protection -fPIC
OPT ?= -O2 -g
DEFS := -D_GNU_SOURCE -DGCW_BUILD_VERSION='"$(VERSION)"'
SAN ?=
# The same bytes whoever builds, wherever: no build paths, no time stamps (SOURCE_DATE_EPOCH is not needed).
REPRO := -ffile-prefix-map=$(CURDIR)=.

HAVE_LIBDEFLATE := $(shell $(PKG_CONFIG) --exists libdeflate 2>/dev/null && echo yes)
LIB_PKGS := libcurl zlib libprotobuf-c
ifeq ($(HAVE_LIBDEFLATE),yes)
DEFS += -DHAVE_LIBDEFLATE
DEFLATE_LIBS = $(shell $(PKG_CONFIG) --libs libdeflate)
endif
LIB_LIBS = $(shell $(PKG_CONFIG) --libs $(LIB_PKGS)) $(DEFLATE_LIBS) -lsnappy -lm -pthread
CLI_LIBS = $(shell $(PKG_CONFIG) --libs libmicrohttpd jansson)

CFLAGS_ALL := -std=c11 $(OPT) $(WARN) $(if $(SAN),,$(HARDEN)) -fPIC $(REPRO) $(DEFS) -fvisibility=hidden -pthread \
              -Iplugin -I$(B)/gen $(if $(SAN),-fno-omit-frame-pointer $(SAN)) $(CFLAGS)
LDFLAGS_ALL := $(if $(SAN),$(SAN),-Wl,-z,relro,-z,now,-z,noexecstack) -Wl,--as-needed -pthread $(LDFLAGS)

# ---- rules -----------------------------------------------------------------------------------------------------------

obj = $(patsubst %.c,$(B)/obj/%.o,$(1))
GEN_C := $(patsubst proto/%.proto,$(B)/gen/%.pb-c.c,$(PROTO_SRC))
GEN_O := $(GEN_C:$(B)/gen/%.c=$(B)/obj/gen/%.o)
LIB_O := $(call obj,$(LIB_SRC))
CLI_O := $(call obj,$(CLI_SRC))

.DEFAULT_GOAL := all
.PHONY: all
all: $(B)/gcw $(B)/libgcw.a $(B)/libgcw.so $(B)/gcw.pc man ## library, tool, pkg-config file, man pages

$(B)/gen/%.pb-c.c $(B)/gen/%.pb-c.h: proto/%.proto
	@mkdir -p $(B)/gen
	$(PROTOC_C) --c_out=$(B)/gen --proto_path=proto $<

$(B)/obj/gen/%.o: $(B)/gen/%.c
	@mkdir -p $(@D)
	$(CC) -std=c11 $(OPT) -fPIC $(REPRO) -fvisibility=hidden -I$(B)/gen $(SAN) -c -o $@ $<

# Generated headers exist before anything that may include them.
$(B)/obj/%.o: %.c | $(GEN_C)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(B)/libgcw.a: $(LIB_O) $(GEN_O)
	@rm -f $@
	$(AR) rcsD $@ $^

$(B)/libgcw.so.$(VERSION): $(LIB_O) $(GEN_O)
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
	  'Version: $(VERSION)' 'Libs: -L$${libdir} -lgcw' 'Libs.private: -lcurl -lprotobuf-c -lsnappy -lz -lm -pthread' \
	  'Cflags: -I$${includedir}' > $@

# ---- tests -------------------------------------------------------------------------------------------------------------

TEST_BIN := $(patsubst tests/unit/%.c,$(B)/tests/%,$(TEST_SRC))
SUPPORT_O := $(call obj,$(SUPPORT_SRC))
TEST_LIBS = -lcmocka

# Unit tests see every floor's private headers, and the tool's input floor and stand-in receiver (all but main).
TESTABLE_CLI_O := $(filter-out $(B)/obj/plugin/cli/main.o,$(CLI_O))
$(B)/tests/%: $(B)/obj/tests/unit/%.o $(SUPPORT_O) $(TESTABLE_CLI_O) $(B)/libgcw.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIB_LIBS) $(CLI_LIBS) $(TEST_LIBS)
$(B)/obj/tests/%.o: CFLAGS += -Itests

.PHONY: unit-bins
unit-bins: $(TEST_BIN)

FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(FUZZ_SRC))
$(B)/fuzz/%: tests/fuzz/%.c $(TESTABLE_CLI_O) $(B)/libgcw.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -fsanitize=fuzzer -o $@ $^ $(LDFLAGS_ALL) $(LIB_LIBS) $(CLI_LIBS)

.PHONY: clean
clean: ## remove all build folders
	rm -rf build

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-zA-Z_.-]+:.*## /{printf "  %-14s %s\n",$$1,$$2}' $(MAKEFILE_LIST)

.PHONY: man
man:

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
