"""counting.py: a thread whose variables follow each other, so that two moments in one dump show."""
import sys

from witness import frame_in, run_in, told, watch

try:
    from _thread import start_new_thread
except ImportError:
    from thread import start_new_thread


def count():
    first = second = third = 0
    while True:
        first += 1
        second = first
        third = second


run_in([[frame_in(count)]], sys._getframe())
start_new_thread(watch, ())
told.acquire()
count()
