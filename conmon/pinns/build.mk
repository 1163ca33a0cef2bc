PROGS += pinns
pinns_SRCS := pinns/pinns.c pinns/options.c pinns/inside.c pinns/pin.c pinns/mapping.c

TESTS += pinns_mapping_test
pinns_mapping_test_SRCS := pinns/mapping_test.c pinns/mapping.c

FUZZERS += pinns_mapping_fuzz
pinns_mapping_fuzz_SRCS := pinns/mapping_fuzz.c pinns/mapping.c
