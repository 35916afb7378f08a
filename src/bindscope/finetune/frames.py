"""Wordings of two objects: sets, where exchanging the objects says the same, and relations, where it does not.

A frame holds {A} and {B} (a phrase with its article) or {the A}, {the B}; `{A is}` and other verbs agree with A. Frames
with {A noun} (or {A bare}, with its article) and {A word} take the attribute apart from the noun ("the cube is red"). In a
relation A is the one that acts or is placed; every relation has several frames that keep the roles, so that a paraphrase
has another order of the words.
"""

from __future__ import annotations

from dataclasses import dataclass

SETS = (
    "{A} and {B}",
    "{A} next to {B}",
    "{A} beside {B}",
    "there is {A} and {B}",
    "a photo of {A} and {B}",
    "{A} together with {B}",
    "{A} as well as {B}",
    "{A}, {B}",
    "both {A} and {B}",
    "we can see {A} and also {B}",
    "the picture shows {A} near {B}",
    "{A} with {B}",
    "{the A} and {the B} are side by side",
    "one thing here is {A}, another is {B}",
    "{A} {A stands} by {B}",
    "not only {A} but also {B}",
    "{A} in the company of {B}",
    "here {A is} {A}; here {B is} {B}",
)
APART = (
    "the {A noun} {A is} {A word} and the {B noun} {B is} {B word}",
    "{A bare} that {A is} {A word} and {B bare} that {B is} {B word}",
    "the {A noun} {A is} {A word}, while the {B noun} {B is} {B word}",
    "{A word} is what the {A noun} {A is}, {B word} is what the {B noun} {B is}",
    "the {A noun} and the {B noun} are {A word} and {B word}, respectively",
    "among them {A bare}, {A word}, and {B bare}, {B word}",
    "next to the {A noun}, which {A is} {A word}, there is {B bare}, which {B is} {B word}",
)


@dataclass(frozen=True)
class Relation:
    """A relation of A to B and its frames, none of which lets A and B change places."""

    name: str
    frames: tuple[str, ...]


def _relations(text: str) -> tuple[Relation, ...]:
    pairs = (line.split(":", 1) for line in text.strip().splitlines())
    return tuple(Relation(name.strip(), tuple(part.strip() for part in rest.split("|"))) for name, rest in pairs)


RELATIONS = _relations(
    """
behind: {A} behind {B} | {B} with {A} behind it | {the A} {A is} hidden by {the B} in front of it | {B} in front of {A}
above: {A} above {B} | {B} with {A} above it | {B} below {A} | high over {B} there is {A}
on: {A} on {B} | {B} with {A} on it | {A} on top of {B} | {the B} {B has} {A} lying on it
in: {A} inside {B} | {B} with {A} in it | {B} that contains {A} | {A} within {B}
left: {A} to the left of {B} | {B} with {A} on its left | {B} to the right of {A} | {A} left of {B}
larger: {A} larger than {B} | {B} smaller than {A} | {the A} {A exceeds} {the B} in size | compared with {A}, {B} {B is} small
follows: {A} {A follows} {B} | {B} {B is} followed by {A} | {B} with {A} coming after | {A} going after {B}
covers: {A} {A covers} {B} | {B} {B is} covered by {A} | {B} under the cover of {A} | {A} spread over {B}
holds: {A} {A holds} {B} | {B} {B is} held by {A} | {A} holding {B} | {B} in the grip of {A}
carries: {A} {A carries} {B} | {B} {B is} carried by {A} | {A} carrying {B} | {B} being taken along by {A}
watches: {A} {A watches} {B} | {B} {B is} watched by {A} | {A} looking at {B} | {B} under the eyes of {A}
pushes: {A} {A pushes} {B} | {B} {B is} pushed by {A} | {A} pushing {B} | {B} {B gets} a push from {A}
pulls: {A} {A pulls} {B} | {B} {B is} pulled by {A} | {A} dragging {B} | {B} being towed by {A}
chases: {A} {A chases} {B} | {B} {B is} chased by {A} | {A} running after {B} | {B} {B runs} away from {A}
leans: {A} {A leans} on {B} | {B} {B supports} {A} | {A} leaning against {B} | {B} with {A} leaning on it
hangs: {A} {A hangs} from {B} | {B} with {A} hanging from it | {A} hanging on {B} | hung from {B} there is {A}
hits: {A} {A hits} {B} | {B} {B is} hit by {A} | {A} striking {B} | {B} {B receives} a blow from {A}
paints: {A} {A draws} {B} | {B} {B is} drawn by {A} | {A} making a drawing of {B} | {B} in a picture made by {A}
feeds: {A} {A feeds} {B} | {B} {B is} fed by {A} | {A} giving food to {B} | {B} {B gets} its food from {A}
wears: {A} {A wears} {B} | {B} {B is} worn by {A} | {A} dressed in {B} | {B} on the body of {A}
belongs: {A} {A belongs} to {B} | {B} {B owns} {A} | {B} {B has} {A} | {A} {A is} the property of {B}
lights: {A} {A lights} up {B} | {B} {B is} lit by {A} | {A} shining on {B} | {B} in the light of {A}
leaves: {A} {A moves} away from {B} | {B} {B is} left behind by {A} | {A} leaving {B} | {B} {B stays} where {A} {A goes} away
reaches: {A} {A reaches} for {B} | {A} stretching towards {B} | {B} {B is} what {A} {A reaches} for | {B} nearly touched by {A}
hides: {A} {A hides} {B} | {B} {B is} hidden by {A} | {A} blocking the view of {B} | {B} out of sight because of {A}
replaces: {A} instead of {B} | {A} but no {B} | {B} {B is} missing, there is {A} | {A} {A has} taken the place of {B}
before: first {A}, then {B} | {B} {B comes} after {A} | {A} before {B} | {the A} {A comes} first and {the B} second
sits: {A} {A sits} on {B} | {B} with {A} sitting on it | {A} seated on {B} | {the B} {B is} the seat of {A}
end: {A} at the end of {B} | {B} {B ends} at {A} | {B} leading to {A} | {A} where {B} {B ends}
"""
)
HELD_OUT = ("pulls", "lights", "hangs", "leaves")  # relations that no training caption uses
HELD_OUT_SETS = ("one thing here is {A}, another is {B}", "not only {A} but also {B}", "{A} {A stands} by {B}")
