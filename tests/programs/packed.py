"""packed.py PORT: meets the test. Without PORT: computes for a while and says what came out. What PyInstaller and
zipapp pack."""
import sys

from meeting import meet, spin


def compute():
    return sum(spin(100000) for _ in range(150))  # computes


def main():
    print(meet(sys.argv[1]) if sys.argv[1:] else compute())  # meets


if __name__ == '__main__':
    main()
