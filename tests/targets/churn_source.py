"""churn_source.py TARGET FOLDER: writes a program that tears, and the law its stacks must obey.

FOLDER/churn.py makes thousands of short calls a millisecond between families of functions, so that a sampler which
mixes two moments shows a stack that cannot exist. TARGET is one of the functions below that TARGETS names. FOLDER/law.json has, for every function, its name, its lines,
and the functions each line can call. The program says so itself: the comment `#> f g` at a line names what the line calls;
`#> h: f; f: g` where several functions share the line.

Run by the interpreter under test: names, lines and inlined comprehensions are that version's own. Runs on 2.7 too.
"""
import dis
import json
import os
import sys

# List comprehensions have a frame of their own on these versions only.
FRAMED = (3,) <= sys.version_info < (3, 12)
FAMILIES = 24

source = []
families = []


def emit(template, **values):
    """Appends lines to the program; `$key` stands for a value."""
    for line in template.strip('\n').split('\n'):
        for key, value in values.items():
            line = line.replace('$' + key, str(value))
        source.append(line)


def family(make):
    families.append(make)
    return make


def chain(prefix, depth, last='x + 1'):
    """Functions prefix0 to prefix{depth-1}, each calling the next one."""
    for level in range(depth - 1):
        emit('''
def $f(x):
    x = x + 1
    x = $g(x)  #> $g
    return x
''', f=prefix + str(level), g=prefix + str(level + 1))
    emit('''
def $f(x):
    return $last
''', f=prefix + str(depth - 1), last=last)


@family
def deep(k):
    chain('deep%d_' % k, 8)
    return 'deep%d_0' % k


@family
def shallow(k):
    chain('shallow%d_' % k, 2)
    return 'shallow%d_0' % k


@family
def methods(k):
    emit('''
class Method$k(object):
    def __init__(self, x):
        self.x = self.set(x)  #> Method$k.set
    def set(self, x):
        return x + 1
    def first(self, x):
        return self.second(x)  #> Method$k.second
    def second(self, x):
        return Method$k.third(self, x)  #> Method$k.third
    def third(self, x):
        return x + self.x - self.x
def method$k(x):
    thing = Method$k(x)  #> Method$k.__init__
    x = thing.first(x)  #> Method$k.first
    return thing.second(x)  #> Method$k.second
''', k=k)
    return 'method%d' % k


@family
def closures(k):
    emit('''
def closure_leaf$k(x):
    return x + 1
def closure$k(x):
    def inner(y):
        def innermost(z):
            return closure_leaf$k(z + x - x)  #> closure_leaf$k
        return innermost(y)  #> closure$k.<locals>.inner.<locals>.innermost
    x = inner(x)  #> closure$k.<locals>.inner
    return inner(x)  #> closure$k.<locals>.inner
''', k=k)
    return 'closure%d' % k


@family
def nested_generators(k):
    emit('''
def generated$k(x):
    return x + 1
def inner_generator$k(x):
    yield generated$k(x)  #> generated$k
    yield generated$k(x + 1)  #> generated$k
def outer_generator$k(x):
    for value in inner_generator$k(x):  #> inner_generator$k
        yield generated$k(value)  #> generated$k
    yield x
def generator$k(x):
    for value in outer_generator$k(x):  #> outer_generator$k
        x = generated$k(value)  #> generated$k
    return x
''', k=k)
    return 'generator%d' % k


@family
def recursion(k):
    emit('''
def bottom$k(x):
    return x + 1
def recurse$k(n, x):
    if n == 0:
        return bottom$k(x)  #> bottom$k
    return recurse$k(n - 1, x)  #> recurse$k
def recursion$k(x):
    x = recurse$k(3, x)  #> recurse$k
    return recurse$k(9, x)  #> recurse$k
''', k=k)
    return 'recursion%d' % k


@family
def sort_keys(k):
    emit('''
def weigh$k(x):
    return -x
def key$k(x):
    return weigh$k(x)  #> weigh$k
def sort$k(x):
    sorted((1, 2, 3), key=key$k)  #> key$k
    sorted((1, 2, 3), key=lambda y: weigh$k(y))  #> sort$k: sort$k.<locals>.<lambda>; sort$k.<locals>.<lambda>: weigh$k
    return max(x, x + 1, key=key$k)  #> key$k
''', k=k)
    return 'sort%d' % k


@family
def class_calls(k):
    emit('''
def start$k(x):
    return x + 1
class Base$k(object):
    def __init__(self, x):
        self.x = start$k(x)  #> start$k
class Derived$k(Base$k):
    def __init__(self, x):
        Base$k.__init__(self, x)  #> Base$k.__init__
    def __call__(self, x):
        return start$k(x)  #> start$k
    @property
    def value(self):
        return start$k(self.x)  #> start$k
def class$k(x):
    made = Derived$k(x)  #> Derived$k.__init__
    Base$k(x)  #> Base$k.__init__
    x = made(x)  #> Derived$k.__call__
    return made.value - 1  #> Derived$k.value
''', k=k)
    return 'class%d' % k


