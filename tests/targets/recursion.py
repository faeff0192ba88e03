"""recursion.py DEPTH: a thread stands DEPTH calls deep."""
import os
import sys
import threading

from witness import arrive, ready

DEPTH = int(sys.argv[1])


def descend(depth):
    if depth == 0:
        return os.read(arrive(pipe), 1)
    return descend(depth - 1)


pipe = os.pipe()[0]
sys.setrecursionlimit(DEPTH + 1000)
# Up to 3.10 each Python call takes some 500 bytes of the C stack, more in a debug build.
threading.stack_size(512 << 20)
thread = threading.Thread(target=descend, args=(DEPTH,), name='deep')
thread.daemon = True
thread.start()
os.read(ready(1), 1)
os._exit(0)
