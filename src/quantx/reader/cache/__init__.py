"""Decoded copies of the immutable files of tables: in memory, and in a folder of the user.

A copy has its columns one after the other, the rows sorted by symbol, and the offset of each symbol. A query reads the
blocks of 4 KB that have its rows, and compares each with its checksum.
"""
