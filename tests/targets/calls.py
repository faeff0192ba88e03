"""Calls of every kind between Python functions: methods, closures, properties, class calls, operators."""
import functools

from witness import Chain

chain = Chain()
onward = chain.onward


@chain.link
def function():
    onward()


@chain.link
def closure():
    cell = []

    def inner():
        cell.append(1)
        return onward()
    return inner()


@chain.link
def arguments():
    def taking(first, *rest, **named):
        onward(first, *rest, **named)
    taking(1, *(2, 3), **{'four': 4})


@chain.link
def methods():
    class Class(object):
        def method(self):
            self.class_method()

        @classmethod
        def class_method(cls):
            cls.static_method()

        @staticmethod
        def static_method():
            onward()
    Class().method()


@chain.link
def unbound_method():
    class Class(object):
        def method(self):
            onward()
    Class.method(Class())


@chain.link
def properties():
    class Class(object):
        @property
        def reading(self):
            self.writing = onward()

        @reading.setter
        def writing(self, _):
            raise AssertionError
    Class().reading


@chain.link
def setter():
    class Class(object):
        def __setattr__(self, name, value):
            onward()
    Class().name = 1


@chain.link
def class_call():
    class Base(object):
        def __init__(self, value):
            onward(value)

    class Derived(Base):
        def __init__(self):
            super(Derived, self).__init__(1)
    # The specialised class call of 3.12 and later pushes a shim frame, which is only there once the call is hot.
    for value in range(100):
        Quiet(value)
    Derived()


class Quiet(object):
    def __init__(self, value):
        self.value = value


@chain.link
def hot_class_call():
    class Class(object):
        def __init__(self, act):
            if act:
                onward()
    for act in [False] * 200 + [True]:
        Class(act)


@chain.link
def new():
    class Class(object):
        def __new__(cls):
            onward()
    Class()


@chain.link
def metaclass_call():
    class Meta(type):
        def __call__(cls):
            return type.__call__(cls)

        def __new__(mcs, name, bases, namespace):
            if bases != (object,):
                onward()
            return type.__new__(mcs, name, bases, namespace)

    class Body(Meta('Base', (object,), {})):
        pass


@chain.link
def metaclass_creation():
    class Meta(type):
        def __call__(cls):
            onward()
    Meta('Class', (object,), {})()


@chain.link
def class_body():
    class Class(object):
        value = onward()


@chain.link
def decorators():
    def decorate(argument):
        def decorator(inner):
            @functools.wraps(inner)
            def wrapper():
                return inner()
            return wrapper
        return decorator

    @decorate(1)
    @decorate(2)
    def decorated():
        onward()
    decorated()


@chain.link
def decorating():
    @onward
    def decorated():
        pass


@chain.link
def attributes():
    class Class(object):
        def __getattr__(self, name):
            return onward()
    Class().missing


@chain.link
def every_attribute():
    class Class(object):
        def __getattribute__(self, name):
            return onward()
    Class().anything


@chain.link
def descriptor():
    class Descriptor(object):
        def __get__(self, instance, owner):
            onward()

    class Class(object):
        attribute = Descriptor()
    Class().attribute


@chain.link
def finaliser():
    class Class(object):
        def __del__(self):
            onward()
    Class()


@chain.link
def operators():
    class Class(object):
        def __add__(self, other):
            return self[other]

        def __getitem__(self, key):
            return key in self

        def __contains__(self, key):
            return self == key

        def __eq__(self, other):
            return hash(self)

        def __hash__(self):
            return self()

        def __call__(self):
            for _ in self:
                pass

        def __iter__(self):
            with self:
                pass

        def __enter__(self):
            return onward()

        def __exit__(self, *_):
            pass
    Class() + 1


@chain.link
def truth():
    class Class(object):
        def __bool__(self):
            onward()
        __nonzero__ = __bool__
    if Class():
        pass


@chain.link
def iteration():
    class Class(object):
        def __iter__(self):
            return self

        def __next__(self):
            onward()
        next = __next__
    for _ in Class():
        pass


@chain.link
def handlers():
    try:
        raise ValueError
    except ValueError:
        try:
            pass
        finally:
            onward()


@chain.link
def default_argument():
    def inner(value=onward()):
        pass


onward()
