import pytest
from mixture_tables import DOMAINS, METRICS, table

from spectral_sim.fitting import fit_mixture
from spectral_sim.fitting._mixture_table import NamedTable


@pytest.fixture(scope="session")
def mixture_fit():
    """The law fitted to thirty runs of the synthetic truth, with names, without boosting."""
    ratios, losses = table(30, 0)
    return fit_mixture(NamedTable(ratios, DOMAINS), NamedTable(losses, METRICS), boost="none")
