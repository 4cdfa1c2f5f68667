"""Data sets from the user's own files."""

from ._load import load_table
from ._read_file import read_table
from ._split import repeated_rows, split_rows

__all__ = ["load_table", "read_table", "repeated_rows", "split_rows"]
