"""memory_steps.py: takes 32 MB, 64 MB more, and gives the 64 MB back; stays at each step for a tenth of a second.

Then it writes what was resident at each, in bytes, as a list of JSON.
"""
import json
import os
import time

PAGE = os.sysconf('SC_PAGE_SIZE')
clock = getattr(time, 'monotonic', time.time)


def resident():
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * PAGE


def stay():
    until = clock() + 0.1
    while clock() < until:
        pass
    told.append(resident())


told = []
stay()
first = bytearray(32 << 20)
stay()
second = bytearray(64 << 20)
stay()
del second
stay()
print(json.dumps(told))
