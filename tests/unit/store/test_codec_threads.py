"""The first reading of a kind by several threads at once: made by one of them, and no process dies of it.

Without the lock a third of these processes end by a segmentation fault, since another thread's decoder is made of
what msgspec has half learnt of the class.
"""

from __future__ import annotations

import subprocess
import sys

from bot.store.codec import dumps
from tests.unit.slack.samples import incident

PROCESSES = 8
READ = """
import random, sys, threading, time
from bot.core.incident import Incident
from bot.store import codec
text = sys.stdin.read()
sys.setswitchinterval(1e-6)
def read(number):
    time.sleep(number * random.uniform(0, 0.0015))
    for _ in range(50):
        codec.loads(text, Incident)
threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("all read")
"""


def test_several_threads_read_a_kind_for_the_first_time_together() -> None:
    text = dumps(incident())
    for _ in range(PROCESSES):
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-c", READ],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout.strip()) == (0, "all read"), done.stderr[-2000:]
