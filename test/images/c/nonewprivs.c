/* A set-user-ID program: prints the effective user id it got, which tells whether no_new_privs held. */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	printf("Effective uid: %u\n", (unsigned)geteuid());
	return 0;
}
