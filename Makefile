# linnet: `make` builds the library and the tool, `make demo` shows them at work,
# `make test` tests them. Needs a C compiler and make. Everything made goes to build/.
#
#   make                    build/liblinnet.a, build/liblinnet.so, build/linnet
#   make demo               a network classifies digits
#   make test               the tests that need only a compiler (minutes)
#   make check-ulp          the elementary functions over all 2^32 floats (an hour)
#   make check-torch, soak  recurrent layers against PyTorch; a stream of a million steps
#   make check-all          more: sanitizers, every damaged file, the other compiler
#   make conformance        the ONNX backend cases, counted per class and operator (Python, numpy, onnx)
#   make bench              kernels and models, GFLOP/s and share of the measured peak
#   make bench-start        what a fresh process pays before it runs steadily; MODELS=
#   make bench-peers        the same models on other engines; MODELS= THREADS= PEERS=--layers
#   make amalgam            build/linnet.c + build/linnet*.h, the library in one file
#   make install DESTDIR= PREFIX= LIBDIR=
#
# Options: CC=clang CFLAGS=... BUILD=dir DEFS="-DLN_NO_THREADS -DLN_NO_MMAP"

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
# Nothing is thrown through C; sections let a program that links the archive leave out what it does not reach.
LIB_CFLAGS = $(ALL_CFLAGS) -fPIC -fvisibility=hidden -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections -DLINNET_BUILD
SLIM      := $(shell echo 'int main(void) { return 0; }' | $(CC) -Wl,--gc-sections -x c - -o /dev/null 2>/dev/null && echo -Wl,--gc-sections)
LIBS       = -lm -pthread

ROOMS   := base cpu tensor kernel op graph plan format api text
LIB_SRC := $(foreach r,$(ROOMS),$(sort $(wildcard src/$(r)/*.c)))
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/obj/%.o)
CLI_SRC := $(sort $(wildcard src/cli/*.c)) examples/image.c
CLI_OBJ := $(CLI_SRC:%.c=$(BUILD)/obj/%.o)
OP_SRC  := $(sort $(wildcard src/op/*.c))

all: $(BUILD)/liblinnet.a $(BUILD)/liblinnet.so $(BUILD)/linnet

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
	$(CC) $(CFLAGS) -shared -Wl,-soname,liblinnet.so.$(MAJOR) -Wl,--no-undefined $(SLIM) -o $@.$(VERSION) $^ $(LDFLAGS) $(LIBS)
	@ln -sf liblinnet.so.$(VERSION) $@.$(MAJOR)
	@ln -sf liblinnet.so.$(VERSION) $@

# libpng reads PNG files in the tool and the examples where it is installed.
PNG_CFLAGS := $(shell pkg-config --cflags libpng 2>/dev/null && echo -DHAVE_PNG)
PNG_LIBS   := $(shell pkg-config --libs libpng 2>/dev/null)
$(CLI_OBJ): ALL_CFLAGS += -D_POSIX_C_SOURCE=200809L $(PNG_CFLAGS)
$(BUILD)/linnet: $(CLI_OBJ) $(BUILD)/liblinnet.a
	$(CC) $(CFLAGS) -o $@ $^ $(LDFLAGS) $(PNG_LIBS) $(LIBS)

# ---- examples ----------------------------------------------------------------------

EXAMPLE_SHARED := audio example image
EXAMPLE_OBJ := $(EXAMPLE_SHARED:%=$(BUILD)/obj/examples/%.o)
EXAMPLES := $(patsubst examples/%.c,$(BUILD)/examples/%,$(filter-out $(EXAMPLE_SHARED:%=examples/%.c),\
                $(wildcard examples/*.c examples/*/*.c)))
examples: $(EXAMPLES)
$(BUILD)/examples/%: examples/%.c $(EXAMPLE_OBJ) $(BUILD)/liblinnet.a
	@mkdir -p $(@D)
	$(CC) -std=c11 $(CFLAGS) $(WARN) -D_POSIX_C_SOURCE=200809L -Iinclude -Iexamples -o $@ $^ $(LDFLAGS) $(PNG_LIBS) $(LIBS)

