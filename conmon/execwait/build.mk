PROGS += exec-wait
exec-wait_SRCS := execwait/execwait.c
exec-wait_DEST := libexec/crio
