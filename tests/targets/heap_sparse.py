"""heap_sparse.py: has arenas that a few objects keep, large objects, some of which it never wrote to, and threads that sleep; says
so, and waits.
"""
import signal
import sys
import threading


class Pinned(object):
    __slots__ = ('number',)

    def __init__(self, number):
        self.number = number


def sleep():
    started.release()
    threading.Event().wait(1000)


filling = [Pinned(number) for number in range(500000)]
kept = filling[::2000]
del filling
large = [bytearray(b'x') * 5000000 for number in range(10)]
# Nobody has written to what `calloc` gave for these.
untouched = bytes(100000000) if sys.version_info[0] > 2 else None
started = threading.Semaphore(0)
for number in range(8):
    thread = threading.Thread(target=sleep)
    thread.daemon = True
    thread.start()
    started.acquire()
sys.stdout.write('ready\n')
sys.stdout.flush()
signal.pause()
