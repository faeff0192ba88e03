"""line_profiled.py FILE SECONDS: lines that take shares of the time, under line_profiler, for SECONDS; writes to FILE how
long each took by its own clock and by line_profiler, as JSON {"clock": {line: seconds}, "line_profiler": {line: seconds}}.

None of them is a loop: line_profiler is called for each round of one, and leaves out what that takes.
"""
import json
import random
import sys

from line_profiler import LineProfiler

import shares
from shares import account, clock, spin


def cycle(length):
    now = start = clock()
    spin(start + 0.45 * length)
    now = account(now)
    list(map(spin, (start + 0.55 * length, start + 0.7 * length)))
    now = account(now)
    sum(number * number for number in range(int(length * 1e6)))
    now = account(now)
    spin(start + length)
    account(now)


profiler = LineProfiler(cycle)
profiler.enable_by_count()
end = clock() + float(sys.argv[2])
lengths = random.Random(7)
while clock() < end:
    cycle(lengths.uniform(0.004, 0.016))
profiler.disable_by_count()
stats = profiler.get_stats()
measured = {}
for lines in stats.timings.values():
    for line, hits, time in lines:
        measured[line] = time * stats.unit
with open(sys.argv[1], 'w') as output:
    json.dump({'clock': shares.seconds, 'line_profiler': measured}, output)
