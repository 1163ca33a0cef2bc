/* The unit tests' only tool: CHECK says file, line and expression, and ends the test program.
 *
 * Tests are tables of cases; `CHECK_CASE` adds the sentence that names the case.
 */
#ifndef LIB_CHECK_H
#define LIB_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK_CASE(name, condition)                                                                       \
    do {                                                                                                  \
        if (!(condition)) {                                                                               \
            fprintf(stderr, "%s:%d: case \"%s\": %s is false\n", __FILE__, __LINE__, (name), #condition); \
            exit(1);                                                                                      \
        }                                                                                                 \
    } while (0)

#define CHECK(condition) CHECK_CASE("-", condition)
#define CHECK_TEXT(name, got, expected)                                                                  \
    do {                                                                                                 \
        if (strcmp((got), (expected)) != 0) {                                                            \
            fprintf(stderr, "%s:%d: case \"%s\":\n  got      %s\n  expected %s\n", __FILE__, __LINE__, (name), \
                    (got), (expected));                                                                  \
            exit(1);                                                                                     \
        }                                                                                                \
    } while (0)

#endif
