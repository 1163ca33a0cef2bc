"""The C programs under other eyes: both compilers without a warning, sanitizers, fuzzers, valgrind.

The fuzzers run for ten minutes together, each on one parser or two. A long run is ``FUZZ_SECONDS=3600 make -C conmon fuzz``, five hours,
whose corpus stays in ``build`` and is where the next one begins.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from test.conmon.harness import ROOT, Monitor, cpu_ticks, during, receive_all, wakeups

BUILD_TIMEOUT_S = 300
RING_TIMEOUT_S = 540
FUZZ_SECONDS = os.environ.get("FUZZ_SECONDS", "120")
FUZZERS = ("conmon_options_fuzz", "conmon_text_fuzz", "conmon_framing_fuzz", "pinns_mapping_fuzz", "unpack_pure_fuzz")
PROGRAMS = ("conmon", "pinns")
# Too big for an instrumented program, or traced already; the rest of the checklist runs.
NOT_SANITIZED = "hundred or thousand_attachments or by_rename or synced_once"


def make(*words: str, timeout_s: int = BUILD_TIMEOUT_S) -> subprocess.CompletedProcess[str]:
    """Run make in the folder of the C programs."""
    command = ["make", "-s", "-C", str(ROOT / "conmon"), f"PYTHON={sys.executable}", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


@pytest.mark.parametrize("compiler", ["gcc", "clang", "musl-gcc"])
def test_every_compiler_builds_without_a_warning(tmp_path: pathlib.Path, compiler: str) -> None:
    done = make(f"OUT={tmp_path}", f"CC={compiler}", *(f"{tmp_path}/bin/{program}" for program in PROGRAMS))
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    version = subprocess.run([tmp_path / "bin" / "conmon", "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("conmon version ")


@pytest.mark.parametrize("program", ["bin/conmon", "bin/pinns", "libexec/crio/pause", "libexec/crio/unpack"])
def test_a_program_needs_no_library_and_no_loader(program: str) -> None:
    found = subprocess.run(
        ["readelf", "--program-headers", "--dynamic", "--wide", ROOT / program], capture_output=True, text=True, check=True
    )
    assert "LOAD" in found.stdout
    assert [word for word in ("INTERP", "(NEEDED)") if word in found.stdout] == []


def test_the_unit_tests_pass(tmp_path: pathlib.Path) -> None:
    tests = ("conmon_options_test", "conmon_text_test", "conmon_framing_test")
    for variant in ("release", "asan"):
        folder = tmp_path / "build" / f"{variant}-{os.uname().machine}" / "test"
        done = make(f"VARIANT={variant}", f"OUT={tmp_path}", *(f"{folder}/{test}" for test in tests))
        assert done.returncode == 0, done.stderr
        for test in tests:
            ran = subprocess.run([folder / test], capture_output=True, text=True, timeout=60, check=False)
            assert ran.returncode == 0, f"{variant} {test}: {ran.stdout}{ran.stderr}"


@pytest.mark.parametrize("fuzzer", FUZZERS)
def test_fuzzing_the_parsers(tmp_path: pathlib.Path, fuzzer: str) -> None:
    program = tmp_path / "build" / f"fuzz-{os.uname().machine}" / "fuzz" / fuzzer
    done = make("VARIANT=fuzz", "CC=clang", f"OUT={tmp_path}", str(program))
    assert done.returncode == 0, done.stderr
    words = [f"-max_total_time={FUZZ_SECONDS}", "-max_len=65536", f"-artifact_prefix={tmp_path}/", "-rss_limit_mb=1024"]
    ran = subprocess.run([program, *words], capture_output=True, text=True, timeout=BUILD_TIMEOUT_S + int(FUZZ_SECONDS), check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]


def test_the_ring_with_address_and_undefined_behaviour_sanitizers(tmp_path: pathlib.Path) -> None:
    program = tmp_path / "build" / "asan" / "bin" / "conmon"
    done = make("VARIANT=asan", f"OUT={tmp_path}", str(program))
    assert done.returncode == 0, done.stderr
    reports = tmp_path / "reports"
    reports.mkdir()
    here = pathlib.Path(__file__).parent
    environment = dict(
        os.environ,
        CONMON_UNDER_TEST=str(program),
        CONMON_ROUNDS="2",
        ASAN_OPTIONS=f"log_path={reports}/address",
        UBSAN_OPTIONS=f"print_stacktrace=1:log_path={reports}/undefined",
    )
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--shared-host", "--tb=short", "--host-network"]
    command += ["-k", f"not ({NOT_SANITIZED})", *map(str, (here / "test_smoke.py", here / "test_policy.py", here / "checklist"))]
    ran = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=RING_TIMEOUT_S, check=False)
    found = {path.name: path.read_text(errors="replace")[:3000] for path in reports.iterdir()}
    assert ran.returncode == 0, ran.stdout[-5000:]
    assert not found


def test_101_valgrind_finds_nothing(monitor: Monitor, tmp_path: pathlib.Path) -> None:
    """A dynamic build, because valgrind has to replace malloc; from the start byte to the exit file, with a client."""
    out = tmp_path / "plain"
    words = ("CC=gcc", "PLATFORM_LDFLAGS=", "OPTIMISE=-O1 -g", f"OUT={out}")
    done = make(*words, f"{out}/bin/conmon")
    assert done.returncode == 0, done.stderr
    report = tmp_path / "valgrind"
    options = ("--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite", f"--log-file={report}.%p", "-q")
    monitor.program = ("valgrind", *options, f"{out}/bin/conmon")
    monitor.launch("--sync", "-i", "--leave-stdin-open", FAKE_SCRIPT="read word; seq 5000; echo err >&2; exit 3")
    monitor.go()
    monitor.message(timeout_s=60)
    with monitor.attach() as client:
        client.send(b"word\n")
        streams = receive_all(client)
    assert streams[2].endswith(b"\n5000\n") and streams[3] == b"err\n"
    assert monitor.status() == "3"
    assert monitor.wait() == 3
    reports = [path.read_text(errors="replace") for path in tmp_path.glob("valgrind.*")]
    assert reports and not any("ERROR SUMMARY" in text or "Invalid" in text or "uninit" in text for text in reports), reports


def test_101_an_idle_monitor_uses_no_time(monitor: Monitor) -> None:
    assert monitor.run("-i", "--leave-stdin-open") == 0
    monitor.message()
    during(1.5, lambda: 0)
    assert during(2.0, lambda: cpu_ticks(monitor.pid)) == 0
    assert during(1.0, lambda: wakeups(monitor.pid)) == 0
