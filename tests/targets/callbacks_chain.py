"""The chain of callbacks.py, in a module of its own so that an imported module can go on with it."""
from witness import Chain

chain = Chain()
onward = chain.onward
