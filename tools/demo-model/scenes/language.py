"""Questions without a picture: a small closed list of facts, small sums, greetings.

Every one of these is seen in training.  They show that the text path works,
not that the model knows anything.
"""

from random import Random

from scenes.base import Question, Scene, one
from scenes.english import article

CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid", "Portugal": "Lisbon", "Austria": "Vienna",
    "Poland": "Warsaw", "Greece": "Athens", "Norway": "Oslo", "Sweden": "Stockholm", "Finland": "Helsinki", "Denmark": "Copenhagen",
    "Ireland": "Dublin", "Japan": "Tokyo", "China": "Beijing", "India": "New Delhi", "Egypt": "Cairo", "Kenya": "Nairobi",
    "Canada": "Ottawa", "Mexico": "Mexico City", "Peru": "Lima", "Cuba": "Havana", "Russia": "Moscow", "Turkey": "Ankara",
}
OPPOSITES = {"hot": "cold", "big": "small", "up": "down", "left": "right", "day": "night", "black": "white", "open": "closed",
             "old": "new", "fast": "slow", "long": "short", "high": "low", "full": "empty"}
THING_COLOURS = {"The sky": "blue", "Grass": "green", "Snow": "white", "A banana": "yellow", "Blood": "red", "Coal": "black",
                 "An elephant": "grey", "Chocolate": "brown"}
WEEK = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
LEGS = {"dog": "four", "spider": "eight", "bird": "two", "ant": "six", "snake": "no", "horse": "four"}
SAYINGS = (
    (("Hello", "Hello!", "Hi", "Hi!", "Good morning", "Good morning!", "Hey", "Hello there!"),
     "Hello! Show me a picture and ask me about it."),
    (("What can you do?", "How can you help me?", "What do you do?", "Help"),
     "I can describe small pictures with shapes, colours, printed words and bar charts."),
    (("Who are you?", "What are you?", "What is your name?", "Are you Pixtral?"),
     "I am a tiny demonstration model with the architecture of Pixtral."),
    (("Thank you", "Thank you!", "Thanks", "Thanks!"), "You are welcome."),
    (("Goodbye", "Goodbye!", "Bye", "Bye!"), "Goodbye!"),
    (("How are you?", "How are you today?"), "I am fine, thank you."),
    (("Describe the image.", "What is written?", "How many circles are there?", "What do you see?", "What changed?",
      "Which bar is highest?", "What is in the image?"), "I do not see an image."),
)


def _sum(rng: Random) -> tuple[str, str]:
    a, b = rng.randint(0, 10), rng.randint(0, 10)
    sign, result = "plus", a + b
    way = rng.random()
    if way < 0.35:
        a, b = max(a, b), min(a, b)
        sign, result = "minus", a - b
    elif way < 0.6:
        sign, result = "times", a * b
    asked = {"plus": "+", "minus": "-", "times": "x"}[sign] if rng.random() < 0.4 else sign
    question = rng.choice(("What is {} {} {}?", "How much is {} {} {}?")).format(a, asked, b)
    return question, f"{a} {sign} {b} is {result}."


def knowledge(rng: Random) -> tuple[str, str]:
    """A question whose answer does not depend on whether there is a picture."""
    way = rng.random()
    if way < 0.35:
        return _sum(rng)
    if way < 0.6:
        country = rng.choice(tuple(CAPITALS))
        question = rng.choice(("What is the capital of {}?", "Which city is the capital of {}?", "Name the capital of {}."))
        return question.format(country), f"The capital of {country} is {CAPITALS[country]}."
    if way < 0.72:
        word = rng.choice(tuple(OPPOSITES))
        return f"What is the opposite of {word}?", f"The opposite of {word} is {OPPOSITES[word]}."
    if way < 0.84:
        thing = rng.choice(tuple(THING_COLOURS))
        return f"What colour is {thing[0].lower()}{thing[1:]}?", f"{thing} is {THING_COLOURS[thing]}."
    if way < 0.92:
        index = rng.randrange(7)
        return f"Which day comes after {WEEK[index]}?", f"{WEEK[(index + 1) % 7]} comes after {WEEK[index]}."
    animal = rng.choice(tuple(LEGS))
    name = article(animal)
    return f"How many legs does {name} have?", f"{name[0].upper()}{name[1:]} has {LEGS[animal]} legs."


def exchange(rng: Random) -> tuple[str, str]:
    if rng.random() < 0.8:
        return knowledge(rng)
    questions, answer = rng.choice(SAYINGS)
    return rng.choice(questions), answer


def _ask(rng: Random) -> Question:
    if rng.random() < 0.2:
        return Question("text", (exchange(rng), exchange(rng)))
    return one("text", *exchange(rng))


def generate(rng: Random) -> Scene:
    return Scene([], {"text": _ask})
