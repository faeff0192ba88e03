"""What programs that are compared with `rspy heap` say of their objects: an address, sys.getsizeof() and a name of a type a line."""
import gc
import itertools
import signal
import sys


def measure(kept, beside):
    lines = []
    seen = set()
    everything = gc.get_objects()
    # What changes while this goes on.
    changing = [lines, seen, everything] + beside
    for item in itertools.chain(list(kept), everything):
        if id(item) in seen or any(item is one for one in changing) or type(item).__name__ == 'frame':
            continue
        seen.add(id(item))
        name = '%s.%s' % (type(item).__module__, getattr(type(item), '__qualname__', type(item).__name__))
        lines.append('%d %d %s' % (id(item), sys.getsizeof(item), name.replace(' ', '_')))
    return lines


def tell(path, kept, *beside):
    """Writes to the file of that name what is said of the objects `kept`, and of all that the collector tracks but those
    `beside`; says how many, and waits.
    """
    # What writing makes is made before.
    output = open(path, 'w')
    output.write('')
    output.flush()
    sys.stdout.write('')
    gc.collect()
    gc.disable()
    beside = [output, globals(), sys.modules['__main__'].__dict__] + list(beside)
    # What has to be imported for it is imported the first time.
    measure(kept, beside)
    lines = measure(kept, beside)
    output.write('\n'.join(lines))
    output.flush()
    sys.stdout.write('%d objects\n' % len(lines))
    sys.stdout.flush()
    signal.pause()
