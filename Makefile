# linnet: `make` builds the library and the tool, `make demo` shows them at work,
# `make test` tests them. Needs a C compiler and make. Everything made goes to build/.
#
#   make                    build/liblinnet.a, build/liblinnet.so, build/linnet
#   make demo               a network classifies digits
#   make test               the tests that need only a compiler (minutes)
#   make check-all          more: sanitizers, every damaged file, the other compiler
#   make bench              kernels and models, GFLOP/s and share of the measured peak
#   make amalgam            build/linnet.c + build/linnet.h, the library in one file
#   make install DESTDIR= PREFIX= LIBDIR=
#
# Options: CC=clang CFLAGS=... BUILD=dir DEFS=-DLN_NO_THREADS

BUILD   ?= build
PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
CC      ?= cc
AR      ?= ar
CFLAGS  ?= -O2 -g
WARN    ?= -Wall -Wextra -Wpedantic -Wshadow -Wvla -Wstrict-prototypes
DEFS    ?=
VERSION := $(shell awk '/define LINNET_VERSION_(MAJOR|MINOR|PATCH)/ { v = v s $$3; s = "." } END { print v }' include/linnet.h)
MAJOR   := $(firstword $(subst ., ,$(VERSION)))

# FP contraction is off so that an expression gives the same bits on every level.
ALL_CFLAGS = -std=c11 $(CFLAGS) $(WARN) -ffp-contract=off -Iinclude -I$(BUILD) $(DEFS)
LIB_CFLAGS = $(ALL_CFLAGS) -fPIC -fvisibility=hidden -DLINNET_BUILD
LIBS       = -lm -pthread

ROOMS   := base cpu tensor kernel op graph plan format api
LIB_SRC := $(foreach r,$(ROOMS),$(sort $(wildcard src/$(r)/*.c)))
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/obj/%.o)
CLI_SRC := $(sort $(wildcard src/cli/*.c))
CLI_OBJ := $(CLI_SRC:%.c=$(BUILD)/obj/%.o)
OP_SRC  := $(sort $(wildcard src/op/*.c))

all: $(BUILD)/liblinnet.a $(BUILD)/liblinnet.so $(if $(CLI_SRC),$(BUILD)/linnet)

# The list of operators is read off the operator files; there is no second place.
$(BUILD)/op_list.h: $(OP_SRC) Makefile
	@mkdir -p $(BUILD)
	@sed -n 's/^const ln_op ln_op_\([a-z0-9_]*\) =.*/X(\1)/p' $(OP_SRC) | LC_ALL=C sort > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(BUILD)/obj/%.o: %.c $(BUILD)/op_list.h
	@mkdir -p $(@D)
	$(CC) $(LIB_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/liblinnet.a: $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/liblinnet.so: $(LIB_OBJ)
	$(CC) $(CFLAGS) -shared -Wl,-soname,liblinnet.so.$(MAJOR) -Wl,--no-undefined -o $@.$(VERSION) $^ $(LDFLAGS) $(LIBS)
	@ln -sf liblinnet.so.$(VERSION) $@.$(MAJOR)
	@ln -sf liblinnet.so.$(VERSION) $@

# libpng reads PNG files in the tool and the examples where it is installed.
PNG_CFLAGS := $(shell pkg-config --cflags libpng 2>/dev/null && echo -DHAVE_PNG)
PNG_LIBS   := $(shell pkg-config --libs libpng 2>/dev/null)
$(CLI_OBJ): ALL_CFLAGS += -D_POSIX_C_SOURCE=200809L $(PNG_CFLAGS)
$(BUILD)/linnet: $(CLI_OBJ) $(BUILD)/liblinnet.a
	$(CC) $(CFLAGS) -o $@ $^ $(LDFLAGS) $(PNG_LIBS) $(LIBS)

clean:
	rm -rf $(BUILD)

-include $(LIB_OBJ:.o=.d) $(CLI_OBJ:.o=.d)
.PHONY: all clean
