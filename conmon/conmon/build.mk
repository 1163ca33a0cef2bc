PROGS += conmon
conmon_DEST := bin
conmon_SRCS := $(filter-out %_test.c %_fuzz.c,$(wildcard conmon/*.c))

# The parsers: no I/O, linked into tests and fuzzers.
conmon_PURE := $(addprefix conmon/,options.c logspec.c runtime_argv.c json.c ctl.c cgroup_text.c notify_filter.c \
	timestamp.c journal_text.c framing.c policy.c attach_queue.c)

TESTS += conmon_options_test conmon_text_test conmon_framing_test
conmon_options_test_SRCS := conmon/options_test.c $(conmon_PURE)
conmon_text_test_SRCS := conmon/text_test.c $(conmon_PURE)
conmon_framing_test_SRCS := conmon/framing_test.c $(conmon_PURE)

FUZZERS += conmon_options_fuzz conmon_text_fuzz conmon_framing_fuzz
conmon_options_fuzz_SRCS := conmon/options_fuzz.c $(conmon_PURE)
conmon_text_fuzz_SRCS := conmon/text_fuzz.c $(conmon_PURE)
conmon_framing_fuzz_SRCS := conmon/framing_fuzz.c $(conmon_PURE)
