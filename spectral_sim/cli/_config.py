"""The configuration of `spectral-sim simulate`, as pydantic models: what may stand in the TOML file."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

DEFAULT_BATCH = 32
PICKING = 1 / 3
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
AboveOne = Annotated[float, Field(gt=1, allow_inf_nan=False)]
Names = Annotated[
    list[str], Field(min_length=1), BeforeValidator(lambda names: [names] if isinstance(names, str) else names)
]


class Model(BaseModel):
    """A table of a configuration."""

    # strict: a number in quotes is a mistake; TOML has types, and whole numbers still serve as floats
    model_config = ConfigDict(extra="forbid", strict=True)


class PowerLawProblem(Model):
    """Eigenvalues k^-alpha and energies k^-beta."""

    kind: Literal["power_law"]
    alpha: AboveOne
    beta: AboveOne
    num_modes: Annotated[int, Field(ge=1)] | None = None
    max_mode: Positive | None = None
    nodes: Annotated[int, Field(ge=1)] | None = None


class RandomFeaturesProblem(Model):
    """Random features of finite width on a power law; its keys are the arguments of `random_features`."""

    kind: Literal["random_features"]
    alpha: Positive
    beta: Positive
    num_modes: Annotated[int, Field(ge=2)]
    width: Positive
    nodes: Annotated[int, Field(ge=1)] | None = None
    method: Literal["equivalent", "draw"] = "equivalent"
    seed: int = 0


class ModalFile(Model):
    """A spectrum from a file: arrays (.npz) or columns (.csv, .parquet) `eigenvalues`, `energies`, `multiplicity`."""

    kind: Literal["modal"]
    path: str


class TorusProblem(Model):
    """Power-law kernel on a grid of points; weights are on examples."""

    kind: Literal["torus"]
    alpha: AboveOne
    beta: AboveOne
    num_examples: Annotated[int, Field(ge=2)]
    basis: Literal["fourier", "haar", "random"] = "fourier"
    signs: Literal["random", "plus"] = "random"
    seed: int = 0


class FromKernel(Model):
    """What both kinds of data problems share: features, the split, and whether weights are on groups."""

    kernel: Literal["rbf", "linear", "arc_cosine"] = "rbf"
    method: Literal["exact", "nystrom", "random"] | None = None
    features: Annotated[int, Field(ge=1)] | None = None
    bandwidth: Positive | None = None
    by_group: bool = False
    seed: int = 0


class DatasetProblem(FromKernel):
    """A data set that comes with the library."""

    kind: Literal["dataset"]
    name: Literal["digits", "image_patches", "diabetes"]
    num_train: Annotated[int, Field(ge=8)] | None = None


class DataProblem(FromKernel):
    """A file of the user's; its keys are the arguments of `load_table`."""

    kind: Literal["data"]
    path: str
    target: Names
    group: str | None = None
    inputs: Names | None = None
    drop: Names | None = None
    missing: Literal["error", "drop", "mean"] = "error"
    task: Literal["auto", "regression", "classification"] = "auto"
    standardise: bool = True
    eval: str | None = None
    eval_where: str | None = None
    eval_fraction: Annotated[float, Field(ge=0, lt=1)] | None = None
    split: Literal["random", "group", "time"] = "random"
    split_by: str | None = None
    features_from: str | None = None
    gram: str | None = None
    noise_column: str | None = None
    encoding: str | None = None

    @model_validator(mode="after")
    def _own_features(self) -> "DataProblem":
        own = "gram" if self.gram is not None else "features_from"
        given = sorted({"kernel", "method", "features", "bandwidth"} & self.model_fields_set)
        if getattr(self, own) is not None and given:
            raise ValueError(f"{given[0]} makes features of inputs, and {own} gives them: leave one of them out")
        return self


class TimesConfig(Model):
    """A log grid: 0, then num - 1 times from first to last."""

    first: Positive
    last: Positive
    num: Annotated[int, Field(ge=4, le=100_000)]

    @model_validator(mode="after")
    def _increasing(self) -> "TimesConfig":
        if self.last <= self.first:
            raise ValueError(f"last = {self.last:g} is not above first = {self.first:g}: give an increasing range")
        return self


TIMES_TAGS = TABLE, LIST = "table", "list"
TimesOption = Annotated[
    Annotated[TimesConfig, Tag(TABLE)] | Annotated[list[float], Field(min_length=4), Tag(LIST)],
    Discriminator(lambda value: TABLE if isinstance(value, dict) else LIST),
]


class SelfGeneratedConfig(Model):
    """Samples that carry the learner's own predictions; see `SelfGenerated`."""

    fraction: Annotated[float, Field(ge=0, lt=1)]
    period: Annotated[float, Field(ge=0)] = 0.0
    ratio: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.0


class ScheduleConfig(Model):
    """One named schedule, a list of stages in order."""

    name: Annotated[str, Field(min_length=1)]
    stages: Annotated[list[dict[str, Any]], Field(min_length=1)]
    seeds: Annotated[list[int], Field(min_length=1)] | None = None
    cost: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    by_group: bool = False
    self_generated: SelfGeneratedConfig | None = None


