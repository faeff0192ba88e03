"""periods.py asleep|gil|gc|exceptions [SLEEPERS]: what is done for known shares of the time, each in a function of its own.

asleep      the main thread sleeps half of the time and computes in the other half
gil         `waiter` waits for the GIL for three tenths of the time, which `holder` keeps asleep in a call of C
gc          the main thread collects a known heap for a fifth of the time
exceptions  the main thread handles an exception for two fifths of the time

Periods differ in length, so that no sampler keeps step with them. SLEEPERS more threads sleep all the time. For each
byte on stdin it says how many seconds each took since the last one, by its own clock.
"""
import ctypes
import gc
import os
import random
import sys
import threading
import time

from testimony import report, tell
from witness import native_id

clock = getattr(time, 'perf_counter', time.time)
lengths = random.Random(7)
seconds = {}
# Calls of these functions keep the GIL.
HOLDING = ctypes.PyDLL(None)
wake = os.pipe()
asked = []


def account(what, start):
    """Adds the time since `start`; gives the time."""
    now = clock()
    seconds[what] = seconds.get(what, 0.0) + now - start
    return now


def spin(end):
    while clock() < end:
        pass


def busy(end):
    spin(end)


def asleep():
    while True:
        length = lengths.uniform(0.005, 0.015)
        start = clock()
        time.sleep(length)
        between = account('asleep', start)
        busy(2 * between - start)
        account('busy', between)


def hold(length):
    HOLDING.usleep(int(length * 1e6))  # keeps the GIL


def holder():
    """Wakes the waiter while it has the GIL, and sleeps with it: so nobody needs a processor for the wait to be exact."""
    while True:
        length = lengths.uniform(0.012, 0.028)
        time.sleep(0.7 * length)
        asked.append(clock())
        HOLDING.write(wake[1], b'x', 1)
        hold(0.3 * length)


def wait_for_gil():
    os.read(wake[0], 1)  # comes back when it has the GIL


def waiter():
    while True:
        start = clock()
        wait_for_gil()
        since = asked.pop()
        seconds['sleeps'] = seconds.get('sleeps', 0.0) + since - start
        got = account('waits', since)
        # The holder, which has let go because it was asked to, is not to wait in its turn.
        time.sleep(0.001)
        awake = account('sleeps', got)
        busy(awake + 0.003)
        account('computes', awake)


def start_thread(name, body, *arguments):
    """Gives what the test has to know of the thread."""
    ids = []

    def begin():
        ids.append(native_id())
        begun.set()
        body(*arguments)

    begun = threading.Event()
    thread = threading.Thread(target=begin, name=name)
    thread.daemon = True
    thread.start()
    begun.wait()
    return {'thread_id': thread.ident, 'native_id': ids[0], 'name': name, 'idle': False, 'stacks': []}


def gil():
    if sys.version_info < (3,):
        # It lets go of the GIL each 100 instructions, of which some are between waking the waiter and keeping it.
        sys.setcheckinterval(1000000)
    report([start_thread('holder', holder), start_thread('waiter', waiter)])
    # Nothing that polls, as an Event of 2.7 does: that wants the GIL, too.
    time.sleep(100000)


def collect():
    gc.collect()


def garbage():
    gc.disable()
    heap = [[number] for number in range(40000)]
    while True:
        start = clock()
        collect()
        between = account('collecting', start)
        busy(between + (between - start) * lengths.uniform(3.0, 5.0))
        account('busy', between)
        assert heap


def fail():
    raise ValueError('what is handled')


def handle(length):
    start = clock()
    try:
        fail()
    except ValueError:
        spin(start + length)
    return account('handling', start)


def exceptions():
    while True:
        length = lengths.uniform(0.005, 0.015)
        end = handle(0.4 * length)
        busy(end + 0.6 * length)
        account('busy', end)


def serve():
    while os.read(0, 1):
        told = dict(seconds)
        seconds.clear()
        tell(told)
    os._exit(0)


if len(sys.argv) > 2:
    for number in range(int(sys.argv[2])):
        start_thread('sleeper', threading.Event().wait, 100000)
start_thread('server', serve)
if sys.argv[1] != 'gil':
    report([])
{'asleep': asleep, 'gil': gil, 'gc': garbage, 'exceptions': exceptions}[sys.argv[1]]()
