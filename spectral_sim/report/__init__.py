"""Comparisons of schedules, and everything that is made of them: tables, verdicts, files, plots, the HTML report."""

from ..analysis import scoring_charges, step_charge
from ._assessment import Assessment, Run, run_assessment
from ._curve_html import curves_html, write_curve_report
from ._defaults import REFRESHES_PER_DECADE, default_entries, default_times
from ._entry import Entry
from ._extras import INSTALL, require
from ._html import report_html, write_report
from ._mixture_html import mixture_html, write_mixture_report
from ._phases import Phases, draw_phases, self_scoring_phases
from ._plots import write_plots
from ._results import summary, to_dataset, verdict_of, write_dataset, write_results
from ._search import Search, SearchCurve, search_of_data, search_of_modes
from ._style import BOUND_COLOUR, PALETTE, new_figure
from ._sweep_html import sweep_html, write_sweep_report
from ._table import Row, Table, table
from ._theory import THEORIES, Finding, findings
from ._verdict import verdict

__all__ = [
    "Assessment",
    "BOUND_COLOUR",
    "Entry",
    "Finding",
    "INSTALL",
    "PALETTE",
    "Phases",
    "REFRESHES_PER_DECADE",
    "Row",
    "Run",
    "Search",
    "SearchCurve",
    "Table",
    "curves_html",
    "default_entries",
    "default_times",
    "draw_phases",
    "THEORIES",
    "findings",
    "mixture_html",
    "new_figure",
    "report_html",
    "require",
    "run_assessment",
    "scoring_charges",
    "self_scoring_phases",
    "search_of_data",
    "search_of_modes",
    "step_charge",
    "summary",
    "sweep_html",
    "table",
    "to_dataset",
    "verdict",
    "verdict_of",
    "write_curve_report",
    "write_dataset",
    "write_mixture_report",
    "write_plots",
    "write_report",
    "write_results",
    "write_sweep_report",
]
