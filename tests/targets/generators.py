"""Generators in generators, made by `yield`, by expressions, by `yield from` where the language has it."""
import contextlib

from witness import Chain

chain = Chain()
onward = chain.onward


@chain.link
def by_loop():
    def inner():
        yield 1
        yield onward()

    def middle():
        for value in inner():
            yield value

    for _ in middle():
        pass


@chain.link
def by_next():
    def generator():
        yield onward()
    next(generator())


@chain.link
def by_send():
    def generator():
        value = yield
        onward(value)
    started = generator()
    next(started)
    started.send(1)


@chain.link
def by_throw():
    def generator():
        try:
            yield
        except ValueError:
            onward()
        yield
    started = generator()
    next(started)
    started.throw(ValueError())


@chain.link
def by_close():
    def generator():
        try:
            yield
        finally:
            onward()
    started = generator()
    next(started)
    started.close()


@chain.link
def by_expression():
    list(onward() for _ in (inner for inner in range(2)))


@chain.link
def by_list():
    def generator():
        yield onward()
    list(generator())


@chain.link
def by_unpacking():
    def generator():
        yield onward()
    first, = generator()


@chain.link
def by_context_manager():
    @contextlib.contextmanager
    def manager():
        onward()
        yield
    with manager():
        pass


YIELD_FROM = '''
def link():
    def inner():
        yield 1
        yield onward()
    def middle():
        yield 0
        yield from inner()
    def outer():
        return (yield from middle())
    for _ in outer():
        pass
'''
try:
    code = compile(YIELD_FROM, '<yield from>', 'exec')
except SyntaxError:
    pass
else:
    namespace = {'onward': onward}
    exec(code, namespace)
    chain.link(namespace['link'])

onward()
