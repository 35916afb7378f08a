"""Own text to hold on to: sentences of many kinds whose vectors a fine-tuned model should leave where they are.

None is a caption of two objects. Sentences come from frames and word lists; a fifth of the frames is kept away from
training, and harm is measured on sentences of those (`harm_texts`).
"""

from __future__ import annotations

import re
from pathlib import Path

from bindscope.errors import InputError, StoreError
from bindscope.streams import stream

LISTS = {
    "who": "my neighbour; the mayor; our teacher; a young nurse; the old captain; an engineer; the judge; two tourists; "
    "a group of students; her grandmother; the goalkeeper; a journalist; the baker; some hikers; the pilot; "
    "his younger sister; the orchestra; a retired miner; the committee; our dog; several cats; a small child; the crew; "
    "the man next door; three women; a cyclist; the waiter; the whole family",
    "did": "waited for the last bus; repaired the roof; forgot the keys; told a long story; won the prize; lost the map; "
    "cooked soup for everyone; painted the fence; missed the train; learned to swim; wrote a letter; took a photograph; "
    "planted tomatoes; fell asleep on the sofa; read the newspaper; sang an old song; paid the bill; closed the shop; "
    "carried the boxes upstairs; argued about politics; crossed the bridge; cleaned the windows; played chess; "
    "watched the rain; opened a bottle of wine; climbed the hill; asked for directions; fed the ducks",
    "doing": "riding a horse along the shore; standing at a counter; holding an umbrella; eating noodles with chopsticks; "
    "throwing a frisbee; walking down a busy street; sitting on a wooden bench; looking out of a train window; "
    "cutting a cake; talking on the phone; skiing down a slope; brushing their teeth; flying a kite; surfing a wave; "
    "playing tennis; waiting at a crossing; lying in the grass; pouring coffee; petting a cat; sleeping on a couch",
    "where": "in the village; at the airport; on the island; behind the theatre; near the border; in a crowded cafe; "
    "at the top of the tower; in the laboratory; along the canal; in the north of the country; at home; on the balcony; "
    "in the stadium; at the dentist; in a small hotel; on the motorway; beside the lake; in the cellar; downtown; "
    "at the zoo; in an empty classroom; on a ferry",
    "when": "yesterday; last winter; before sunrise; on Monday; after the concert; during the holidays; in 1987; "
    "every morning; at midnight; two weeks ago; in the spring; while it was snowing; after dinner; all afternoon; "
    "for the first time; once a year; as usual; on her birthday",
    "topic": "tax law; the history of bread; solar panels; knee surgery; jazz guitar; interest rates; coral reefs; "
    "medieval castles; machine translation; mountain rescue; vaccines; the theory of evolution; bicycle repair; "
    "wine from the south; urban planning; polar bears; prime numbers; stage fright; electric cars; bird migration; "
    "sleep disorders; food safety; public libraries; chess openings; river pollution; family law; space telescopes",
    "dish": "lentil soup; apple pie; fried rice; pumpkin bread; tomato salad; mushroom omelette; fish stew; rice pudding; "
    "potato pancakes; onion tart; roast chicken; lemon cake; spinach pasta; bean curry",
    "step": "stir until smooth; add a pinch of salt; bake for forty minutes; let it cool; chop the herbs; boil the water; "
    "melt the butter; whisk the eggs; peel the carrots; serve with yoghurt; drain the beans; heat the oil",
    "device": "printer; router; washing machine; camera; laptop; thermostat; coffee maker; smoke alarm; headset; "
    "vacuum cleaner; keyboard; phone; television; electric drill; scanner; bicycle light",
    "trouble": "makes a strange noise; does not start; loses the connection; shows an error; smells of smoke; "
    "is too slow; switches itself off; ignores my settings; needs a new battery; has a cracked screen; leaks water",
    "firm": "the bank; a small startup; the railway; the city council; the hospital; an insurance company; the brewery; "
    "the publisher; a shipping firm; the football club; the university; the energy supplier",
    "news": "raised its prices; will hire two hundred people; apologised for the delay; published its annual report; "
    "closed three offices; plans a new building; lost a court case; changed its name; cut its emissions by a third; "
    "sold its oldest branch; opened a training centre; rejected the offer",
    "feeling": "I am so glad; we were disappointed; it made her laugh; nobody was surprised; they felt ashamed; "
    "he was furious; I had never been so tired; everyone was relieved; she was proud",
    "fact": "water expands when it freezes; light travels faster than sound; bees can see ultraviolet light; "
    "the heart has four chambers; iron rusts in damp air; a triangle has three sides; the moon causes the tides; "
    "plants need nitrogen; glass is made of sand; sound needs a medium; most deserts are cold at night; "
    "whales are mammals; copper conducts electricity; leaves turn brown in autumn",
    "code": "sort a list of numbers; read a file line by line; parse a date; connect to a database; draw a histogram; "
    "send an email; reverse a string; merge two tables; catch an exception; resize an image; test a function; "
    "schedule a job; compress a folder; count the words of a text",
    "language": "Python; C; Java; a spreadsheet; SQL; JavaScript; R; a shell script; Rust",
    "room": "a tidy kitchen with a gas stove; a bathroom with a round mirror and white tiles; a bedroom with two beds; "
    "an office full of papers; a living room with a large television; a hallway with coats on the wall; "
    "a workshop with tools on every shelf; a classroom with empty chairs; an attic under a sloping roof; "
    "a waiting room with magazines",
    "view": "a harbour full of sailing boats; a street market with fruit stands; a herd of cattle by a fence; "
    "a plate with meat and vegetables; a clock tower against the sky; a fire hydrant on a corner; "
    "a crowded beach with umbrellas; airplanes parked at a gate; sheep grazing on a hillside; "
    "a vase of flowers on a table; a train passing a station; elephants near a water hole; a bowl of oranges; "
    "motorcycles in a row; a skateboard ramp; a traffic light at dusk; boxes of doughnuts; a teddy bear on a shelf",
    "adverb": "slowly; carefully; in silence; without a word; with a smile; in a hurry; by mistake; twice; rather badly; "
    "as quickly as possible",
    "place": "Lisbon; Norway; the Alps; Kyoto; a suburb of Chicago; the Black Sea; Kenya; the old town; Patagonia; "
    "a valley in Wales; New Zealand; the Baltic coast; Cairo; a village in Bavaria",
    "number": "three; eleven; about forty; two hundred; a dozen; five; nineteen; nearly a thousand; seven",
    "plan": "visit the museum; learn Spanish; buy a used car; move to another city; start a garden; write a novel; "
    "run a marathon; renovate the kitchen; adopt a cat; open a restaurant; study law; take a year off",
    "verdict": "well worth the money; a waste of time; better than the first one; not for beginners; a little too long; "
    "exactly as described; hard to put down; poorly made; my favourite this year; surprisingly good",
    "ware": "this novel; the hotel; the new album; a pair of boots; that film; the online course; the tent; the game; "
    "the restaurant; this blender; the documentary; the mattress",
    "ill": "a sore throat; back pain; a high fever; an allergy to nuts; a broken wrist; migraine; high blood pressure; "
    "a cough that does not stop; low iron; a sprained ankle",
    "cure": "rest and drink enough; see a doctor; avoid heavy meals; take the tablets after breakfast; cool the joint; "
    "sleep in a dark room; do the exercises daily",
}
FRAMES = tuple(
    line.strip()
    for line in """
{who} {did}
{who} {did} {when}
{when} {who} {did} {where}
{who} {did} {where}, and {who} {did}
{who} {adverb} {did}
{who} {doing}
a person {doing} {where}
a photo of someone {doing} while others watch
{who} {doing} {when}
a man and a woman {doing}
people {doing} {where}
{view}
{view} {where}
a black and white picture of {view}
{view}, with {view} in the distance
{room}
{room}, seen from the door
there is {room} next to {room}
how do I {code} in {language}?
a short example of how to {code} with {language}
{language} fails when I try to {code}
what is the best way to {code}?
an introduction to {topic}
{topic} for beginners
why is everybody talking about {topic}?
new research on {topic} from {place}
a lecture on {topic} {where}
what do {topic} and {topic} have in common?
the {number} most common questions about {topic}
{firm} {news}
{firm} {news} {when}
after long talks {firm} {news}
{firm} {news}, while {firm} {news}
workers say that {firm} {news}
recipe for {dish}: {step}, then {step}
{dish} with {dish}
how long does {dish} keep in the fridge?
{step} and {step} before you serve the {dish}
my {device} {trouble}
my {device} {trouble} since the last update
how to fix a {device} that {trouble}
the manual says nothing about a {device} that {trouble}
is it normal that a {device} {trouble}?
{feeling} when {who} {did}
{feeling} because {firm} {news}
{fact}
{fact}, as every child knows
did you know that {fact}?
it is not true that {fact}
{who} explained that {fact}
the weather in {place} {when}
cheap flights from {place} to {place}
{number} days in {place}
things to do in {place} with children
{who} moved from {place} to {place}
we want to {plan}
{who} would like to {plan} before it is too late
is it a good idea to {plan} {where}?
instead of trying to {plan}, {who} {did}
{ware} is {verdict}
I bought {ware} {when}: {verdict}
{ware} is {verdict}, but {ware} is {verdict}
what helps against {ill}?
with {ill} you should {cure}
{who} had {ill} and {did} anyway
patients with {ill} were told to {cure}
{number} people {did} {where}
{who} never {did}
who {did} {when}?
please {cure}
""".strip().splitlines()
)
HELD_BACK = 5  # every fifth frame is for measuring harm alone


