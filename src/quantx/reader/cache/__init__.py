"""Decoded copies of the immutable files of tables: in memory, and memory-mapped from a folder of the user.

A copy has its columns one after the other, the rows sorted by symbol, and the offset of each symbol. The checksum of
each block of 8 KB is compared when a process reads the block for the first time.
"""
