# unpack links Debian's static libzstd, liblzma and libbz2, so it is built against glibc even where the others use musl.
ifneq ($(findstring musl-gcc,$(CC)),)
  UNPACK_CC := gcc
else
  UNPACK_CC := $(CC)
endif
UNPACK_PIE := -fPIE
UNPACK_STATIC := $(if $(filter release,$(VARIANT)),-static-pie,)
UNPACK_DEFS := $(if $(filter release,$(VARIANT)),,-DUNPACK_SANITIZED)
UNPACK_ISAL := $(OUT)/build/isal-$(ARCH)

UNPACK_PURE := unpack/encode.c unpack/header.c unpack/pathname.c unpack/pax.c unpack/sets.c unpack/sha256.c
UNPACK_SRCS := $(UNPACK_PURE) unpack/unpack.c unpack/codec.c unpack/common.c unpack/entry.c unpack/layer.c unpack/member.c \
	unpack/options.c unpack/progress.c unpack/reader.c unpack/ring.c unpack/sandbox.c unpack/split.c unpack/stream.c unpack/tree.c
UNPACK_BIN := $(if $(filter release,$(VARIANT)),$(OUT),$(OUT)/build/$(VARIANT))/libexec/crio/unpack
UNPACK_OBJECTS := $(patsubst %.c,$(BUILD)/obj-unpack/%.o,$(UNPACK_SRCS))
UNPACK_CFLAGS = -std=c17 -D_GNU_SOURCE $(OPTIMISE) $(WARNINGS) $(HARDEN) $(UNPACK_PIE) $(SANITIZE) $(UNPACK_DEFS) \
	-I$(BUILD) -I$(UNPACK_ISAL)/include $(CFLAGS)

$(UNPACK_ISAL)/libisal.a: unpack/isal.sh
	unpack/isal.sh $(UNPACK_ISAL) $(ARCH) $(UNPACK_CC)

$(BUILD)/obj-unpack/%.o: %.c Makefile unpack/build.mk $(UNPACK_ISAL)/libisal.a
	@mkdir -p $(@D)
	$(UNPACK_CC) $(UNPACK_CFLAGS) -MMD -MP -c $< -o $@

$(UNPACK_BIN): $(UNPACK_OBJECTS)
	@mkdir -p $(@D)
	$(UNPACK_CC) $(UNPACK_CFLAGS) $(UNPACK_STATIC) -pthread $^ -o $@ $(UNPACK_ISAL)/libisal.a -l:libzstd.a -l:liblzma.a -l:libbz2.a \
		$(SANITIZE) -Wl,-z,relro,-z,now,-z,noexecstack,--gc-sections,--build-id=none $(if $(filter release,$(VARIANT)),-s) $(LDFLAGS)

-include $(UNPACK_OBJECTS:.o=.d)

.PHONY: unpack
unpack: $(UNPACK_BIN)
ifneq ($(VARIANT),fuzz)
all: $(UNPACK_BIN)
endif

TESTS += unpack_pure_test
unpack_pure_test_SRCS := unpack/pure_test.c $(UNPACK_PURE)
FUZZERS += unpack_pure_fuzz
unpack_pure_fuzz_SRCS := unpack/pure_fuzz.c $(UNPACK_PURE)
