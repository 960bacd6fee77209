"""The words and numbers that get printed.

A third of the training words are letters drawn at random, so that the model
must read letters rather than recognise a closed list; `UNSEEN` is kept out of
training altogether and measures that.
"""

from random import Random

WORDS = tuple("""
apple arm art baby back bag ball bank bath bear bed bee bell bird blue boat body bone book boot box boy bread bus cake
camp car card cat chair chip city clock cloud coat coin cold cook cow crab cup dance dark day deer desk dish dog door
down dream dress duck ear earth east egg exit eye face fact farm fast feet fire fish five flag floor flower food fork
four fox free frog fruit game garden gate gift girl glass goat gold good grass green guitar hair hall hand happy hat
head heart hello help hill home honey hope horse hot hotel house ice ink iron island jam jar jeans job jump key king
kite knee lake lamp leaf left leg lemon letter light lion lips list lock long love luck lunch magic map market math
meal menu metal milk mind mint moon mother mouse mouth music name neck nest new night nine north nose note ocean oil
old one onion open orange oven owl page paint paper park party peace pear pen phone piano pig pink pizza plane plant
plate play plum point pony pool post prize queen quick quiet quiz race radio rain red rest rice right ring river road
rock room root rope rose ruler safe sale salt sand school sea seed seven shark sheep ship shirt shoe shop silver six
sky sleep slow small smile snake snow soap sock sofa soft song soup south space spoon sport spring square stairs stamp
star start stone stop storm street sugar summer sun sweet swim table tail tall tea team tent thank thin three tiger
time toast today tomato top town toy train tree truck two under up van vase view violin voice wall warm wash watch
water wave week west wheel white wild wind window wine winter wolf wood word work world yard year yellow yes zebra zero
""".split())

UNSEEN = tuple("""
anchor basket bridge butter candle carrot castle cherry circus coffee copper dragon engine family finger forest
hammer insect jacket jungle kettle ladder lizard mirror monkey needle number orchid palace parrot pencil pepper
planet pocket rabbit rocket saddle spider ticket tunnel turtle velvet walnut wizard
bark cave desert dust fern fog hawk hive lava loft mask moss plug pond robot sail taxi tiny twin vest wing yoga zoom
""".split())

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_VOWELS, _CONSONANTS = "aeiou", "bcdfghjklmnprstvwyz"


def _invented(rng: Random) -> str:
    """Letters at random, half of the time in a pronounceable order."""
    length = rng.randint(2, 6)
    if rng.random() < 0.5:
        return "".join(rng.choice(_LETTERS) for _ in range(length))
    start = rng.randint(0, 1)
    return "".join(rng.choice(_VOWELS if (i + start) % 2 else _CONSONANTS) for i in range(length))


def cased(rng: Random, word: str) -> str:
    way = rng.random()
    return word.upper() if way < 0.5 else word.capitalize() if way < 0.75 else word


def random_word(rng: Random) -> str:
    while True:
        word = rng.choice(WORDS) if rng.random() < 0.65 else _invented(rng)
        if word not in UNSEEN:
            return cased(rng, word)


def random_number(rng: Random) -> str:
    return str(rng.randint(0, 10 ** rng.randint(1, 4) - 1))


def random_text(rng: Random) -> str:
    return random_word(rng) if rng.random() < 0.7 else random_number(rng)
