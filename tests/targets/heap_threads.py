"""heap_threads.py COUNT FILE: has threads that have ended, threads that go on, and the first one make objects, COUNT each, and drop
each other's; writes to FILE what there is, as JSON {"made": {type: count}, "tracked": {}, "blocks": null}, says so, and waits.
"""
import gc
import json
import signal
import sys
import threading

COUNT = int(sys.argv[1])
THREADS = 12


class Left(object):
    """Made by a thread that has ended."""
    def __init__(self, number):
        self.number = [number] * (number % 30)


class Held(Left):
    """Made by a thread that goes on, which holds it."""


class Dropped(Left):
    """Made by a thread, dropped by another."""


class Kept(Left):
    """Every third of those that others have dropped."""


class Lost(object):
    """Two of them hold each other, and nothing else holds them."""
    def __init__(self):
        self.large = bytearray(40000)


def end(place):
    left[place] = [Left(number) for number in range(COUNT)]
    mixed[place] = [(Kept if number % 3 == 0 else Dropped)(number) for number in range(COUNT)]
    one, other = Lost(), Lost()
    one.other, other.other = other, one


def go_on():
    held = [Held(number) for number in range(COUNT)]
    ready.release()
    forever.wait()
    return held


left = [None] * THREADS
mixed = [None] * THREADS
gc.disable()
ready, forever = threading.Semaphore(0), threading.Event()
threads = [threading.Thread(target=go_on, daemon=True) for _ in range(THREADS)]
for thread in threads:
    thread.start()
for _ in threads:
    ready.acquire()
# Those that go on are there before: what a thread has left is given to one with the same number, which would have to look for it.
threads = [threading.Thread(target=end, args=(place,)) for place in range(THREADS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for place, objects in enumerate(mixed):
    mixed[place] = [one for one in objects if isinstance(one, Kept)]
del objects
kept = -(-COUNT // 3)
made = {'Left': COUNT * THREADS, 'Held': COUNT * THREADS, 'Kept': kept * THREADS, 'Dropped': 0, 'Lost': 2 * THREADS}
with open(sys.argv[2], 'w') as output:
    json.dump({'made': {'__main__.' + name: count for name, count in made.items()}, 'tracked': {}, 'blocks': None}, output)
print('ready')
sys.stdout.flush()
signal.pause()
