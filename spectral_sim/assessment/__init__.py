"""Schedules compared on one problem: what to try, the runs, their gains and costs, and the result in plain words."""

from ._assessment import Assessment, Run, run_assessment
from ._bracket import bracket
from ._curves import Curve
from ._defaults import REFRESHES_PER_DECADE, default_entries, default_times
from ._entry import Entry
from ._gains import Gains
from ._search import Search, SearchCurve, search_of_data, search_of_modes
from ._table import Row, Table, format_short, format_speedup, table
from ._teachers import Taught
from ._theory import THEORIES, Finding, findings
from ._verdict import verdict

__all__ = [
    "Assessment",
    "Curve",
    "Entry",
    "Finding",
    "Gains",
    "REFRESHES_PER_DECADE",
    "Row",
    "Run",
    "Search",
    "SearchCurve",
    "THEORIES",
    "Table",
    "Taught",
    "bracket",
    "default_entries",
    "default_times",
    "findings",
    "format_short",
    "format_speedup",
    "run_assessment",
    "search_of_data",
    "search_of_modes",
    "table",
    "verdict",
]
