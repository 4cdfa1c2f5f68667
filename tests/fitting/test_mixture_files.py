import numpy as np
import pytest
from mixture_tables import DOMAINS, METRICS, table

from spectral_sim.fitting import read_by_name, read_mixtures


def write(path, header, rows):
    path.write_text("\n".join(",".join(str(cell) for cell in row) for row in [header, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def two_files(tmp_path):
    """Ten runs in two files, the losses in reverse order."""
    ratios, losses = table(10, 0)
    shares = write(
        tmp_path / "ratios.csv", ["run", *DOMAINS], [[f"r{n}", *row] for n, row in enumerate(ratios.tolist())]
    )
    rows = [[f"r{n}", *row] for n, row in enumerate(losses.tolist())]
    return shares, write(tmp_path / "metrics.csv", ["run", *METRICS], rows[::-1]), ratios, losses


def test_two_files_are_joined_on_the_first_shared_column(two_files):
    shares, losses, notes = read_mixtures(*two_files[:2])
    assert (shares.columns, losses.columns) == (DOMAINS, METRICS)
    np.testing.assert_array_equal(shares.values, two_files[2])
    assert losses.index[0] == "r9"
    np.testing.assert_array_equal(losses.values[::-1], two_files[3])
    assert "joined on the column 'run'" in notes[0]


def test_one_wide_file(tmp_path):
    ratios, losses = table(10, 0)
    header = ["index", *(f"r_{name}" for name in DOMAINS), *(f"L_{name}" for name in METRICS)]
    rows = [[n, *a, *b] for n, (a, b) in enumerate(zip(ratios.tolist(), losses.tolist(), strict=True))]
    shares, values, _ = read_mixtures(write(tmp_path / "wide.csv", header, rows))
    assert (shares.columns, values.columns, shares.index[3]) == (DOMAINS, METRICS, "3")
    np.testing.assert_array_equal(values.values, losses)
    with pytest.raises(ValueError, match=r"wide.csv has no column of shares, none starts with 'share_'"):
        read_mixtures(tmp_path / "wide.csv", shares_prefix="share_")


def test_steps_are_a_clock(two_files, tmp_path):
    rows = [[f"r{n}", step, *(two_files[3][n] * 1000 / step)] for n in range(10) for step in (2000, 1000)]
    path = write(tmp_path / "curves.csv", ["run", "step", *METRICS], rows)
    _, losses, notes = read_mixtures(two_files[0], path)
    np.testing.assert_allclose(losses.values, two_files[3] / 2)
    assert "step 2000, the last of each run" in notes[1]
    rows[4][1] = "late"
    with pytest.raises(ValueError, match=r"curves.csv, row 4, column 'step' holds 'late'"):
        read_mixtures(two_files[0], write(path, ["run", "step", *METRICS], rows))
    rows[4][1] = 1500
    with pytest.raises(ValueError, match="run 'r2' ends at step 1500, others at 2000"):
        read_mixtures(two_files[0], write(path, ["run", "step", *METRICS], rows))


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        (["run", "a", "b"], ["r0", "0.5", "x"], "bad.csv, row 0, column 'b' holds 'x'"),
        (["run", "a", "b"], ["r0", "0.5", ""], "bad.csv, row 0, column 'b' is empty"),
        (["run", "a", "b"], ["r0", "0.5"], "bad.csv, line 2 has 2 entries, the header 3"),
        (["run", "a", "a"], ["r0", "0.5", "0.5"], "two columns 'a'"),
        (["name", "a", "b"], ["r0", "0.5", "0.5"], "share no column"),
    ],
)
def test_bad_files_are_named(two_files, tmp_path, header, row, message):
    with pytest.raises(ValueError, match=message):
        read_mixtures(write(tmp_path / "bad.csv", header, [row]), two_files[1])


def test_runs_that_are_there_twice(two_files, tmp_path):
    rows = [["r0", 0.5, 0.5], ["r1", 0.5, 0.5], ["r0", 0.5, 0.5]]
    with pytest.raises(ValueError, match="'r0' is there twice, in rows 0 and 2"):
        read_mixtures(write(tmp_path / "bad.csv", ["run", "a", "b"], rows), two_files[1])
    with pytest.raises(FileNotFoundError, match="is not a file"):
        read_mixtures(tmp_path / "none.csv")


def test_numbers_by_name_in_either_layout(tmp_path):
    expected = {"web": 0.25, "code": 0.75}
    pairs = [["web", 0.25], ["code", 0.75]]
    assert read_by_name(write(tmp_path / "a.csv", ["domain", "share"], pairs)) == expected
    assert read_by_name(write(tmp_path / "b.csv", pairs[0], pairs[1:])) == expected
    assert read_by_name(write(tmp_path / "c.csv", ["web", "code"], [[0.25, 0.75]])) == expected
    with pytest.raises(ValueError, match="give a name and a number a row"):
        read_by_name(write(tmp_path / "d.csv", ["web", "code", "x"], [[1, 2, 3], [1, 2, 3]]))
