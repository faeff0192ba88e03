# -*- coding: utf-8 -*-
"""Callers whose line is hard to tell: calls over several lines, jumps back, long functions, lines far down or up."""
import ast

from witness import Chain

chain = Chain()
onward = chain.onward


def define(source, filename='<made>', change=None):
    """Compiles a function `link`, after `change` of its syntax tree, and makes it the next link of the chain."""
    tree = ast.parse(source)
    if change:
        change(tree)
    namespace = {'onward': onward, 'nothing': nothing, 'same': same}
    exec(compile(tree, filename, 'exec'), namespace)
    chain.link(namespace['link'])


def defined(source):
    """`define` for syntax that older versions do not have."""
    try:
        compile(source, '<made>', 'exec')
    except SyntaxError:
        return
    define(source)


def nothing(*_, **__):
    return 0


def same(value):
    return value


@chain.link
def arguments_on_several_lines():
    nothing(
        1,
        onward(
            2,
            3
        ),
        four=4,
    )


@chain.link
def expression_on_several_lines():
    return (
        1 +
        2 *
        nothing() +
        (onward() or
         0) +
        nothing(
            1
        )
    )


@chain.link
def attributes_on_several_lines():
    class Builder(object):
        def first(self):
            return self

        def second(self):
            onward()
            return self
    (Builder()
     .first()
     .second()
     .first())


@chain.link
def literals():
    return [
        nothing(),
        {
            'key':
                onward(),
            'other': nothing(),
        },
    ]


@chain.link
def jump_back():
    turn = 0
    while True:
        if turn == 3:
            onward()
        for _ in range(3):
            nothing()
        turn += 1


@chain.link
def condition_of_a_loop():
    turn = 0
    while nothing() or (turn == 3 and
                        onward()) or turn < 4:
        turn += 1


@chain.link
def in_comprehension():
    return [
        onward()
        for value in range(3)
        if value ==
        2
    ]


@chain.link
def try_except_finally():
    try:
        try:
            nothing()
            raise ValueError(
                'x')
        except (TypeError,
                ValueError):
            nothing()
        finally:
            nothing()
            onward()
            nothing()
    except KeyError:
        nothing()


@chain.link
def with_statement():
    class Manager(object):
        def __enter__(self):
            return 1

        def __exit__(self, *_):
            onward()
    with Manager() as first, \
            Manager() as second:
        nothing(first,
                second)


@chain.link
def decorated():
    def decorate(*_):
        return same

    @same
    @decorate(
        0,
        onward()
    )
    @same
    def inner(
        value=1,
        other=2
    ):
        pass


@chain.link
def class_statement():
    class Class(
        object if nothing() else
        (onward() or object),
    ):
        pass


@chain.link
def chained_comparison():
    return (nothing()
            < 1
            < (onward() or 2)
            < 3)


@chain.link
def backslashes():
    return 1 + \
        2 + \
        len([onward(), \
             1])


# More than 256 bytecodes, more than 65536, and jumps over more than 256 lines between them.
define('def link():\n' + '    nothing(1, 2, 3)\n' * 300 + '    onward()\n')
define('def link():\n' + '    nothing(1, 2, 3); nothing(4, 5, 6)\n' * 6000 + '    onward()\n')
define('def link():\n    nothing()' + '\n' * 300 + '    onward()\n')
define('def link():\n    nothing()' + '\n' * 3000 + '    nothing()' + '\n' * 127 + '    onward()\n')
define('def link():\n    nothing()' + '\n' * 128 + '    nothing()' + '\n' * 255 + '    onward()\n')
define('def link():\n    ' + 'nothing(); ' * 400 + 'onward(); ' + 'nothing(); ' * 400 + '\n')
define('\n' * 70000 + 'def link():\n    onward()\n')
define('\n' * 70000 + 'def link():\n    nothing(\n' + '\n' * 70000 + '    onward())\n')
define('def link():\n    return (' + ' ' * 5000 + 'onward())\n')
define('def link():\n    return (' + '"' + 'é' * 200 + '" and onward())\n')
define('# comment\r\ndef link():\r\n    nothing()\r\n    onward()\r\n')


def at(lines):
    """Moves the statements of the function to `lines`, as template engines do: backwards too."""
    def change(tree):
        function = tree.body[0]
        for statement, line in zip(function.body, lines):
            for node in ast.walk(statement):
                if hasattr(node, 'lineno'):
                    node.lineno = line
                    if hasattr(node, 'end_lineno'):
                        node.end_lineno = line
    return change


define('def link():\n    nothing()\n    onward()\n', change=at([1000000, 3]))
define('def link():\n    nothing()\n    onward()\n', change=at([3, 2000000]))
define('def link():\n    nothing()\n    nothing()\n    onward()\n', change=at([500, 200, 300]))
define('def link():\n    nothing()\n    nothing()\n    onward()\n', change=at([500, 372, 100]))

defined('''
def link():
    return f"""{nothing()}
    {
        onward()
    }"""
''')
defined('''
def link():
    if (value :=
            nothing(
                1)) or (other := onward()):
        pass
''')
defined('''
def link():
    match nothing():
        case 1:
            nothing()
        case 0 if (
            onward()
        ):
            pass
''')
defined('''
def link():
    with (
        open('/dev/null') as first,
        open(onward() or
             '/dev/null') as second,
    ):
        pass
''')
defined('''
def link():
    try:
        raise ExceptionGroup('x', [
            ValueError()])
    except* ValueError:
        nothing(
            onward())
''')
defined('''
def link():
    @(lambda function:
        onward())
    def inner():
        pass
''')
defined('''
type Alias = (
    onward())
def link():
    return Alias.__value__
''')
defined('''
def link[T](value:
            T = 1) -> T:
    return onward(
        )
''')
onward()
