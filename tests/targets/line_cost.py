"""line_cost.py FILE ROUNDS [line_profiler]: a loop of short lines, ROUNDS times; writes to FILE how many seconds the
fastest of the rounds took, as JSON."""
import json
import sys
import time

clock = getattr(time, 'perf_counter', time.time)


def loop(count):
    total = 0
    for number in range(count):
        square = number * number
        total += square
    return total


def measure():
    start = clock()
    loop(200000)
    return clock() - start


if sys.argv[3:]:
    from line_profiler import LineProfiler
    profiler = LineProfiler(loop)
    profiler.enable_by_count()
fastest = min(measure() for _ in range(int(sys.argv[2])))
with open(sys.argv[1], 'w') as output:
    json.dump(fastest, output)
