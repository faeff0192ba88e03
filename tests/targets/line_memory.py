"""line_memory.py FILE: makes a list of 100 MB on a line; writes to FILE by how many bytes resident memory grew, as JSON."""
import json
import os
import sys
import time

PAGE = os.sysconf('SC_PAGE_SIZE')
clock = getattr(time, 'perf_counter', time.time)


def resident():
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * PAGE


def stay(seconds):
    end = clock() + seconds
    while clock() < end:
        pass


def take():
    taken = [None] * 1000
    stay(0.2)
    taken = [bytearray(1 << 20) for _ in range(100)]  # takes
    stay(0.2)
    return taken


stay(0.3)
before = resident()
kept = take()
grown = resident() - before
stay(0.3)
with open(sys.argv[1], 'w') as output:
    json.dump(grown, output)
