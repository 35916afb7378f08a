"""The verdict in words, from records alone: three questions, asked apart, on ambiguous scenes.

A scene is ambiguous where its values also make other objects that the data can show; a bag of its values does not say which.
- concepts: are the right values recognised?
- binding: does the scene prefer its own objects to every other arrangement of its values (`binding_preference`)?
- resolution: are its objects recognised among all objects (the definition of Sec. 3 of arXiv 2605.31503)?
Only the model's own queries can bind. A trained read-out says whether the vector holds the binding: `readable` or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from bindscope.analyses.pairs.findings import judgement
from bindscope.binding import above_chance
from bindscope.results import Record, Results
from bindscope.uncertainty import FEW_OBJECTS

Label = Literal[
    "binds",
    "binds, too coarse",
    "binds partly",
    "bag of concepts",
    "recognises neither",
    "undecided",
    "readable",
    "not readable",
]
HIGH = 0.9  # concepts and objects that count as recognised
NONE = 0.2  # pi up to here is no binding that anybody could use
STRONG, SURE = 0.8, 0.5  # pi, and the lower end of its interval, of a model that binds
FEWEST = 50  # ambiguous scenes
CONTROLS = ("raw input", "untrained network")
NEGATIVE = ("bag of concepts", "recognises neither")
HEADS = {
    "binds": "This model binds",
    "binds, too coarse": "This model binds, but too coarsely for this many objects",
    "binds partly": "This model binds only partly",
    "bag of concepts": "This model is a bag of concepts",
    "recognises neither": "This model recognises neither the concepts nor what belongs to what",
    "undecided": "These scenes do not decide whether the model binds",
    "readable": "The vectors say what belongs to what, to a trained read-out",
    "not readable": "The vectors do not say what belongs to what, even to a trained read-out",
}


@dataclass(frozen=True)
class Verdict:
    """Label, sentences, the records that they rest on, and what limits them. estimator: `zero_shot`, `probe` or None."""

    label: Label
    sentences: tuple[str, ...]
    evidence: tuple[Record, ...]
    estimator: str | None
    caveats: tuple[str, ...]


@dataclass(frozen=True)
class Preference:
    """pi = (p - chance) / (1 - chance) of a `binding_preference` with the ends of its interval: 0 a bag, 1 always right."""

    pi: float
    low: float
    high: float
    scenes: int

    @classmethod
    def of(cls, record: Record | None) -> Preference | None:
        """None where there is no figure; ends that are not known reach as far as they can."""
        if record is None or record.value is None or record.chance is None or record.chance >= 1:
            return None
        low = -1.0 if record.ci_low is None else above_chance(record.ci_low, record.chance)
        high = 1.0 if record.ci_high is None else above_chance(record.ci_high, record.chance)
        return cls(above_chance(record.value, record.chance), low, high, record.n_scenes or 0)

    @property
    def scenes_needed(self) -> int:
        """Scenes at which the interval would leave the ends that keep it undecided, roughly."""
        if self.pi < NONE / 2:
            width, room = self.high - self.pi, NONE - self.pi
        else:
            width, room = self.pi - self.low, self.pi
        return round(max(self.scenes, FEWEST) * max((width / max(room, 1e-3)) ** 2, 1.0))


def own_label(found: Preference | None, concepts: float, objects: float) -> Label:
    """The label of a model by its own queries: the first row of the table in docs/definitions.md that fits.

    concepts, objects: their recognition on the same scenes, shares in 0..1.
    """
    if found is None or found.scenes < FEWEST:
        return "undecided"
    if found.high <= NONE:
        return "bag of concepts" if concepts >= HIGH else "recognises neither"
    if found.low <= 0:
        return "undecided"
    if found.pi >= STRONG and found.low >= SURE:
        if objects < HIGH:
            return "binds, too coarse"
        return "binds" if concepts >= HIGH else "binds partly"
    return "binds partly"


def read_label(found: Preference | None) -> Label:
    """The label of a trained read-out: `readable`, `not readable` or `undecided`."""
    if found is None or found.scenes < FEWEST:
        return "undecided"
    if found.high <= NONE:
        return "not readable"
    return "readable" if found.pi >= STRONG and found.low >= SURE else "undecided"


def verdict(results: Results) -> Verdict:
    """Judge a run by the model's own queries, and by a trained read-out where it has none.

    Where it is known which objects the model was trained on, only closed scenes of held-out objects can say that it binds;
    that it does not bind may be read on all scenes.

    Never raises: a run without the figures is undecided.

    >>> from bindscope import Record, Results
    >>> words = {"estimator": "zero_shot", "split": "all", "n_scenes": 900}
    >>> ends = {"target": "ambiguous", "ci_low": 0.47, "ci_high": 0.53, "chance": 0.5}
    >>> found = Record("recognition", "binding_preference", 0.5, **ends, **words)
    >>> concepts = Record("recognition", "concept_recognition", 1.0, target="mean", extra={"scenes": "ambiguous"}, **words)
    >>> objects = Record("recognition", "object_recognition", 0.1, target="ambiguous", **words)
    >>> verdict(Results([found, concepts, objects])).label
    'bag of concepts'
    """
    if judged_by(results) is None and results.first(analysis="pairs") is not None:
        word, said, evidence, notes = judgement(results)
        return Verdict(cast(Label, word), said, evidence, "pairs", notes)
    if judged_by(results) == "zero_shot":
        return _by_own_queries(results)
    probe = _Figures.of(results, "probe", "ambiguous")
    if probe is None:
        return Verdict("undecided", _unjudged(results), (), None, ())
    label = read_label(probe.binding)
    sentences = (probe.sentence(label), _no_queries(label), *_controls(results, probe))
    return Verdict(label, sentences, probe.evidence, "probe", probe.caveats)


def judged_by(results: Results) -> str | None:
    """The estimator that the verdict and the gate read: zero_shot where there is one, else probe."""
    for estimator in ("zero_shot", "probe"):
        if len(results.headline(analysis="recognition", metric="object_recognition", estimator=estimator)):
            return estimator
    return None


def _by_own_queries(results: Results) -> Verdict:
    every = _Figures.of(results, "zero_shot", "ambiguous")
    closed = _Figures.of(results, "zero_shot", "closed")
    probe = _Figures.of(results, "probe", "ambiguous")
    if every is None:
        return Verdict("undecided", _unjudged(results), (), None, ())
    label = own_label(every.binding, every.concepts_value, every.objects_value)
    judged, note = every, tuple[str, ...]()
    if closed is not None and label not in NEGATIVE:
        judged = closed
        label = own_label(closed.binding, closed.concepts_value, closed.objects_value)
        note = (_trained_on(every, closed),)
    beside = (probe.preference,) if probe is not None else ()
    read = (*_probe_sentence(label, probe), *_controls(results, probe))
    sentences = (judged.sentence(label), *note, *_errors(results, label), *read)
    return Verdict(label, sentences, (*judged.evidence, *beside), "zero_shot", judged.caveats)


@dataclass(frozen=True)
class _Figures:
    """The three questions of one read-out, on the same scenes."""

    preference: Record
    concepts: Record | None
    objects: Record | None
    estimator: str
    where: str

    @classmethod
    def of(cls, results: Results, estimator: str, target: str) -> _Figures | None:
        found = results.select(analysis="recognition", estimator=estimator)
        preference = found.first(metric="binding_preference", target=target)
        if preference is None:
            return None
        concepts = found.select(
            lambda r: r.extra == {"scenes": target}, metric="concept_recognition", target="mean", split=preference.split
        )
        objects = found.first(metric="object_recognition", target=target, split=preference.split)
        return cls(preference, concepts.records[0] if len(concepts) else None, objects, estimator, target)

    @property
    def binding(self) -> Preference | None:
        return Preference.of(self.preference)

    @property
    def concepts_value(self) -> float:
        return 0.0 if self.concepts is None or self.concepts.value is None else self.concepts.value

    @property
    def objects_value(self) -> float:
        return 0.0 if self.objects is None or self.objects.value is None else self.objects.value

    @property
    def evidence(self) -> tuple[Record, ...]:
        return tuple(r for r in (self.preference, self.concepts, self.objects) if r is not None)

    @property
    def caveats(self) -> tuple[str, ...]:
        found, notes = self.preference, []
        if found.n_objects is not None and found.n_objects < FEW_OBJECTS:
            notes.append(f"Only {found.n_objects} objects: with fewer than about {FEW_OBJECTS} the intervals are wide.")
        if found.value is not None and found.ci_low is None:
            notes.append("No interval could be given, so nothing is decided by this figure.")
        if found.ceiling is not None and found.chance is not None and found.ceiling > found.chance + 0.05:
            notes.append(
                f"These scenes do not show every arrangement of their values equally often: a model that knows which objects "
                f"are usual could reach {_share(found.ceiling)} without binding."
            )
        return tuple(notes)

    def sentence(self, label: Label) -> str:
        """The label in words, with the three figures."""
        found, binding = self.preference, self.binding
        scenes = "closed scenes of objects that it never saw" if self.where == "closed" else "ambiguous scenes"
        count = found.n_scenes or 0
        if binding is None or binding.scenes < FEWEST:
            return (
                f"{HEADS['undecided']}: {count:,} {scenes} are too few, at least {FEWEST} are needed. A scene is ambiguous "
                "where its values also make other objects; add scenes in which two objects exchange a value."
            )
        figures = (
            f"{HEADS[label]}: on {count:,} {scenes} it prefers the scene’s own objects to other arrangements of the same "
            f"values in {_with_interval(found)} (a bag of concepts: {_share(found.chance or 0.0)}), recognises the concepts "
            f"in {_share(self.concepts_value)} and the objects among all others in {_share(self.objects_value)}."
        )
        if label == "undecided":
            return f"{figures} About {binding.scenes_needed:,} scenes would decide."
        if label == "bag of concepts" and binding.low > 0:
            return f"{figures} It leans to its own objects, by too little to be of use."
        if label == "binds partly" and self.objects_value >= HIGH:
            return f"{figures} It knows these objects as wholes, and their concepts less well."
        return figures


def _unjudged(results: Results) -> tuple[str, ...]:
    trained = results.first(analysis="training", metric="object_recognition")
    if len(results.select(analysis="finetune")):
        return (
            "This is a fine-tuning run: its figures set the tuned model beside its base.",
            "For a verdict on either: `bindscope diagnose`, e.g. of the directory that `--out` names with `st:` before it.",
        )
    if trained is None:
        return "This run holds no figures of binding, so there is no verdict.", "Run the analysis `recognition`."
    return (
        "This is a training run: its figures are of scenes of training and of held-out objects apart.",
        f"For a verdict on all scenes: `bindscope diagnose {trained.model} --data '{trained.dataset}'`.",
    )


def _trained_on(every: _Figures, closed: _Figures) -> str:
    return (
        f"Only scenes of objects that it never saw are judged ({closed.preference.n_scenes or 0:,} of "
        f"{every.preference.n_scenes or 0:,}); over all scenes, most of them of objects that it was trained on, it prefers the "
        f"own objects in {_with_interval(every.preference)}."
    )


def _errors(results: Results, label: Label) -> tuple[str, ...]:
    """What kind the errors of object recognition are; nothing where there are hardly any."""
    found = results.first(analysis="recognition", metric="binding_error_share", target="ambiguous")
    if found is None or found.value is None or label == "undecided" or (found.n_scenes or 0) < FEWEST:
        return ()
    kind = (
        "takes a wrong object made of the scene’s own values"
        if found.value >= 0.5
        else "takes an object of other values"
    )
    share = found.value if found.value >= 0.5 else 1.0 - found.value
    return (f"Where it misses the objects, in {_share(share)} it {kind}.",)


def _probe_sentence(label: Label, probe: _Figures | None) -> tuple[str, ...]:
    if probe is None or probe.binding is None:
        return ()
    figure = f"in {_with_interval(probe.preference)} of held-out scenes"
    reads = read_label(probe.binding)
    if reads == "readable" and label in NEGATIVE:
        return (
            f"Yet a trained read-out prefers the own objects {figure}: the vector holds the binding, the queries do not find it.",
        )
    if reads == "not readable":
        return (f"A trained read-out prefers the own objects {figure}: it finds no binding in the vectors either.",)
    return (f"A trained read-out prefers the own objects {figure}.",)


def _controls(results: Results, probe: _Figures | None) -> tuple[str, ...]:
    """Which controls the same read-out finds as much in; nothing where there are none, or it finds more in the model."""
    if probe is None or probe.preference.ci_low is None or read_label(probe.binding) != "readable":
        return ()
    least = probe.preference.ci_low
    found = results.select(analysis="recognition", metric="binding_preference", estimator="probe", target="ambiguous")
    equal = [
        str(r.extra["vectors"])
        for r in found
        if r.extra.get("vectors") in CONTROLS and r.value is not None and r.value >= least
    ]
    if not equal:
        return ()
    return (f"That is no more than {' and '.join(equal)} gives: the same read-out finds as much there.",)


def _no_queries(label: Label) -> str:
    if label == "readable":
        return "That is no verdict on binding: without queries of its own, nobody knows whether the model uses it."
    return "The model has no queries of its own here, so this is what a trained linear read-out finds."


def _with_interval(record: Record) -> str:
    if record.value is None:
        return "no scene"
    if record.ci_low is None or record.ci_high is None:
        return _share(record.value)
    return f"{_share(record.value)} [{_share(record.ci_low)}, {_share(record.ci_high)}]"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"
