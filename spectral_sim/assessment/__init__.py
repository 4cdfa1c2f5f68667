"""Schedules compared on one problem: what to try, the runs, their gains and costs, and the result in plain words."""

from ._assessment import Assessment, Store, run_assessment
from ._columns import Column, Row, format_short, format_speedup
from ._curves import Curve
from ._defaults import QUICK, REFRESHES_PER_DECADE, chosen_entries, default_entries, default_times
from ._entry import Entry, Split, Steps
from ._gains import Gains, Window
from ._interval import Interval, interval
from ._run import Run, Taught
from ._runs import Recorded
from ._search import Search, SearchCurve, search_of_data, search_of_modes
from ._table import Table, table
from ._theory import THEORIES, Finding, findings
from ._verdict import bracket, claim, most_gain, verdict

__all__ = [
    "Assessment",
    "Column",
    "Curve",
    "Entry",
    "Finding",
    "Gains",
    "Interval",
    "QUICK",
    "REFRESHES_PER_DECADE",
    "Recorded",
    "Row",
    "Run",
    "Search",
    "SearchCurve",
    "Split",
    "Steps",
    "Store",
    "THEORIES",
    "Table",
    "Taught",
    "Window",
    "bracket",
    "chosen_entries",
    "claim",
    "default_entries",
    "default_times",
    "findings",
    "format_short",
    "format_speedup",
    "interval",
    "most_gain",
    "run_assessment",
    "search_of_data",
    "search_of_modes",
    "table",
    "verdict",
]
