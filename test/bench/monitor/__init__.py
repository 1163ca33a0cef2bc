"""Measures monitors from outside: memory per container, log throughput, start and attach latency, a stuck attach client.

``python -m test.bench.monitor [--vs /usr/bin/conmon]`` alternates between the two programs, round by round, in one run on one
machine. Logs go to a tmpfs, so that write-back of the disk does not decide; one row repeats the main case on a disk.
"""
