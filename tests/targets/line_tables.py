# -*- coding: utf-8 -*-
"""Prints what the interpreter itself says of the place of every instruction: of its own library, and of code made to
be hard. No process to look at: the line tables go with it.

A line of the output is a code object: NAME TABLE FIRST_LINE RUNS, the table in hexadecimal, each run BYTES:LINE or,
where the interpreter has columns, BYTES:LINE:END_LINE:COLUMN:END_COLUMN, an unknown number being empty. The last line
is "modules" and how many were compiled.
"""
import ctypes
import os
import sys
from binascii import hexlify
from itertools import groupby

FOLDERS = ['', 'asyncio', 'collections', 'email', 'encodings', 'html', 'http', 'importlib', 'json', 'lib2to3',
           'lib2to3/pgen2', 'logging', 're', 'tomllib', 'unittest', 'urllib', 'xml/etree']
LIBRARY = os.path.dirname(os.__file__)
# A code page is one dictionary like the others: a few stand for all of them.
ENCODINGS = ('__init__.py', 'aliases.py', 'cp1252.py', 'idna.py', 'koi8_r.py', 'punycode.py', 'utf_8_sig.py')

addr2line = ctypes.pythonapi.PyCode_Addr2Line
addr2line.argtypes = [ctypes.py_object, ctypes.c_int]
addr2line.restype = ctypes.c_int


def library():
    """The source files of the library, tests aside."""
    for folder in FOLDERS:
        path = os.path.join(LIBRARY, *folder.split('/'))
        names = ENCODINGS if folder == 'encodings' else sorted(os.listdir(path)) if os.path.isdir(path) else ()
        for name in names:
            if name.endswith('.py') and os.path.exists(os.path.join(path, name)):
                yield os.path.join(path, name)


def objects(code):
    """`code` and everything compiled with it."""
    pending = [code]
    while pending:
        code = pending.pop()
        yield code
        pending.extend(constant for constant in code.co_consts if isinstance(constant, type(code)))


def lines(code):
    """Runs of bytes on one line, by the function that gives tracebacks and `f_lineno` their lines."""
    step = 1 if sys.version_info < (3, 6) else 2
    numbers = (addr2line(code, offset) for offset in range(0, len(code.co_code), step))
    for line, run in groupby(numbers):
        yield '%d:%s' % (len(list(run)) * step, line if line > 0 else '')


def positions(code):
    """Runs of bytes in one place."""
    for place, run in groupby(code.co_positions()):
        yield ':'.join(['%d' % (len(list(run)) * 2)] + ['' if number is None else '%d' % number for number in place])


def tell(code):
    runs = positions if hasattr(code, 'co_positions') else lines
    table = code.co_linetable if hasattr(code, 'co_linetable') else code.co_lnotab
    name = code.co_name.replace(' ', '_')
    text = '%s %s %d %s\n' % (name, hexlify(table).decode(), code.co_firstlineno, ' '.join(runs(code)))
    output.write(text.encode('utf-8'))


def moved(tree, numbers):
    """Gives the statements of the first function other lines, as template engines do: backwards too."""
    import ast
    for statement, number in zip(tree.body[0].body, numbers):
        for node in ast.walk(statement):
            if hasattr(node, 'lineno'):
                node.lineno = number
                if hasattr(node, 'end_lineno'):
                    node.end_lineno = number
    return tree


