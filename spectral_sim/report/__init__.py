"""What is made of assessments and sweeps: tables and verdicts as files, plots, the HTML report."""

from ._assessment_html import report_html, write_report
from ._curve_html import curves_html, write_curve_report
from ._mixture_html import mixture_html, write_mixture_report
from ._phases import Phases, draw_phases, self_scoring_phases
from ._plots import write_plots
from ._results import summary, to_dataset, verdict_of, write_dataset, write_results
from ._style import BOUND_COLOUR, PALETTE, new_figure
from ._sweep_html import sweep_html, write_sweep_report
from ._training_html import draw_training, training_html, write_training_report

__all__ = [
    "BOUND_COLOUR",
    "PALETTE",
    "Phases",
    "curves_html",
    "draw_phases",
    "draw_training",
    "mixture_html",
    "new_figure",
    "report_html",
    "self_scoring_phases",
    "summary",
    "sweep_html",
    "to_dataset",
    "training_html",
    "verdict_of",
    "write_curve_report",
    "write_dataset",
    "write_mixture_report",
    "write_plots",
    "write_report",
    "write_results",
    "write_sweep_report",
    "write_training_report",
]
