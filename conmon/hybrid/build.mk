PROGS += runtime-hybrid
runtime-hybrid_SRCS := hybrid/hybrid.c
runtime-hybrid_DEST := libexec/crio
