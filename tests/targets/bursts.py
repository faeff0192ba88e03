"""bursts.py SLEEPERS BURSTERS: many threads. SLEEPERS wait for ever; BURSTERS sleep long, then work for some milliseconds,
every other one of them without the GIL."""
import hashlib
import os
import random
import sys
import threading
import time

from testimony import report
from witness import native_id

# The larger part of the stacks that so many threads would reserve is never used.
threading.stack_size(256 * 1024)
never = threading.Event()
told = []
data, items = b'x' * 4000000, (0,) * 400000


def without_gil(data):
    hashlib.sha256(data).digest()


def with_gil(items):
    sum(items)


def burster(number):
    told.append({'thread_id': threading.current_thread().ident, 'native_id': native_id(),
                 'name': threading.current_thread().name, 'idle': False, 'stacks': []})
    lengths = random.Random(number)
    while True:
        time.sleep(lengths.uniform(1.0, 3.0))
        if number % 2:
            without_gil(data)
        else:
            with_gil(items)


def start(count, name, body, *arguments):
    for number in range(count):
        thread = threading.Thread(target=body, name='%s-%d' % (name, number), args=arguments or (number,))
        thread.daemon = True
        thread.start()


start(int(sys.argv[1]), 'sleeper', never.wait, 100000)
bursters = int(sys.argv[2])
start(bursters, 'burster', burster)
while len(told) < bursters:
    time.sleep(0.001)
report(told)
os.read(0, 1)
os._exit(0)
