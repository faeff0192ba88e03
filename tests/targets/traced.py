"""traced.py NFRAME BLOCKS: allocates under tracemalloc, and answers each byte with what gc and tracemalloc say.

Without tracemalloc (2.7) only with what gc says; NFRAME 0 does not start it.
"""
import gc
import os
import sys

NFRAME, BLOCKS = int(sys.argv[1]), int(sys.argv[2])
try:
    import tracemalloc
except ImportError:
    tracemalloc = None
if tracemalloc and NFRAME:
    tracemalloc.start(NFRAME)

from testimony import report, tell
from witness import native_id, thread_name

try:
    from thread import get_ident
except ImportError:
    from _thread import get_ident

DOMAIN = 7


def outer(index):
    return middle(index)


def middle(index):
    return inner(index)


def inner(index):
    return [bytearray(100 + index % 50) for _ in range(index % 3 + 1)]


def lines():
    """A function of many lines that allocate, each another number of bytes."""
    source = ''.join('    kept.append(bytearray(%d))\n' % (20000 + 500 * line) for line in range(40))
    names = {}
    filename = 'many.py' if str is bytes else 'm\u00e4ny \u4e2d.py'
    exec(compile('def allocate(kept):\n' + source, filename, 'exec'), names)
    kept = []
    names['allocate'](kept)
    return kept


def track():
    """Traces a few blocks of another domain, as an extension does; False where that is not possible."""
    try:
        import ctypes
        function = ctypes.pythonapi.PyTraceMalloc_Track
    except (ImportError, AttributeError):
        return False
    for index in range(100):
        function(ctypes.c_uint(DOMAIN), ctypes.c_size_t(0x1000 + 64 * index), ctypes.c_size_t(30000))
    return True


def cycles():
    for _ in range(1000):
        cycle = []
        cycle.append(cycle)


def traced(now):
    snapshot = tracemalloc.take_snapshot()
    by_line = [(stat.traceback[0].filename, stat.traceback[0].lineno, stat.count, stat.size)
               for stat in snapshot.statistics('lineno')[:20]]
    # The outermost frame comes first since 3.7.
    outwards = -1 if sys.version_info >= (3, 7) else 1
    tracebacks = [([(frame.filename, frame.lineno) for frame in list(stat.traceback)[::outwards]], stat.count, stat.size)
                  for stat in snapshot.statistics('traceback')[:20]]
    other = [trace.size for trace in snapshot.traces if getattr(trace, 'domain', 0) == DOMAIN]
    return {'current': now[0], 'peak': now[1], 'lines': by_line, 'tracebacks': tracebacks,
            'other': [len(other), sum(other)], 'limit': tracemalloc.get_traceback_limit()}


def wait():
    # Some names live in the cache of methods alone, until an entry of it is wanted for another one: at any lookup.
    getattr(sys, '_clear_type_cache', int)()
    while True:
        # Kept: tracemalloc counts it now as it did while nothing had been read.
        byte = os.read(0, 1)
        now = tracemalloc.get_traced_memory() if tracemalloc else None
        count = gc.get_count()
        if not byte:
            return
        tell({'threshold': gc.get_threshold(), 'count': count, 'enabled': gc.isenabled(),
              'stats': gc.get_stats() if hasattr(gc, 'get_stats') else None,
              'traced': traced(now) if tracemalloc and NFRAME else None})


KEPT = [outer(index) for index in range(BLOCKS)]
LINES = lines()
TRACKED = track() if tracemalloc and NFRAME else False
gc.set_threshold(70001, 11, 12)
cycles()
gc.collect()
gc.collect(1)
gc.collect(0)
if NFRAME == 5:
    gc.disable()
report([{'thread_id': get_ident(), 'native_id': native_id(), 'name': thread_name(get_ident()), 'idle': True,
         'stacks': []}])
wait()
