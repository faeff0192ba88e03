from meeting import meet, spin


def compute(rounds):
    return spin(rounds)  # computes


def welcome(port):
    return meet(port)  # meets
