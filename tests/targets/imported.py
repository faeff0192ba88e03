"""Imported by callbacks.py: its body is a link of the chain."""
from callbacks_chain import onward

onward()