# Digits drawn by hand, then the 10,000 test images where the data set is beside the project; sentences, dates.
demo: all examples
	@$(BUILD)/examples/classify --top 3 --show examples/mnist/mnist.lnt examples/mnist/digits/*.pgm
	@$(BUILD)/examples/mnist/evaluate examples/mnist/mnist.lnt ../shared/datasets/mnist
	@$(BUILD)/examples/sentiment/sentiment examples/sentiment/sentiment.lnt \
	    "The plot was hardly a masterpiece, but I loved it." "Not bad at all." "The room could have been better."
	@$(BUILD)/examples/translate/translate examples/translate \
	    "the twenty-first of June, nineteen eighty-four, at half past three in the afternoon" \
	    "am 3. Oktober neunzehnhundertneunzig" "le quatorze juillet mil sept cent quatre-vingt-neuf"

# ---- tests ----------------------------------------------------------------------

TEST_SRC  := tests/run.c tests/test.c $(sort $(wildcard tests/api/*.c tests/op/*.c tests/format/*.c tests/text/*.c))
CHECK_SRC := $(filter-out tests/check/ulp.c,$(sort $(wildcard tests/check/*.c)))
TEST_CFLAGS = $(ALL_CFLAGS) -D_GNU_SOURCE -Itests

$(BUILD)/test_list.h: $(TEST_SRC) Makefile
	@mkdir -p $(BUILD)
	@sed -n 's/^void test_\([a-z0-9_]*\)(void)$$/X(\1)/p' $(filter-out tests/run.c tests/test.c,$(TEST_SRC)) /dev/null | LC_ALL=C sort > $@
$(BUILD)/check_list.h: $(CHECK_SRC) Makefile
	@mkdir -p $(BUILD)
	@sed -n 's/^void \(check_[a-z0-9_]*\)(void).*$$/X(\1)/p' $(filter-out tests/check/check.c,$(CHECK_SRC)) /dev/null | LC_ALL=C sort > $@

$(BUILD)/tests: $(TEST_SRC) tests/test.h $(BUILD)/test_list.h $(BUILD)/liblinnet.a
	$(CC) $(TEST_CFLAGS) -o $@ $(TEST_SRC) $(BUILD)/liblinnet.a $(LDFLAGS) $(LIBS)
$(BUILD)/check: $(CHECK_SRC) tests/check/check.h $(BUILD)/check_list.h $(BUILD)/liblinnet.a
	$(CC) $(TEST_CFLAGS) -o $@ $(CHECK_SRC) $(BUILD)/liblinnet.a $(LDFLAGS) $(LIBS)
$(BUILD)/ulp: tests/check/ulp.c $(BUILD)/liblinnet.a
	$(CC) $(TEST_CFLAGS) -o $@ $< $(BUILD)/liblinnet.a $(LDFLAGS) $(LIBS)

$(BUILD)/damage: tests/damage.c $(BUILD)/liblinnet.a
	$(CC) $(TEST_CFLAGS) -o $@ $< $(BUILD)/liblinnet.a $(LDFLAGS) $(LIBS)
$(BUILD)/oom: tests/oom.c tests/test.c tests/test.h $(BUILD)/liblinnet.a
	$(CC) $(TEST_CFLAGS) -o $@ tests/oom.c tests/test.c $(BUILD)/liblinnet.a $(LDFLAGS) $(LIBS)

$(BUILD)/extremes: tests/extremes.c tests/test.c tests/test.h $(BUILD)/liblinnet.a
	$(CC) $(TEST_CFLAGS) -o $@ tests/extremes.c tests/test.c $(BUILD)/liblinnet.a $(LDFLAGS) $(LIBS)

# Tests of single operators and kernels, then whole models; ends with `N passed, N failed`.
test: all examples $(BUILD)/tests $(BUILD)/check $(BUILD)/ulp $(BUILD)/damage $(BUILD)/oom $(BUILD)/extremes amalgam
	@BUILD=$(BUILD) CC="$(CC)" sh tests/test.sh

# With AddressSanitizer and UndefinedBehaviorSanitizer: the same tests, damaged files, failing allocations.
SANITIZE := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
check-sanitize:
	$(MAKE) BUILD=$(BUILD)/sanitize CFLAGS="$(SANITIZE)" $(BUILD)/sanitize/tests $(BUILD)/sanitize/check \
	    $(BUILD)/sanitize/damage $(BUILD)/sanitize/oom $(BUILD)/sanitize/extremes $(BUILD)/sanitize/linnet examples
	@BUILD=$(BUILD)/sanitize sh tests/sanitize.sh
check-clang:
	$(MAKE) BUILD=$(BUILD)/clang CC=clang CFLAGS="-O2 -g -Werror" all $(BUILD)/clang/tests $(BUILD)/clang/check amalgam
	clang -O2 -Wall -Wextra -Werror -I$(BUILD)/clang -c $(BUILD)/clang/linnet.c -o $(BUILD)/clang/linnet_one.o
	$(BUILD)/clang/check
	$(BUILD)/clang/tests
# The elementary functions over all 2^32 floats at every level: about an hour on two cores.
check-ulp: $(BUILD)/ulp
	$(BUILD)/ulp --step 1
# Recurrent layers against PyTorch (PYTHON with torch and onnx): 200 random ones over 500 steps.
check-torch: all
	$(or $(PYTHON),python3) tests/recurrent/torch_compare.py
# A stream of a million steps: the bits of the sequence, no allocation.
soak: $(BUILD)/tests
	STREAM=1000000 $(BUILD)/tests state_stream
# The NEON kernels and the tests of operators for 64-bit ARM, emulated: a cross compiler and qemu-user.
ARM_CC  ?= aarch64-linux-gnu-gcc
ARM_RUN ?= qemu-aarch64 -L /usr/aarch64-linux-gnu
check-arm:
	$(MAKE) BUILD=$(BUILD)/arm CC="$(ARM_CC)" CFLAGS=-O2 PNG_CFLAGS= PNG_LIBS= $(BUILD)/arm/check $(BUILD)/arm/tests
	$(ARM_RUN) $(BUILD)/arm/tests conv
	$(ARM_RUN) $(BUILD)/arm/tests numerics
	$(ARM_RUN) $(BUILD)/arm/check
check-all: test check-clang check-sanitize
# A libFuzzer program over tokenisers' files: build/fuzz/text [FOLDER OF SEEDS]; needs clang.
fuzz-text:
	$(MAKE) BUILD=$(BUILD)/fuzz CC=clang CFLAGS="-O1 -g -fsanitize=fuzzer-no-link,address,undefined" $(BUILD)/fuzz/liblinnet.a
	clang -O1 -g -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Iinclude -Itests -o $(BUILD)/fuzz/text tests/text/damage.c \
	    tests/test.c $(BUILD)/fuzz/liblinnet.a $(LIBS)

# Kernels against the peak measured in the same run, then models; MODELS= adds more of them.
bench: all $(BUILD)/check
	$(BUILD)/check --bench
	@for m in examples/mnist/mnist.lnt $(MODELS); do $(BUILD)/linnet bench $$m --layers; done
# Other engines on the same models: installs them from PyPI into a virtual environment. MODELS= some ONNX
# files instead of the preset ones, THREADS=2, PEERS=--layers for single layers; table and picture in build/peers.
bench-peers: all
	python3 tests/bench/peers/peers.py --install
	python3 tests/bench/peers/peers.py $(if $(MODELS),--models $(MODELS)) --threads $(or $(THREADS),1) $(PEERS)
# What a fresh process pays before its second run, and its memory: of MODELS=, else of the demonstration.
bench-start: all
	@sh tests/bench/start.sh $(BUILD)/linnet $(or $(MODELS),examples/mnist/mnist.lnt)

# The ONNX backend cases on linnet and, where its Python package is installed, on ONNX Runtime: per class and operator.
conformance: all
	$(or $(PYTHON),python3) tests/onnx/scoreboard.py --out $(BUILD)/conformance.md

# ---- one file ---------------------------------------------------------------------

amalgam: $(BUILD)/linnet.c $(BUILD)/linnet.h $(BUILD)/linnet_text.h
$(BUILD)/%.h: include/%.h
	@mkdir -p $(BUILD)
	cp $< $@
$(BUILD)/linnet.c: $(LIB_SRC) $(wildcard src/*/*.h src/kernel/*.inc) src/amalgam.awk $(BUILD)/op_list.h
	awk -v out=$(BUILD) -f src/amalgam.awk $(LIB_SRC) > $@.new
	mv $@.new $@

# ---- install -----------------------------------------------------------------------

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(LIBDIR)/pkgconfig
	install -m 644 include/linnet.h include/linnet_text.h $(DESTDIR)$(PREFIX)/include/
	install -m 644 $(BUILD)/liblinnet.a $(DESTDIR)$(LIBDIR)/
	install -m 755 $(BUILD)/liblinnet.so.$(VERSION) $(DESTDIR)$(LIBDIR)/
	ln -sf liblinnet.so.$(VERSION) $(DESTDIR)$(LIBDIR)/liblinnet.so.$(MAJOR)
	ln -sf liblinnet.so.$(VERSION) $(DESTDIR)$(LIBDIR)/liblinnet.so
	install -m 755 $(BUILD)/linnet $(DESTDIR)$(PREFIX)/bin/
	sed -e 's|@PREFIX@|$(PREFIX)|;s|@LIBDIR@|$(LIBDIR)|;s|@INCLUDEDIR@|$(PREFIX)/include|;s|@VERSION@|$(VERSION)|' \
	    pkgconfig/linnet.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/linnet.pc

clean:
	rm -rf $(BUILD)

.SECONDARY:
-include $(LIB_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(EXAMPLE_OBJ:.o=.d)
.PHONY: all fuzz-text clean conformance bench bench-peers bench-start test check-all check-arm check-clang check-sanitize check-torch check-ulp soak amalgam install examples demo
