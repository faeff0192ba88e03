"""Methods of every kind, each calling the next: what `self` and `cls` are bound to tells their classes."""
from witness import Chain

chain = Chain()
onward = chain.onward


class Base(object):
    def method(self):
        onward()

    @classmethod
    def of_class(cls):
        onward()

    @staticmethod
    def static(first=None):
        onward()

    @property
    def attribute(self):
        onward()

    def used_within(self):
        def inner():
            return self
        onward()
        return inner

    def deleted(self):
        del self
        onward()

    def generator(self):
        onward()
        yield self

    def __call__(self, *arguments):
        onward()


class Derived(Base):
    class Inner(Base):
        pass

    def method(self):
        super(Derived, self).method()


class Old:
    def method(self):
        onward()


class Meta(type):
    def of_metaclass(cls):
        onward()


Made = Meta('Made', (object,), {})


def no_method(self):
    onward()


def no_class(cls):
    onward()


for link in (Base().method, Derived().method, Derived.of_class, Derived.Inner.of_class, Base.static,
             lambda: Derived().attribute, Derived().used_within, Base().deleted, lambda: list(Base().generator()),
             Derived(), Old().method, Made.of_metaclass):
    chain.link(link)
chain.link(lambda: no_method(1))
chain.link(lambda: no_method(Derived()))
chain.link(lambda: no_method(None))
chain.link(lambda: no_class(1))
chain.link(lambda: no_class(Derived))
chain.link(lambda: no_class(dict))

onward()
