"""Memory and processor time of a process tree."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from signals_assets.benchmarks.measuring import Look, Usage

needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system has no /proc")


@needs_proc
def test_memory_counts_a_process_and_its_children():
    hold = "import sys; held = bytearray(60_000_000); print(flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", hold], **pipes) as child, Usage(os.getpid()) as both:
        child.stdout.readline()
        with Usage(child.pid) as alone:
            while not (alone.megabytes and both.megabytes and both.megabytes > alone.megabytes):
                pass
            assert alone.megabytes >= 57
        child.communicate()


@needs_proc
def test_processor_time_counts_children_that_ended():
    work = "import time\nwhile time.process_time() < 0.6: pass"
    with Usage(os.getpid()) as usage:
        subprocess.run([sys.executable, "-c", work], check=True)
    assert usage.processor_seconds_between(0.0, float("inf")) > 0.3  # looks are apart: what came last may be missed


def test_what_was_used_between_two_moments_lies_on_lines_between_the_looks():
    usage = Usage(0)
    usage._looks = [Look(10.0, 5 << 20, 1.0, 100.0), Look(12.0, 9 << 20, 2.0, 104.0), Look(14.0, 7 << 20, 4.0, 106.0)]
    assert usage.processor_seconds_between(11.0, 13.0) == pytest.approx(1.5)
    assert usage.processor_seconds_between(0.0, 99.0) == 3.0
    assert usage.others_between(10.0, 12.0) == 1.5
    assert usage.megabytes == 9
    assert usage.megabytes_between(13.0, 15.0) == 9
    assert usage.megabytes_between(14.0, 15.0) == 7
    assert Usage(0).processor_seconds_between(0.0, 1.0) == 0.0
    assert Usage(0).megabytes is None
