/*
 * A small web server that looks like the well-known ones from outside: webserver [-p PORT] [anything else]
 *
 * It goes by the name it is called by (nginx, httpd): a master with the title "NAME: master process ..." and a pid file
 * /var/run/NAME.pid, and one worker with the title "NAME: worker process" that answers every request with one page. The
 * master tells its command line on stderr, the worker each request on stdout. TERM, INT or QUIT to the master ends both.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MARK ": master process "
#define BACKLOG 64
#define DEFAULT_PORT 80
#define TITLE_BYTES 512
#define REQUEST_BYTES 4096

static int fail(const char *what)
{
	perror(what);
	return 1;
}

/* The arguments in one line, as a title shows them. */
static void join(char *line, size_t size, char **words)
{
	line[0] = '\0';
	for (; *words; words++) {
		size_t used = strlen(line);
		snprintf(line + used, size - used, "%s%s", used ? " " : "", *words);
	}
}

/* Start this program again under its title: a new image has room for any title, and a name that matches the file's. */
static int become_master(const char *name, char **argv)
{
	char title[TITLE_BYTES], line[TITLE_BYTES / 2];
	join(line, sizeof(line), argv);
	fprintf(stderr, "%s: command line '%s'\n", name, line);
	snprintf(title, sizeof(title), "%s" MARK "%s", name, line);
	argv[0] = title;
	execv((const char *)getauxval(AT_EXECFN), argv);
	return fail("exec");
}

static int listen_on(int port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, BACKLOG) < 0)
		return -1;
	return fd;
}

static void answer(int fd, const char *name)
{
	char request[REQUEST_BYTES], page[256];
	ssize_t got = read(fd, request, sizeof(request) - 1);
	if (got <= 0)
		return;
	request[got] = '\0';
	request[strcspn(request, "\r\n")] = '\0';
	int size = snprintf(page, sizeof(page), "<!doctype html><title>%s</title><h1>%s: it works</h1>\n", name, name);
	dprintf(fd, "HTTP/1.1 200 OK\r\nServer: %s\r\nContent-Type: text/html\r\nContent-Length: %d\r\n", name, size);
	dprintf(fd, "Connection: close\r\n\r\n%s", strncmp(request, "HEAD ", 5) ? page : "");
	dprintf(STDOUT_FILENO, "\"%s\" 200 %d\n", request, size);
}

static _Noreturn void work(int listener, const char *name)
{
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		struct timeval patience = {.tv_sec = 10};
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		answer(fd, name);
		shutdown(fd, SHUT_WR);
		close(fd);
	}
}

static void write_pid_file(const char *name)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "/var/run/%s.pid", name);
	FILE *file = fopen(path, "we");
	if (!file)
		return;
	fprintf(file, "%d\n", getpid());
	fclose(file);
}

static int rule(int listener, char *title, const char *name)
{
	sigset_t wanted;
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGINT);
	sigaddset(&wanted, SIGQUIT);
	sigaddset(&wanted, SIGCHLD);
	sigprocmask(SIG_BLOCK, &wanted, NULL);
	pid_t worker = fork();
	if (worker < 0)
		return fail("fork");
	if (worker == 0) {
		size_t room = strlen(title) + 1;
		snprintf(title, room, "%s: worker process", name);
		sigprocmask(SIG_UNBLOCK, &wanted, NULL);
		work(listener, name);
	}
	write_pid_file(name);
	/* Orphans come to the first process of a container: they are collected, and only the worker's end is ours. */
	for (int number = 0;;) {
		if (sigwait(&wanted, &number) != 0 || number != SIGCHLD)
			break;
		for (pid_t gone; (gone = waitpid(-1, NULL, WNOHANG)) > 0;)
			if (gone == worker)
				return 1;
	}
	kill(worker, SIGKILL);
	waitpid(worker, NULL, 0);
	return 0;
}

int main(int argc, char **argv)
{
	char name[64];
	int port = DEFAULT_PORT;
	const char *called = (const char *)getauxval(AT_EXECFN);
	const char *slash = strrchr(called, '/');
	snprintf(name, sizeof(name), "%s", slash ? slash + 1 : called);
	if (!strstr(argv[0], MARK))
		return become_master(name, argv);
	for (int number = 1; number + 1 < argc; number++)
		if (strcmp(argv[number], "-p") == 0)
			port = atoi(argv[number + 1]);
	int listener = listen_on(port);
	if (listener < 0)
		return fail("listen");
	for (int number = 1; number < argc; number++)
		memset(argv[number], 0, strlen(argv[number]));
	return rule(listener, argv[0], name);
}
