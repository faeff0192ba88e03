"""shares.py FILE SECONDS: lines that take known shares of the time, for SECONDS, then writes to FILE how long each took
by its own clock, as JSON {line: seconds}. It never sleeps; cycles differ in length, so that no sampler keeps step with them."""
import json
import random
import sys
import time

clock = getattr(time, 'perf_counter', time.time)
seconds = {}


def spin(end):
    while clock() < end:
        pass


def account(start):
    """Adds the time since `start` to the line before that of the caller; gives the time."""
    now, line = clock(), sys._getframe(1).f_lineno - 1
    seconds[line] = seconds.get(line, 0) + now - start
    return now


def cycle(length):
    now = start = clock()
    spin(start + 0.5 * length)
    now = account(now)
    while clock() < start + 0.8 * length: pass
    now = account(now)
    [spin(end) for end in (start + 0.9 * length, start + length)]
    account(now)


def main(end):
    lengths = random.Random(7)
    while clock() < end:
        cycle(lengths.uniform(0.004, 0.016))


if __name__ == '__main__':
    main(clock() + float(sys.argv[2]))
    with open(sys.argv[1], 'w') as output:
        json.dump(seconds, output)
