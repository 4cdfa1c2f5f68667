"""Shell quadrature against sums over every mode, closed forms and the exactness that defines a Gauss rule."""

import math
import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.special import zeta

from spectral_sim.numerics._quadrature import ShellRule, shell_rule

LAWS = [(1.25, 1.5), (1.5, 2.0), (2.0, 2.0), (3.0, 1.2)]
TIMES = np.logspace(-1, 8, 13)
MODES = 10**7


def exact_losses(alpha: float, beta: float, times: np.ndarray, max_mode: int) -> np.ndarray:
    """Half of sum_k k^-beta exp(-2 k^-alpha t) over every mode: pairwise sums of chunks, added without rounding."""
    parts = []
    for start in range(0, max_mode, 10**6):
        k = np.arange(start + 1.0, min(start + 10**6, max_mode) + 1.0)
        rate, energy = 2 * k**-alpha, k**-beta
        parts.append([np.sum(energy * np.exp(-rate * t)) for t in times])
    return np.array([math.fsum(column) / 2 for column in np.transpose(parts)])


def rule_losses(rule: ShellRule, alpha: float, beta: float, times: np.ndarray) -> np.ndarray:
    k = rule.index
    return (rule.multiplicity * k**-beta * np.exp(-2 * k**-alpha * times[:, None])).sum(axis=1) / 2


def is_a_rule(rule: ShellRule, max_mode: int, nodes: int) -> None:
    assert rule.index.shape == rule.multiplicity.shape == (min(nodes, max_mode),)
    assert rule.index.dtype == rule.multiplicity.dtype == np.float64
    assert np.all(np.diff(rule.index) > 0)
    assert rule.index[0] == 1
    assert rule.index[-1] < max_mode + 0.5
    assert np.all(rule.multiplicity > 0)
    np.testing.assert_allclose(rule.multiplicity.sum(), max_mode, rtol=2e-15)


@pytest.mark.parametrize(("alpha", "beta"), LAWS)
def test_loss_equals_the_sum_over_ten_million_modes(alpha, beta):
    expected = exact_losses(alpha, beta, TIMES, MODES)
    error = {}
    for nodes in (64, 256, 512):
        values = rule_losses(shell_rule(MODES, nodes), alpha, beta, TIMES)
        error[nodes] = np.max(np.abs(values / expected - 1))
    assert error[256] < 3e-12
    assert error[512] <= max(error[256], 2e-15)  # both may sit at rounding
    assert error[64] > 1e-9  # the comparison can tell a poor rule from a good one


def test_more_nodes_help_where_the_front_is_sharp():
    times = np.array([5.6e7])  # among the worst for this law: the front exp(-2 k^-3 t) lies inside one panel
    expected = exact_losses(3.0, 1.2, times, MODES)
    coarse, fine = (np.abs(rule_losses(shell_rule(MODES, n), 3.0, 1.2, times) / expected - 1)[0] for n in (256, 512))
    assert fine < 2e-15
    assert coarse > 10 * fine


@pytest.mark.parametrize("max_mode", [10**3, 10**5, 10**7, 10**8, 10**12])
def test_trace_mode_count_and_factorial(max_mode):
    rule = shell_rule(max_mode, 256)
    is_a_rule(rule, max_mode, 256)
    for alpha in (1.25, 1.5, 2.0, 3.0):
        kappa = math.fsum(rule.multiplicity * rule.index**-alpha)
        np.testing.assert_allclose(kappa, zeta(alpha, 1) - zeta(alpha, max_mode + 1), rtol=2e-15)
    log_factorial = math.fsum(rule.multiplicity * np.log(rule.index))
    np.testing.assert_allclose(log_factorial, math.lgamma(max_mode + 1), rtol=2e-15)


@pytest.mark.parametrize(("max_mode", "nodes", "edges"), [(10**5, 32, ()), (10**6, 32, ()), (10**6, 41, (30.0, 2e5))])
def test_sums_of_polynomials_in_log_k_are_exact_up_to_the_gauss_degree(max_mode, nodes, edges):
    rule = shell_rule(max_mode, nodes, edges)

    def sums(k: np.ndarray, weights: np.ndarray) -> np.ndarray:
        x = 2 * np.log(k) / math.log(max_mode) - 1
        return np.array([math.fsum(weights * np.polynomial.Chebyshev.basis(n)(x)) for n in range(24)])

    every = np.arange(1.0, max_mode + 1)
    error = np.abs(sums(rule.index, rule.multiplicity) - sums(every, np.ones_like(every))) / max_mode
    assert np.all(error[:16] < 1e-14)
    assert error[16] > 1e-10


def test_narrow_panels_far_out_keep_their_digits():
    low, number = 123_456_789_012, 24  # all log k of this segment agree to eleven digits
    rule = shell_rule(10**12, 128, (low, low + number))
    inside = (rule.index > low + 0.5) & (rule.index < low + number + 0.5)
    index, multiplicity = rule.index[inside] - low, rule.multiplicity[inside]
    assert index.size == 8
    # On so short a segment log k is linear in k, so that the rule is symmetric and exact for powers of k.
    spacing = np.spacing(float(low))
    np.testing.assert_allclose(index + index[::-1], number + 1, atol=2 * spacing, rtol=0)
    np.testing.assert_allclose(multiplicity, multiplicity[::-1], rtol=1e-8)
    x = (2 * np.arange(1.0, number + 1) - number - 1) / number
    for power in range(0, 16, 2):
        value = np.sum(multiplicity * ((2 * index - number - 1) / number) ** power)
        np.testing.assert_allclose(value, np.sum(x**power), rtol=10 * spacing)