@family
def comprehensions(k):
    name = 'comprehension%d' % k
    calls = '$n: $n.<locals>.<listcomp>; $n.<locals>.<listcomp>: item$k' if FRAMED else 'item$k'
    emit('''
def item$k(x):
    return x + 1
def comprehension$k(x):
    items = [item$k(y) for y in (x, x + 1)]  #> ''' + calls + '''
    return sum(item$k(y) for y in items)  #> $n: $n.<locals>.<genexpr>; $n.<locals>.<genexpr>: item$k
''', n=name, k=k)
    return name


@family
def shared_site(k):
    names = []
    for number, depth in enumerate((3, 3, 3, 1, 5, 2)):
        names.append('site%d_%d_0' % (k, number))
        chain('site%d_%d_' % (k, number), depth)
    emit('''
SITE$k = ($names)
def site$k(x):
    for f in SITE$k: x = f(x)  #> $calls
    for f in SITE$k:
        x = f(x)  #> $calls
    return x
''', calls=' '.join(names), names=', '.join(names), k=k)
    return 'site%d' % k


@family
def exceptions(k):
    emit('''
def fails$k(x):
    raise ValueError(x)
def passes$k(x):
    fails$k(x)  #> fails$k
def cleans$k(x):
    return x + 1
def exception$k(x):
    try:
        passes$k(x)  #> passes$k
    except ValueError:
        x = cleans$k(x)  #> cleans$k
    finally:
        cleans$k(x)  #> cleans$k
    return x
''', k=k)
    return 'exception%d' % k


@family
def mapped(k):
    emit('''
def mapped$k(x):
    return x + 1
def added$k(x, y):
    return mapped$k(x) + y  #> mapped$k
def passed$k(*arguments, **named):
    return mapped$k(*arguments, **named)  #> mapped$k
def map$k(x):
    list(map(mapped$k, (x, x)))  #> mapped$k
    functools.reduce(added$k, (1, 2, 3))  #> added$k
    return passed$k(*(x,), **{})  #> passed$k
''', k=k)
    return 'map%d' % k


def coroutines(k):
    emit('''
def awaited$k(x):
    return x + 1
async def inner_coroutine$k(x):
    return awaited$k(x)  #> awaited$k
async def outer_coroutine$k(x):
    x = await inner_coroutine$k(x)  #> inner_coroutine$k
    return await inner_coroutine$k(x)  #> inner_coroutine$k
def coroutine$k(x):
    try:
        outer_coroutine$k(x).send(None)  #> outer_coroutine$k
    except StopIteration as done:
        return done.value
''', k=k)
    return 'coroutine%d' % k


if sys.version_info[0] >= 3:
    family(coroutines)


def consumed_generators(k):
    """Generators that C code drives, each through another one."""
    name = 'consumed%d' % k
    emit('''
def consumed_leaf$k(x):
    return x + 1
def consumed_inner$k(x):
    yield consumed_leaf$k(x)  #> consumed_leaf$k
    yield consumed_leaf$k(x + 1)  #> consumed_leaf$k
def consumed_outer$k(x):
    for value in consumed_inner$k(x):  #> consumed_inner$k
        yield value
def consumed$k(x):
    list(consumed_outer$k(x))  #> consumed_outer$k
    first, second = consumed_outer$k(x)  #> consumed_outer$k
    max(consumed_inner$k(second))  #> consumed_inner$k
    x = sum(y for y in consumed_outer$k(first))  #> $n: consumed_outer$k $n.<locals>.<genexpr>; $n.<locals>.<genexpr>: consumed_outer$k
    return sum(consumed_leaf$k(y) for y in (x, 1))  #> $n: $n.<locals>.<genexpr>; $n.<locals>.<genexpr>: consumed_leaf$k
''', n=name, k=k)
    return name


def delegating_generators(k):
    emit('''
def delegated_leaf$k(x):
    return x + 1
def delegated_inner$k(x):
    yield delegated_leaf$k(x)  #> delegated_leaf$k
    return delegated_leaf$k(x)  #> delegated_leaf$k
def delegated_middle$k(x):
    x = yield from delegated_inner$k(x)  #> delegated_inner$k
    yield x
    return (yield from delegated_inner$k(x))  #> delegated_inner$k
def delegated_outer$k(x):
    return (yield from delegated_middle$k(x))  #> delegated_middle$k
def delegated$k(x):
    for value in delegated_outer$k(x):  #> delegated_outer$k
        x = delegated_leaf$k(value)  #> delegated_leaf$k
    list(delegated_outer$k(x))  #> delegated_outer$k
    return x
''', k=k)
    return 'delegated%d' % k


