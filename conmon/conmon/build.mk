PROGS += conmon
conmon_DEST := bin
conmon_SRCS := $(filter-out %_test.c %_fuzz.c,$(wildcard conmon/*.c))
