"""Small helpers that keep the answers grammatical."""

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
PLURALS = {"cross": "crosses"}


def plural(noun: str) -> str:
    head, _, last = noun.rpartition(" ")
    return (head + " " if head else "") + PLURALS.get(last, last + "s")


def article(phrase: str) -> str:
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def there_are(count: int, noun: str) -> str:
    """'There are two red circles', without the full stop."""
    if count == 1:
        return f"There is one {noun}"
    return f"There are {NUMBERS[count]} {plural(noun)}"


def listing(items: list[str]) -> str:
    """'a, b and c'."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]
