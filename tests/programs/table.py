"""table.py PORT STOP: groups a table by pandas, with a function of its own that first meets the test."""
import os
import sys

import numpy
import pandas

from meeting import meet, spin


def score(group):
    return spin(3000) + int(group.sum())  # computes


def welcome(group):
    meet(sys.argv[1])  # meets
    return 0


def main():
    table = pandas.DataFrame({'key': numpy.arange(5000) % 50, 'value': numpy.arange(5000)})
    table[table.key == 0].groupby('key')['value'].apply(welcome)
    print('ready')
    while not os.path.exists(sys.argv[2]):
        scores = table.groupby('key')['value'].apply(score)
        table.sort_values('value', ascending=False).rolling(7).mean()
        if scores.iloc[0] != 8995500500 + 247500:
            sys.exit('a wrong result: %r' % scores.iloc[0])
    print('all results were right')


if __name__ == '__main__':
    main()
