/* Signals as a program expects to find them when it starts. */
#ifndef LIB_SIGNALS_H
#define LIB_SIGNALS_H

/* Give every signal its default action and block none, as the last step before an exec: what the caller ignores or blocks is
 * nothing that the next program asked for. The numbers that C libraries keep to themselves are put back too. */
void signals_default(void);

#endif