@pytest.mark.parametrize(("max_mode", "nodes"), [(1, 1), (1, 256), (7, 20), (32, 32), (255, 256), (256, 256)])
def test_enough_nodes_give_every_mode(max_mode, nodes):
    rule = shell_rule(max_mode, nodes)
    np.testing.assert_array_equal(rule.index, np.arange(1, max_mode + 1))
    np.testing.assert_array_equal(rule.multiplicity, 1)


@pytest.mark.parametrize("nodes", [32, 37, 63, 64, 250, 256])
@pytest.mark.parametrize("surplus", [1, 2, 9, 40, 300])
def test_a_few_modes_more_than_nodes(nodes, surplus):
    max_mode = nodes + surplus
    rule = shell_rule(max_mode, nodes)
    is_a_rule(rule, max_mode, nodes)
    first = nodes // 4 + (nodes - nodes // 4) % 8
    np.testing.assert_array_equal(rule.index[:first], np.arange(1, first + 1))
    np.testing.assert_array_equal(rule.multiplicity[:first], 1)
    # Only as many panels as there are surplus modes can hold more integers than nodes; the others are those integers.
    assert np.sum((rule.multiplicity == 1) & (rule.index == np.round(rule.index))) >= nodes - 8 * surplus
    times = np.logspace(-1, 1.5 * math.log10(max_mode), 11)  # up to where the slowest mode has learned
    error = rule_losses(rule, 1.5, 2.0, times) / exact_losses(1.5, 2.0, times, max_mode) - 1
    assert np.max(np.abs(error)) < 1e-8


@pytest.mark.slow
@given(
    st.floats(0, 12).map(lambda x: int(10**x)),
    st.integers(32, 300),
    st.lists(st.floats(0, 12).map(lambda x: 10**x), max_size=2),
)
@example(300, 256, [70.0, 74.5])
@example(300, 256, [290.0, 291.0])
@example(10**12, 33, [10.0, 9e11])
@example(10**5, 32, [12.0, 15.0])
def test_every_rule_counts_the_modes_below_every_edge(max_mode, nodes, edges):
    rule = shell_rule(max_mode, nodes, edges)
    is_a_rule(rule, max_mode, nodes)
    for edge in edges:
        below = rule.index < math.floor(edge) + 0.5
        count = min(math.floor(edge), max_mode)
        np.testing.assert_allclose(rule.multiplicity[below].sum(), count, rtol=4e-15)


def test_a_known_band_edge_costs_nothing():
    edge, times = 12345, np.logspace(-1, 8, 10)
    alpha, beta = 1.5, 2.0
    total = exact_losses(alpha, beta, np.array([0.0]), MODES)
    frozen = total - exact_losses(alpha, beta, np.array([0.0]), edge)  # modes above the edge are never trained
    expected = exact_losses(alpha, beta, times, edge) + frozen

    def error(rule: ShellRule) -> float:
        k = rule.index
        rate = np.where(k <= edge, 2 * k**-alpha, 0.0)
        values = (rule.multiplicity * k**-beta * np.exp(-rate * times[:, None])).sum(axis=1) / 2
        return np.max(np.abs(values / expected - 1))

    assert error(shell_rule(MODES, 256, (edge,))) < 1e-11
    assert error(shell_rule(MODES, 256)) > 1e-4


def test_edges_come_in_any_form_and_order():
    rule = shell_rule(MODES, 256, (500, 12345))
    for edges in ([12345.5, 500.25, 500.0], np.array([500.0, 12345.0]), (0.5, 3, 64, 64.5, 500, 12345, 1e7, 1e300)):
        assert shell_rule(MODES, 256, edges) is rule


def test_rules_are_cached_and_read_only():
    rule = shell_rule(98_765_432, 256)
    assert shell_rule(98_765_432.0, np.int64(256)) is rule
    for array in (rule.index, rule.multiplicity):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 2.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1e7 + 0.5, 256), "max_mode=10000000.5 is not a whole number: round it"),
        ((math.inf, 256), "max_mode=inf is not a whole number"),
        ((math.nan, 256), "max_mode=nan is not a whole number"),
        (("1000", 256), "max_mode='1000' is not a whole number"),
        ((0, 256), "max_mode=0 is out of range: give"),
        ((-3.0, 256), "max_mode=-3 is out of range: give"),
        ((2**53 + 1, 256), "max_mode=9007199254740993 is out of range: give"),
        ((10**400, 256), "is out of range: give"),
        ((1000, 256.5), "nodes=256.5 is not a whole number: round it"),
        ((1000, 31), "nodes=31 is too few for 1000 modes: give at least 32"),
        ((20, 19), "nodes=19 is too few for 20 modes: give"),
        ((1000, 64, (10.0, math.nan)), "edges[1] is nan: every entry must be finite; leave out"),
        ((1000, 64, (math.inf,)), "edges[0] is inf: every entry must be finite; leave out"),
        ((1000, 64, 500.0), "edges must have shape (edges)"),
    ],
)
def test_errors_name_argument_value_and_fix(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        shell_rule(*arguments)


def test_too_many_edges_say_how_many_nodes_are_enough():
    edges = tuple(range(100, 1000, 50))
    with pytest.raises(ValueError, match=r"edges has 18 entries in use, too many: give nodes=\d+") as caught:
        shell_rule(10**6, 64, edges)
    found = re.search(r"nodes=(\d+)", str(caught.value))
    assert found is not None
    nodes = int(found[1])
    is_a_rule(shell_rule(10**6, nodes, edges), 10**6, nodes)
    with pytest.raises(ValueError, match="edges"):
        shell_rule(10**6, nodes - 32, edges)
