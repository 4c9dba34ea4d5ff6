"""Counts the threads of this process that could run, which shows overlap on busy machines too."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

SAMPLER = """
import os, sys, time
folder = f"/proc/{sys.argv[1]}/task"
while True:
    count = 0
    for thread in os.listdir(folder):
        try:
            state = open(f"{folder}/{thread}/stat").read().rpartition(")")[2].split()[0]
        except OSError:  # the thread has ended
            continue
        count += state == "R"
    print(count, flush=True)
    time.sleep(0.003)
"""
"""A process of its own, because threads of this one would wait for Python's lock."""


class Running(NamedTuple):
    """What a call took.

    Attributes:
        threads: How many threads could run at a time, on average: so many cores it can use.
        seconds: The seconds of processors that it took.
    """

    threads: float
    seconds: float


def running(call: Callable[[], object]) -> Running:
    """What a call takes. Only on Linux.

    A thread that waits for a lock, a device or a file cannot run; one that waits for a core can.
    """
    command = [sys.executable, "-c", SAMPLER, str(os.getpid())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sampler:
        assert sampler.stdout is not None
        sampler.stdout.readline()  # it has started
        start = time.process_time()
        call()
        seconds = time.process_time() - start
        sampler.terminate()
        counts = [int(line) for line in sampler.stdout if line.strip()]
    return Running(sum(counts) / max(len(counts), 1), seconds)
