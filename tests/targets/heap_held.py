"""heap_held.py FILE: makes objects that are held in known ways, writes to FILE where some of them are, as JSON
{name: address}, says so, and waits; each time it is sent SIGUSR1 it makes a thousand sessions more, and says so.
"""
import collections
import gc
import json
import signal
import sys
import threading
import weakref


class Session(object):
    def __init__(self, user, number):
        self.user = user
        self.data = [number] * 50


class Slots(object):
    __slots__ = ('first', 'second')

    def __init__(self, first):
        self.first = first
        self.second = Marker()


class Node(object):
    pass


class Marker(object):
    pass


class Keeper(object):
    kept = Marker()


class Record(object):
    def __init__(self, first, second):
        self.first = first
        self.second = second


def closure():
    inside = Marker()

    def inner():
        return inside
    return inner


def generate():
    within = Marker()
    yield within


def wait(local):
    rows = [(number, float(number)) for number in range(20000)]
    started.set()
    threading.Event().wait(1000)
    return rows, local


def grow(signum, frame):
    base = len(cache['sessions'])
    cache['sessions'].extend([Session('user%d' % number, number) for number in range(base, base + 1000)])
    told('%d sessions' % (base + 1000))


def told(word):
    sys.stdout.write(word + '\n')
    sys.stdout.flush()


cache = {'sessions': [Session('user%d' % number, number) for number in range(1000)]}
private = {('secret bytes number %d, long enough to reach anywhere' % number).encode('ascii'): Marker() for number in range(3)}
secrets = {''.join(['pass', 'word%d' % number]): Marker() for number in range(3)}
queue = collections.deque([Marker() for _ in range(200)])
slots = [Slots(number) for number in range(1000)]
numbers = {(1, 2): Marker()}
inner = closure()
generator = generate()
next(generator)
weak = weakref.WeakValueDictionary({'weakly': inner})
records = [{'id': number, 'name': None, 'price': 1.5} for number in range(2000)]
plain = [Record(number, None) for number in range(2000)]
words = [''.join(['some ', 'text %d' % (number % 10)]) for number in range(5000)]
gc.collect()
gc.disable()
for _ in range(100):
    one, other = Node(), Node()
    one.other, other.other = other, one
del one, other
started = threading.Event()
local = Marker()
thread = threading.Thread(target=wait, args=(local,), name='worker')
thread.daemon = True
thread.start()
started.wait()
addresses = {
    'session': id(cache['sessions'][123]),
    'secret': id(sorted(secrets.items())[1][1]),
    'private': id(sorted(private.items())[1][1]),
    'queued': id(queue[150]),
    'slot': id(slots[77].second),
    'number': id(numbers[1, 2]),
    'inside': id(inner()),
    'within': id(generator.gi_frame.f_locals['within']),
    'kept': id(Keeper.kept),
    'local': id(local),
}
del local
with open(sys.argv[1], 'w') as output:
    json.dump(addresses, output)
signal.signal(signal.SIGUSR1, grow)
told('ready')
while True:
    signal.pause()