class DynamicsConfig(Model):
    """Steps of SGD on data: how many (or up to which time), how large, on how many examples each."""

    steps: Annotated[int, Field(ge=1)] | None = None
    horizon: Positive | None = None
    learning_rate: Positive | Literal["auto"] = "auto"
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"


_OPTIONS_OF = {"table": ("cap", "columns", "min_spacing"), "policy": ("cap", "width", "depth")}


class LearnConfig(Model):
    """What `spectral-sim learn` looks for, and how."""

    schedule: Literal["table", "policy"] | None = None
    stages: Annotated[list[dict[str, Any]], Field(min_length=1)] | None = None
    columns: Annotated[int, Field(ge=1)] | None = None
    cap: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    min_spacing: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    width: Annotated[int, Field(ge=1)] | None = None
    depth: Annotated[int, Field(ge=1)] | None = None
    start: str | None = None
    objective: Literal["anytime", "terminal", "time_to_target"] = "anytime"
    window: Annotated[list[Positive], Field(min_length=2, max_length=2)] | None = None
    target: Positive | None = None
    softness: Positive = 0.1
    divergence: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    smoothness: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    sample_size: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    scoring: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    steps: Annotated[int, Field(ge=1)] = 300
    starts: Annotated[int, Field(ge=1)] = 1
    spread: Positive = 0.3
    learning_rate: Positive | None = None
    patience: Annotated[int, Field(ge=1)] | None = None
    compare: bool = True
    searched_on: Literal["training", "validation"] = "training"
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.25

    @model_validator(mode="after")
    def _consistent(self) -> "LearnConfig":
        chosen = [name for name in ("schedule", "stages", "start") if getattr(self, name) is not None]
        if len(chosen) > 1:
            raise ValueError(f"{' and '.join(chosen)} are given: choose one of schedule, stages and start")
        if (self.objective == "time_to_target") != (self.target is not None):
            raise ValueError('target goes with objective = "time_to_target", and it needs one')
        kind = chosen[0] if chosen[:1] in (["stages"], ["start"]) else self.schedule or "table"
        for name in sorted({"cap", "columns", "min_spacing", "width", "depth"} & self.model_fields_set):
            if name not in _OPTIONS_OF.get(kind, ()):
                raise ValueError(f"{name} is no option of a search that begins with {kind}: leave it out")
        if self.window is not None and self.objective != "anytime":
            raise ValueError('window goes with objective = "anytime"')
        return self


PROBLEMS: dict[str, type[BaseModel]] = {
    "power_law": PowerLawProblem,
    "random_features": RandomFeaturesProblem,
    "modal": ModalFile,
    "torus": TorusProblem,
    "dataset": DatasetProblem,
    "data": DataProblem,
}
"""Every kind of problem by the name that selects it."""

AnyProblem = Annotated[
    PowerLawProblem | RandomFeaturesProblem | ModalFile | TorusProblem | DatasetProblem | DataProblem,
    Field(discriminator="kind"),
]


class Config(Model):
    """The whole file."""

    title: str | None = None
    precision: Literal["float64", "float32"] = "float64"
    seed: int = 0
    batch_size: Annotated[int, Field(ge=1)] | None = None
    cost: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    splits: Annotated[int, Field(ge=1)] = 5
    max_examples: Annotated[int, Field(ge=8)] = 10_000
    picking: Annotated[float, Field(gt=0, lt=1)] = PICKING
    compare: Literal["all", "quick"] | Names | None = None
    certify: bool = False
    problem: AnyProblem
    times: TimesOption | None = None
    dynamics: DynamicsConfig = DynamicsConfig()
    schedules: list[ScheduleConfig] = []
    learn: LearnConfig | None = None

    @model_validator(mode="after")
    def _whole(self) -> "Config":
        on_data = isinstance(self.problem, DatasetProblem | DataProblem)
        if not on_data:
            only = {"splits", "max_examples", "picking", "compare", "certify", "dynamics"}
            for name in sorted(only & self.model_fields_set):
                raise ValueError(f"{name} is for data: leave it out, or give a problem of kind dataset or data")
        if self.batch_size is not None and self.dynamics.batch_size != "auto":
            raise ValueError("batch_size stands in the file and in dynamics: give it once")
        ends = [f"dynamics.{name}" for name in ("steps", "horizon") if getattr(self.dynamics, name) is not None]
        ends += [] if self.times is None else ["times"]
        if len(ends) > 1:
            raise ValueError(f"{ends[0]} and {ends[1]} both say where the run ends: drop one")
        if not self.schedules and self.compare is None and self.learn is None:
            raise ValueError('schedules is missing: list what is to be compared, or on data give compare = "all"')
        return self

    @property
    def examples_per_step(self) -> int:
        """The batch size, by default 32."""
        own = self.dynamics.batch_size
        return self.batch_size or (DEFAULT_BATCH if own == "auto" else own)


class LearnFile(Config):
    """The whole file, for a search: schedules to compare with may be left out."""

    learn: LearnConfig = Field(...)  # pyright: ignore[reportIncompatibleVariableOverride]
