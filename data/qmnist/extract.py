"""Writes t10k-class-writer-idx2-short.gz: class and writer of each of MNIST's 10,000 test images, as QMNIST found them.

    python extract.py qmnist-test-labels-idx2-int.gz
"""

import gzip
import struct
import sys

IMAGES, CLASS, WRITER = 10_000, 0, 2

with gzip.open(sys.argv[1]) as file:
    labels = file.read()
magic, rows, columns = struct.unpack(">3i", labels[:12])
assert (magic, rows, columns) == (0x0C02, 60_000, 8), "these are not QMNIST's extended test labels"
row = struct.Struct(f">{columns}i")
table = [row.unpack_from(labels, 12 + n * row.size) for n in range(IMAGES)]
extract = struct.pack(">3i", 0x0B02, IMAGES, 2)
extract += b"".join(struct.pack(">2h", values[CLASS], values[WRITER]) for values in table)
with open("t10k-class-writer-idx2-short.gz", "wb") as file:
    # Neither name nor time: the same labels give the same bytes.
    file.write(gzip.compress(extract, 9, mtime=0))
