import numpy as np
import pytest
from mixture_tables import DOMAINS, METRICS, table

from spectral_sim.fitting import fit_mixture, fit_phases
from spectral_sim.fitting._mixture_table import by_domain, mixture_table


def changed(**cells):
    """Tables of ten runs with some entries replaced."""
    shares, values = table(10, 0)
    for name, array in (("ratios", shares), ("losses", values)):
        for place, value in cells.get(name, {}).items():
            array[place] = value
    return shares, values


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"ratios": {(3, 1): -0.1}}, r"run '3' \(row 3\), domain 'domain 1' \(column 1\) is -0.1: .*not negative"),
        ({"ratios": {(3, 1): np.nan}}, r"run '3' \(row 3\), domain 'domain 1' \(column 1\) is nan"),
        ({"ratios": {2: [0.5, 0.5, 0.5, 0.2]}}, r"run '2' \(row 2\) has shares with sum 1.7, not 1"),
        ({"ratios": {2: [20, 30, 40, 10]}}, r"row 2.* sum 100.*percentages by 100"),
        ({"ratios": {2: [1, 0.5, 0.2, 0.3]}}, r"row 2.* sum 2, not 1.*2 phases.*fit_phases"),
        ({"losses": {(4, 2): np.nan}}, r"run '4' \(row 4\), loss 'loss 2' \(column 2\) is nan"),
        ({"losses": {(4, 2): -1.0}}, r"run '4' \(row 4\), loss 'loss 2' \(column 2\) is -1: a loss must be positive"),
        ({"losses": {(..., 1): 2.0}}, r"loss 'loss 1' \(column 1\) is 2 in every run"),
    ],
)
def test_bad_entries_are_named_with_row_and_column(cells, message):
    with pytest.raises(ValueError, match=message):
        mixture_table(*changed(**cells))


def test_a_domain_that_never_varies_is_named():
    ratios, losses = table(10, 0)
    still = np.hstack([0.8 * ratios, np.full((10, 1), 0.2)])
    with pytest.raises(ValueError, match=r"domain 'domain 4' \(column 4 of ratios\) has the share 0.2 in every run"):
        mixture_table(still, losses)


def test_too_few_runs_and_too_few_mixtures_are_refused():
    ratios, losses = table(10, 0)
    with pytest.raises(ValueError, match="has 7 runs: at least 8"):
        mixture_table(ratios[:7], losses[:7])
    with pytest.raises(ValueError, match="holds 5 different mixtures"):
        mixture_table(np.repeat(ratios[:5], 2, axis=0), losses)
    with pytest.raises(ValueError, match="ratios has 10 rows and losses 9"):
        mixture_table(ratios, losses[:9])


def test_rounded_shares_are_rescaled_and_that_is_said():
    ratios, losses = table(10, 0)
    found = mixture_table(np.round(ratios, 2), losses)
    np.testing.assert_allclose(found.ratios.sum(axis=1), 1, rtol=1e-14)
    assert "rescaled" in found.notes[0]
    assert mixture_table(ratios, losses).notes == ()


def test_frames_are_joined_by_their_runs():
    pandas = pytest.importorskip("pandas")
    ratios, losses = table(10, 0)
    names = [f"run-{n}" for n in range(10)]
    first = pandas.DataFrame(ratios, columns=list(DOMAINS), index=names)
    second = pandas.DataFrame(losses, columns=list(METRICS), index=names)
    found = mixture_table(first, second.iloc[::-1])
    np.testing.assert_array_equal(found.losses, losses)
    assert found.runs == tuple(names)
    assert found.domains == DOMAINS
    with pytest.raises(ValueError, match="run 'run-9' is in ratios but not in losses"):
        mixture_table(first, second.iloc[:9])
    with pytest.raises(ValueError, match="run 'run-0' is there twice"):
        mixture_table(first.set_axis(["run-0", *names[:9]]), second)
    with pytest.raises(ValueError, match="column 'web' is there twice"):
        mixture_table(first.set_axis(["web", "web", "books", "wiki"], axis=1), second)
    words = second.astype(object)
    words.iloc[2, 1] = "n/a"
    with pytest.raises(ValueError, match="row run-2, column 'code' holds 'n/a'"):
        mixture_table(first, words)


def test_phases_and_static_tables_are_told_apart():
    ratios, losses = table(10, 0)
    with pytest.raises(ValueError, match=r"one mixture a phase.*fit_phases"):
        fit_mixture(np.stack([ratios, ratios], axis=1), losses)
    with pytest.raises(ValueError, match=r"a static table.*fit_mixture"):
        fit_phases(ratios, losses, [0.5, 0.5])


def test_options_are_checked():
    with pytest.raises(ValueError, match="law='square' is not known"):
        fit_mixture(*table(10, 0), law="square")
    with pytest.raises(ValueError, match="intervals=90"):
        fit_mixture(*table(10, 0), intervals=90)


def test_numbers_by_name():
    assert by_domain("prior", {"wiki": 1, "web": 2, "code": 3, "books": 4}, DOMAINS).tolist() == [2, 3, 4, 1]
    with pytest.raises(ValueError, match=r"prior names 'wikis', which is no domain of the table. Did you mean 'wiki'"):
        by_domain("prior", {"wikis": 1}, DOMAINS)
    with pytest.raises(ValueError, match="prior has no entry for domain 'code'"):
        by_domain("prior", {"web": 1}, DOMAINS)
    with pytest.raises(ValueError, match="prior of domain 'code' is -1"):
        by_domain("prior", [1, -1, 1, 1], DOMAINS)
    with pytest.raises(ValueError, match=r"prior has shape \(3,\)"):
        by_domain("prior", [1, 1, 1], DOMAINS)
