# pinns: included by conmon/Makefile, or used alone with `make -f conmon/pinns/build.mk`.
PINNS_DIR := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
OUT ?= $(abspath $(PINNS_DIR)/../..)
CRIO_VERSION ?= 0.0.0-dev
SMALL_CC ?= $(if $(shell command -v musl-gcc 2>/dev/null),musl-gcc -static,gcc -static-pie)
ifndef SMALL_CFLAGS
SMALL_CFLAGS := -std=c17 -Os -g0 -Wall -Wextra -Wshadow -Wundef -Wformat=2 -Werror -ffunction-sections -fdata-sections \
	-fstack-protector-strong -fno-asynchronous-unwind-tables
SMALL_LDFLAGS := -Wl,--gc-sections -Wl,-z,relro,-z,now -Wl,-z,noexecstack -s
endif

PINNS_BIN := $(OUT)/bin/pinns
PINNS_SOURCES := $(addprefix $(PINNS_DIR)/,pinns.c options.c inside.c pin.c mapping.c)

$(PINNS_BIN): $(PINNS_SOURCES) $(wildcard $(PINNS_DIR)/*.h) $(PINNS_DIR)/build.mk
	@mkdir -p $(@D)
	$(SMALL_CC) $(SMALL_CFLAGS) -DCRIO_VERSION='"$(CRIO_VERSION)"' -o $@ $(PINNS_SOURCES) $(SMALL_LDFLAGS)

.PHONY: pinns
pinns: $(PINNS_BIN)
PROGRAMS += $(PINNS_BIN)

PINNS_TEST := $(OUT)/build/test/pinns_mapping
$(PINNS_TEST): $(PINNS_DIR)/test_mapping.c $(PINNS_DIR)/mapping.c $(PINNS_DIR)/mapping.h
	@mkdir -p $(@D)
	$(CC) -std=c17 -g -O1 -Wall -Wextra -Wshadow -Wundef -Wformat=2 -Werror -fsanitize=address,undefined \
		-o $@ $(PINNS_DIR)/test_mapping.c $(PINNS_DIR)/mapping.c
UNIT_TESTS += $(PINNS_TEST)
