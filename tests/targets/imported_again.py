"""Imported by variety.py: its body takes a while."""
for number in range(100000):
    pass
