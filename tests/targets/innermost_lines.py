"""Threads that stand in C calls over several lines: the line is the interpreter's own answer while they stand."""
import os
import threading
import time

from witness import arrive, ready

SLEEPS = (23, 35, 230, 270)  # select, nanosleep, clock_nanosleep, pselect6


def sleep_over_lines():
    arrive(inside='sleep_over_lines', system_calls=SLEEPS)
    time.sleep(
        1000
        +
        abs(
            1000))


def sleep_in_loop():
    arrive(inside='sleep_in_loop', system_calls=SLEEPS)
    for duration in (0,
                     0,
                     1000):
        (time
         .sleep(duration))


def sleep_in_expression():
    arrive(inside='sleep_in_expression', system_calls=SLEEPS)
    return [
        1,
        len('x') + (
            time.sleep(1000)
            or 1),
    ]


def sleep_in_finally():
    arrive(inside='sleep_in_finally', system_calls=SLEEPS)
    try:
        raise ValueError
    except ValueError:
        pass
    finally:
        time.sleep(
            1000)


functions = [sleep_over_lines, sleep_in_loop, sleep_in_expression, sleep_in_finally]
for function in functions:
    thread = threading.Thread(target=function)
    thread.daemon = True
    thread.start()
os.read(ready(len(functions)), 1)
os._exit(0)