def hard():
    """Sources of which each is compiled on its own; syntax that the interpreter does not know yet is left out."""
    yield 'pass\n'
    yield ''
    yield 'def f():\n    g(1, 2, 3); h(4, 5)\n' + '    g(1, 2, 3); h(4, 5); [1, 2][0] = x.y.z\n' * 2500
    yield 'def f():\n    while a:\n        if b:\n            ' + 'g(1, a.b, c[1]); ' * 90 + 'break\n        x = 1\n'
    for blank in (125, 126, 127, 128, 129, 253, 254, 255, 256, 257, 300, 3000, 70000):
        yield 'def f():\n    g()' + '\n' * blank + '    h()\n'
        yield 'def f():\n    return g(' + '\n' * blank + 'h(1), [i\nfor i in' + '\n' * blank + ' j()])\n'
    yield '\n' * 70000 + 'def f():\n    g()\n'
    for column in (6, 70, 78, 79, 80, 81, 126, 127, 128, 129, 254, 255, 256, 5000):
        yield 'def f():\n    return (' + ' ' * column + 'g(1, x . y) + h)\n'
        yield u'def f():\n    return ("' + u'é' * column + u'", g("漢字", x . y), "😀" + h)\n'
        yield 'def f():\n    return (' + 'a' * column + '(' + 'b' * column + '))\n'
    yield 'def f():\n    return ' + ' + '.join('g%d(%d)' % (i, i) for i in range(400)) + '\n'
    yield '''
@decorator
@decorator.with_arguments(
    1,
    g(2))
@other
class C(
        A,
        B
):
    """text"""
    x = 1

    @property
    @g(
        1)
    def p(self, a=1, *b,
          **c):
        return (self
                .a
                .b(1,
                   2)
                .c)
'''
    yield '''
def f(a, b):
    try:
        with g(a) as x, \\
                g(b) as y:
            return x + y
    except (ValueError,
            TypeError) as error:
        raise KeyError(
            error
        )
    else:
        pass
    finally:
        for i in range(
                10):
            if not i:
                continue
            g(i)
        while True:
            break
    return {
        'a': g(a),
        'b': [
            i + j
            for i in a
            if i
            for j in g(
                i)
        ],
        'c': {k: v
              for k, v
              in b},
        'd': lambda x: (
            x +
            1),
        'e': (a if b
              else c),
        'f': a
             and b
             or (c < d
                 < e),
    }
'''
    yield '''
def f():
    x = yield 1
    y = yield (
        x)
    del x, \\
        y
    assert x, (
        'message')
    import a, \\
        b
    from c import (d,
                   e)
    global z
    z = a[
        1:
        2]
    a[1] += (
        2)
    return list(
        i
        for i in (yield))
'''
    yield '''
async def f(a):
    async with a as b:
        await b(
            1)
    async for c in b:
        yield c
    else:
        return
async def g():
    return [
        x async for x in f(
            1)
        if await
        x]
'''
    yield '''
def f(a: int = 1, *, b: 'x' = (
        2)) -> None:
    x: int = (
        3)
    print(f"{a} {b!r:>{x}}" if a else f"""{a
    } {b}""")
    nonlocal_ = [*a,
                 *b]
    yield from (
        a)
'''
    yield '''
class C(A,
        metaclass=g(
            1)):
    x: int = 1
'''
    yield '''
def f(a):
    match a:
        case [1, x,
              *rest] if x > (
                  1):
            return x
        case {'k': v,
              **r}:
            return v
        case C(x=1,
               y=2) | D():
            return 3
        case _:
            pass
'''
    yield '''
def f(a):
    if (n := len(
            a)) > 1:
        try:
            g()
        except* ValueError as e:
            h(
                e)
        finally:
            k()
'''
    yield '''
type A[T] = (
    T)
def f[T: int](x: T = (
        1)) -> T:
    class C[U](
            T): pass
    return f"{x!r:{
        C}}"
'''
    yield 'def f():\n    return t"{a}{\n    b!r:>{c}}"\n'


def main():
    count = 0
    for path in library():
        with open(path, 'rb') as source:
            code = compile(source.read(), path, 'exec', 0, True)
        count += 1
        for each in objects(code):
            tell(each)
    import ast
    for source in hard():
        try:
            code = compile(source, '<made>', 'exec', 0, True)
        except SyntaxError:
            continue
        for each in objects(code):
            tell(each)
    body = 'def f():\n' + '    g()\n' * 6
    for numbers in ([1000000, 3, 2000000, 1, 130, 2], [500, 372, 100, 227, 226, 99], [257, 2, 258, 1, 129, 1],
                    [128, 1, 256, 1, 127, 400]):
        for each in objects(compile(moved(ast.parse(body), numbers), '<made>', 'exec', 0, True)):
            tell(each)
    output.write(('modules %d\n' % count).encode())


output = os.fdopen(1, 'wb', 1 << 20)
main()
output.close()