def keep_texts(count: int, seed: int = 0) -> tuple[str, ...]:
    """At most `count` different sentences to hold on to, drawn by seed.

    >>> len(keep_texts(100)) == len(set(keep_texts(100))) == 100
    True
    """
    return _drawn([frame for i, frame in enumerate(FRAMES) if i % HELD_BACK], count, seed, 0)


def harm_texts(count: int, seed: int = 0, choosing: bool = False) -> tuple[str, ...]:
    """Different sentences of the frames that `keep_texts` does not use; choosing: of those that choose the average."""
    return _drawn(
        list(FRAMES[:: 2 * HELD_BACK] if choosing else FRAMES[HELD_BACK :: 2 * HELD_BACK]), count, seed, 1 + choosing
    )


def read_texts(path: Path) -> tuple[str, ...]:
    """Own text to hold on to, one a line. Raises InputError where a file has fewer than two different lines."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(
            f"cannot read {path}: {getattr(error, 'strerror', None) or error}; give a text file"
        ) from error
    texts = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if len(texts) < 2:
        raise InputError(f"{path}: expected at least two different lines of text to keep, got {len(texts)}")
    return texts


def _drawn(frames: list[str], count: int, seed: int, use: int) -> tuple[str, ...]:
    rng = stream(seed, "kept texts", use)
    lists = {name: tuple(words.split("; ")) for name, words in LISTS.items()}
    found: dict[str, None] = {}
    for draw in range(50 * count):  # a frame without words gives one sentence however often it is drawn
        if len(found) == count:
            break
        frame = frames[draw % len(frames)]
        text = re.sub(r"\{(\w+)\}", lambda match: str(rng.choice(lists[match[1]])), frame)
        found[text] = None
    return tuple(found)
