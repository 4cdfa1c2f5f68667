"""Which column of a file serves as what: target, group, input, label noise, or what the split goes by."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..._checks import nearest
from ..._wording import option
from ._read_file import RawTable, no_header
from ._read_numpy import read_array

_INPUT_NAMES = ("X", "inputs")

Names = str | Path | Sequence[str] | None


@dataclass
class Roles:
    """Names of columns by what they are for.

    Arguments:
        targets: to be predicted.
        group: of each example.
        noise: labels known to be wrong.
        split_by: what the split goes by.
        eval_column: what chooses the held-out rows.
        inputs: what remains, or what the user chose.
        chosen: whether the user chose them.
        warnings: of names that serve twice.
    """

    targets: list[str]
    group: str | None
    noise: str | None
    split_by: str | None
    eval_column: str | None
    inputs: list[str] = field(default_factory=list)
    chosen: bool = False
    warnings: list[str] = field(default_factory=list)

    def all(self) -> list[str]:
        """Every column that is used, once, targets first."""
        return list(dict.fromkeys([*self.targets, *self.others(), *self.inputs]))

    def others(self) -> list[str]:
        """Columns that are neither targets nor inputs."""
        names = [self.group, self.noise, self.split_by, self.eval_column]
        return list(dict.fromkeys(name for name in names if name is not None and name not in self.targets))


def as_names(names: Names) -> list[str]:
    """One name or several as a list, stripped as the header is."""
    if names is None:
        return []
    return [str(names).strip()] if isinstance(names, str | Path) else [str(name).strip() for name in names]


def assign_roles(
    table: RawTable,
    path: Path,
    target: Names,
    *,
    group: str | Path | None,
    inputs: Names,
    drop: Names,
    noise_column: str | None,
    split_by: str | None,
    eval_column: str | None,
    own_features: bool,
) -> Roles:
    """Check every name against the table, and find the inputs that remain.

    Arguments:
        table: the columns; for `.npy` targets and groups of other files are added to it.
        path: of the table.
        target: and the others: as `load_table` takes them.
        own_features: whether features come from elsewhere, so that no column is an input.

    Raises:
        ValueError: a name that is not in the table, one that serves for two things, or nothing left.
    """
    suffix = path.suffix.lower()
    if suffix == ".npy":
        target, group = _other_files(table, target, group)
        if inputs is not None:
            raise ValueError(f"{option('inputs', inputs)}: a .npy file has no names; leave it out.")
    targets, dropped, chosen = as_names(target), as_names(drop), as_names(inputs)
    roles = Roles(
        targets=list(dict.fromkeys(targets)),
        group=None if group is None else as_names(group)[0],
        noise=None if noise_column is None else noise_column.strip(),
        split_by=split_by,
        eval_column=eval_column,
        chosen=inputs is not None,
    )
    single = {
        "group": roles.group,
        "noise_column": roles.noise,
        "split_by": roles.split_by,
        "eval_where": roles.eval_column,
    }
    given = {"target": targets, "inputs": chosen, "drop": dropped} | {
        k: [v] for k, v in single.items() if v is not None
    }
    for argument, names in given.items():
        for name in names:
            _check_name(argument, name, table)
    if len(targets) > len(roles.targets):
        twice = next(name for n, name in enumerate(targets) if name in targets[:n])
        roles.warnings.append(f"{option('target', twice)} is given twice and counts once")
    if not targets:
        raise ValueError(f"{option('target')} is left without a column: name at least one.")
    served = {*roles.targets, *(name for name in single.values() if name is not None)}
    for name in dropped:
        if name in roles.targets or name in chosen:
            other = option("target" if name in roles.targets else "inputs", name)
            raise ValueError(f"{option('drop', name)} is also {other}: leave one of them out.")
    if own_features:
        if chosen:
            raise ValueError(f"{option('inputs', chosen[0])}: features come from another file; leave it out.")
        return roles
    if inputs is None:
        if suffix == ".npz":
            roles.inputs = [_input_array(table, served | set(dropped))]
        elif suffix == ".npy":
            roles.inputs = [table.name]
        else:
            roles.inputs = [name for name in table.columns if name not in served and name not in dropped]
    else:
        for name in chosen:
            if name in roles.targets:
                raise ValueError(f"{option('inputs', name)} is the target too: leave it out.")
        roles.inputs = list(dict.fromkeys(chosen))
    if not roles.inputs:
        raise ValueError(f"{option('inputs')} is left without a column: every column of {table.name} serves otherwise.")
    return roles


def _other_files(table: RawTable, target: Any, group: Any) -> tuple[list[str], str | None]:
    """Targets and groups of a `.npy` file stand in files of their own; they become columns of the table."""
    names: list[str] = []
    sources = [target] if isinstance(target, str | Path) else list(target)
    for argument, source in [*(("target", source) for source in sources), *([("group", group)] if group else [])]:
        array = read_array(argument, source)
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        name = Path(source).name
        while name in table.columns:  # the inputs themselves as the target, or files of one name in two folders
            name += "'"
        table.columns[name] = array
        names.append(name)
    return (names[:-1], names[-1]) if group else (names, None)


def _check_name(argument: str, name: str, table: RawTable) -> None:
    if name in table.columns:
        return
    hint = no_header(table.columns)
    raise ValueError(f"{option(argument, name)} is not in {table.name}.{hint}{nearest(name, _shown(table.columns))}")


def _shown(names: Iterable[str]) -> list[str]:
    """Names for a message, which a table of a thousand columns would fill."""
    names = list(names)
    return names if len(names) <= 40 else [*names[:40], f"... ({len(names)} columns)"]


def _input_array(table: RawTable, used: set[str]) -> str:
    others = [name for name in table.columns if name not in used]
    named = [name for name in _INPUT_NAMES if name in others]
    found = named or [name for name in others if np.ndim(table.columns[name]) == 2]
    if len(found) != 1:
        raise ValueError(f"{option('inputs')} is not given and {table.name} could mean any of {found}: name one array.")
    return found[0]
