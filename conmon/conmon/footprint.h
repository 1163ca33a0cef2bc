/* Giving back memory that only starting needed. */
#ifndef CONMON_FOOTPRINT_H
#define CONMON_FOOTPRINT_H

/* Call when the container runs: releases the deep part of the stack that setting up has touched, and unmaps the pages of
 * the program's code, which come back from the page cache as far as they are needed. */
void footprint_release(void);

#endif
