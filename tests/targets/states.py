"""states.py sleeping|computing-in-python|computing-in-c|sorting|gil|runs-and-waits: what a thread does as it is looked at."""
import ctypes
import os
import sys
import threading
import time

try:
    from _thread import start_new_thread
except ImportError:
    from thread import start_new_thread

from testimony import unsupported
from witness import arrive, frame_in, ready, run_in, told, watch


def sleeping():
    start_new_thread(watch, ())
    time.sleep(arrive(100000))


def begin(stacks, base):
    """Waits until the testimony is given: on 2.7 a busy thread hardly lets another one run."""
    run_in(stacks, base)
    told.acquire()


def leaf(x):
    return x + 1


def middle(x):
    return leaf(x)


def spin():
    while True: middle(1)


def computing_in_python():
    call, inner = spin.__code__.co_firstlineno + 1, middle.__code__.co_firstlineno + 1
    stacks = [[frame_in(spin)],
              [frame_in(middle), frame_in(spin, [call])],
              [frame_in(leaf), frame_in(middle, [inner]), frame_in(spin, [call])]]
    begin(stacks, sys._getframe()); spin()


def exponentiate():
    while True: pow(BASE, BASE, MODULUS)


def sort():
    while True: sorted(NUMBERS)


def computing_in_c():
    begin([[frame_in(exponentiate)]], sys._getframe()); exponentiate()


def sorting():
    begin([[frame_in(sort)]], sys._getframe()); sort()


def wait_in_read():
    os.read(arrive(wake[0]), 1)


def gil():
    """Two threads have been woken and wait for the GIL, which the main thread holds while it reads stdin."""
    if not getattr(sys, '_is_gil_enabled', lambda: True)():
        unsupported('the GIL is off')
    # Nobody asks the holder to let go between its two calls.
    getattr(sys, 'setswitchinterval', lambda _: sys.setcheckinterval(1 << 30))(100000)
    for _ in range(2):
        start_new_thread(wait_in_read, ())
    holding = ctypes.PyDLL(None)
    holding.read(ready(2, then=lambda: holding.write(wake[1], b'xx', 2)), ctypes.create_string_buffer(1), 1)
    os._exit(0)


def runs_and_waits():
    """One thread computes, three wait: only the first is on the CPU."""
    for _ in range(3):
        start_new_thread(wait_in_read, ())
    busy = threading.Thread(target=computing_in_python)
    busy.daemon = True
    busy.start()
    os.read(ready(4, then=told.release), 1)
    os._exit(0)


wake = os.pipe()
BASE, MODULUS = (1 << 4000) - 1, (1 << 4001) - 9
NUMBERS = [(number * 7919) % 1000003 for number in range(300000)]
if sys.argv[1] in ('computing-in-python', 'computing-in-c', 'sorting'):
    start_new_thread(watch, ())
globals()[sys.argv[1].replace('-', '_')]()
