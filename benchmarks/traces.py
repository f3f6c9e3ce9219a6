"""10,000,000 requests: drawn, written, read again and summed up, never held whole.

Bounds: memory of each step no more than 150 MiB above that of a tenth of the requests, and 300 MiB in all above what
was resident at first; and so many requests a second, or so many rulers a million: drawn 1,000,000, written as Parquet
and read from it 300,000, read from a CSV 100,000, one at a time as a simulation takes them 100,000. A ruler is seconds
of 1,000 `numpy.multiply` passes over 1,000,000 doubles.
"""