def suspended_coroutines(k):
    """Coroutines that are suspended in between, and an asynchronous generator."""
    emit('''
def suspended_leaf$k(x):
    return x + 1
class Pause$k(object):
    def __init__(self, x):
        self.x = suspended_leaf$k(x)  #> suspended_leaf$k
    def __await__(self):
        yield suspended_leaf$k(self.x)  #> suspended_leaf$k
        return self.x
async def pausing$k(x):
    pause = Pause$k(x)  #> Pause$k.__init__
    return await pause  #> Pause$k.__await__
async def counted$k(x):
    yield await pausing$k(x)  #> pausing$k
    yield suspended_leaf$k(x)  #> suspended_leaf$k
async def counting$k(x):
    async for value in counted$k(x):  #> counted$k
        x = suspended_leaf$k(value)  #> suspended_leaf$k
    return await pausing$k(x)  #> pausing$k
def suspended$k(x):
    running = counting$k(x)  #> counting$k
    while True:
        try:
            running.send(None)  #> counting$k
        except StopIteration as done:
            return done.value
''', k=k)
    return 'suspended%d' % k


def key_functions(k):
    """Functions that C code calls; there is a frame of C between each and its caller."""
    # Before 3.0 `cmp_to_key` is a class of the library, whose methods have frames of their own.
    compared = 'sorted(values, key=functools.cmp_to_key(compare%d))' if sys.version_info[0] >= 3 else 'values.sort(compare%d)'
    emit('''
def weight$k(x):
    return -x
def key_of$k(x):
    return weight$k(x)  #> weight$k
def compare$k(x, y):
    x = weight$k(x)  #> weight$k
    return weight$k(y) - x  #> weight$k
def fold$k(x, y):
    return weight$k(x) + y  #> weight$k
def is_wanted$k(x):
    return weight$k(x) < -1  #> weight$k
def keys$k(x):
    values = [3, 1, 2]
    sorted(values, key=key_of$k)  #> key_of$k
    values.sort(key=key_of$k)  #> key_of$k
    min(values, key=key_of$k)  #> key_of$k
    max(values, key=weight$k)  #> weight$k
    $compared  #> compare$k
    list(map(key_of$k, values))  #> key_of$k
    list(filter(is_wanted$k, values))  #> is_wanted$k
    functools.reduce(fold$k, values)  #> fold$k
    return x
''', compared=compared % k, k=k)
    return 'keys%d' % k


def shuffled(items, seed):
    """The same order on every version."""
    items = list(items)
    for last in range(len(items) - 1, 0, -1):
        seed = (seed * 1103515245 + 12345) % (1 << 31)
        chosen = (seed >> 8) % (last + 1)
        items[last], items[chosen] = items[chosen], items[last]
    return items


def begin():
    emit('''
"""Made by churn_source.py."""
import functools, os, sys
try:
    from thread import allocate_lock, start_new_thread
except ImportError:
    from _thread import allocate_lock, start_new_thread
def watch():
    os.read(0, 1); os._exit(0)
start_new_thread(watch, ())
''')


def work(name, heads):
    """The function that calls every family, one after the other and from one shared site."""
    emit('ROOTS_$n = ($h)\ndef $n(x):', n=name, h=', '.join(heads))
    for turn in range(3):
        for head in shuffled(heads, turn + 1):
            emit('    x = $h(x)  #> $h', h=head)
    emit('''
    for f in ROOTS_$n:
        x = f(x)  #> $all
    return x % 1000
''', n=name, all=' '.join(heads))


def run():
    """The main program, which works for ever."""
    emit('''
def main():
    os.write(1, b'{"threads": []}\\n')
    x = 0
    while True:
        x = work(x)  #> work
main()  #> main
''')


def of_kinds(kinds):
    """FAMILIES families of these `kinds` in turn."""
    return [kinds[k % len(kinds)](k) for k in range(FAMILIES)]


def calls():
    begin()
    work('work', of_kinds(families))
    run()


def sites():
    """One call site for many families three deep: a caller that does not call yet has another family's frames, left
    behind where its own will be."""
    begin()
    heads = []
    for k in range(FAMILIES):
        chain('family%d_' % k, 3)
        heads.append('family%d_0' % k)
    emit('''
SITE = ($names)
def work(x):
    for f in SITE: f(x)  #> $calls
    return x
''', names=', '.join(heads), calls=' '.join(heads))
    run()


def keys():
    begin()
    heads = of_kinds([key_functions])
    keys = ['key_of%d' % k for k in range(FAMILIES)]
    emit('''
KEYS = ($names)
def shared_keys(x):
    for f in KEYS: sorted((3, 1, 2), key=f)  #> $calls
    return x
''', names=', '.join(keys), calls=' '.join(keys))
    work('work', heads + ['shared_keys'])
    run()


