PROGS += pause
pause_SRCS := pause/pause.c
pause_DEST := libexec/crio
