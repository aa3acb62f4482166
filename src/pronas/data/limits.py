"""How much is held at a time while images are read, and how much is kept: sizes that a machine may want otherwise.

They are looked up when they are used, so ``pronas.data.limits.LARGE = 1 << 26`` holds from then on, in this process.
"""

#: Bytes from which images are kept in a file of the cache rather than in memory.
LARGE = 1 << 28
#: Bytes of all kept images together; the ones unused longest go first.
MAX_KEPT = 32 << 30
#: Bytes that are read from an archive, or converted, at a time.
CHUNK = 1 << 24
#: Items of an iterable that are gathered before they are written.
ITEMS = 256