def generators():
    begin()
    kinds = [nested_generators, consumed_generators]
    if sys.version_info[0] >= 3:
        kinds += [delegating_generators, coroutines, suspended_coroutines]
    work('work', of_kinds(kinds))
    run()


def threads():
    """Three threads work for ever; the main thread starts short ones, one after the other."""
    begin()
    work('work', of_kinds(families))
    chain('brief', 4)
    emit('''
def worker():
    x = 0
    while True:
        x = work(x)  #> work
def brief_thread(x):
    for x in range(50):
        brief0(x)  #> brief0
    done.release()
def main():
    for _ in range(3):
        start_new_thread(worker, ())
    os.write(1, b'{"threads": []}\\n')
    while True:
        start_new_thread(brief_thread, (1,))
        done.acquire()
done = allocate_lock()
done.acquire()
main()  #> main
''')


def codes():
    """Functions that are compiled, called and freed for ever, each in a file of its own number: the address of
    their code objects is used again and again. The law of this file's functions is that of `made`, shifted."""
    begin()
    emit('''
MADE = $made
def main():
    os.write(1, b'{"threads": []}\\n')
    number = 0
    while True:
        number += 1
        names = {}
        exec(compile('\\n' * (number % $period) + MADE.replace('@', str(number)), '<made %d>' % number, 'exec'), names)  #> made:<module>
        made = names['made_%d_a' % number]
        for x in range(100):
            made(x)  #> made:a
        del made, names
main()  #> main
''', made=repr(MADE), period=PERIOD)


PERIOD = 50
MADE = '''def made_@_c(x):
    return x + 1
def made_@_b(x):
    x = x + 1
    x = made_@_c(x)
    return made_@_c(x)
def made_@_a(x):
    x = made_@_b(x)

    x = made_@_c(x)
    return x
'''
MADE_CALLS = {'a': {8: ['made:b'], 10: ['made:c']}, 'b': {5: ['made:c'], 6: ['made:c']}}


def lines_of(code):
    return sorted(set(line for _, line in dis.findlinestarts(code) if line) | {code.co_firstlineno})


def is_lineless(code):
    """Whether some instructions belong to no line; a generator stands at one before its first step."""
    return hasattr(code, 'co_lines') and any(not line for _, _, line in code.co_lines())


def inside(code, prefix=''):
    """`code` and every code object in it, each with its qualified name."""
    name = prefix + code.co_name
    yield name, code
    # Only functions, not classes and modules, have CO_OPTIMIZED.
    below = '' if code.co_name == '<module>' else name + ('.<locals>.' if code.co_flags & 1 else '.')
    for constant in code.co_consts:
        if hasattr(constant, 'co_code'):
            for found in inside(constant, below):
                yield found


def calls_at(comment, key):
    """The functions that the line with this comment calls when it stands in `key`."""
    if ':' not in comment or comment.startswith('made:'):
        return comment.split()
    owners = dict(part.split(': ') for part in comment.split('; '))
    return owners.get(key, '').split()


def law():
    """What stacks the program can have."""
    comments = dict((number + 1, line.split('#> ')[1]) for number, line in enumerate(source) if '#> ' in line)
    functions = []
    for key, code in inside(compile('\n'.join(source) + '\n', 'churn.py', 'exec')):
        calls = dict((line, calls_at(comments[line], key)) for line in lines_of(code) if line in comments)
        functions.append({'key': key, 'name': getattr(code, 'co_qualname', code.co_name), 'lines': lines_of(code),
                          'calls': dict((line, called) for line, called in calls.items() if called),
                          # Once the target has said that it is ready, its main program is always in a call.
                          'innermost': key != '<module>', 'lineless': is_lineless(code)})
    made = []
    for name, code in inside(compile(MADE.replace('@', '0'), '<made>', 'exec')):
        letter = name.split('_')[-1]
        made.append({'key': 'made:' + letter, 'name': name.replace('_0_', '_@_'), 'lines': lines_of(code),
                     'calls': MADE_CALLS.get(letter, {}), 'innermost': True, 'lineless': is_lineless(code)})
    return {'functions': functions, 'made': made, 'period': PERIOD,
            'roots': ['<module>', 'watch', 'worker', 'brief_thread']}


TARGETS = {'calls': calls, 'sites': sites, 'keys': keys, 'generators': generators, 'threads': threads, 'codes': codes}
TARGETS[sys.argv[1]]()
with open(os.path.join(sys.argv[2], 'churn.py'), 'w') as file:
    file.write('\n'.join(source) + '\n')
with open(os.path.join(sys.argv[2], 'law.json'), 'w') as file:
    json.dump(law(), file, indent=1)
