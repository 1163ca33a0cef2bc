"""Items, or parts of them, that no test of this ring runs on a host like CI's, each with where they run or why they do not."""

from __future__ import annotations

# Item: the part, and the reason.
ELSEWHERE: dict[int, str] = {
    17: "lowering the score needs CAP_SYS_RESOURCE, which the host does not give; the test takes either outcome and knows which is right",
    43: "ten rounds instead of a hundred; CONMON_ROUNDS=100 runs them all",
    85: "with podman only",
    89: "the host's clock cannot be set or suspended; the kernel says which clock the timer has",
    91: "the status itself needs Linux 6.15; on older ones the answer is -1, and both are right",
    96: "CRIU, which checkpoint needs, cannot dump here; published ports need a network",
    98: "24 parallel execs of each kind instead of 500; CONMON_EXECS=500 runs them all",
    99: "the runtime's own ring does it: our daemon runs the same monitor through critest, log rotation and restarts",
    100: "upstream's suite is written for upstream's wordings and is not in a Debian package",
    101: "valgrind on one container with a client, the sanitizers on all of the checklist; idle for two seconds instead of ten minutes",
}
NOT_HERE = {99, 100}
