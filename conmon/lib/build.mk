TESTS += lib_parse_test
lib_parse_test_SRCS := lib/parse_test.c
