# pause: included by conmon/Makefile, or used alone with `make -f conmon/pause/build.mk`.
PAUSE_DIR := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
OUT ?= $(abspath $(PAUSE_DIR)/../..)
CRIO_VERSION ?= 0.0.0-dev
SMALL_CC ?= $(if $(shell command -v musl-gcc 2>/dev/null),musl-gcc -static,gcc -static-pie)
ifndef SMALL_CFLAGS
SMALL_CFLAGS := -std=c17 -Os -g0 -Wall -Wextra -Wshadow -Wundef -Wformat=2 -Werror -ffunction-sections -fdata-sections \
	-fstack-protector-strong -fno-asynchronous-unwind-tables
SMALL_LDFLAGS := -Wl,--gc-sections -Wl,-z,relro,-z,now -Wl,-z,noexecstack -s
endif

PAUSE_BIN := $(OUT)/libexec/crio/pause

$(PAUSE_BIN): $(PAUSE_DIR)/pause.c $(PAUSE_DIR)/build.mk
	@mkdir -p $(@D)
	$(SMALL_CC) $(SMALL_CFLAGS) -DCRIO_VERSION='"$(CRIO_VERSION)"' -o $@ $< $(SMALL_LDFLAGS)

.PHONY: pause
pause: $(PAUSE_BIN)
PROGRAMS += $(PAUSE_BIN)
