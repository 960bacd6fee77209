"""Pictures with questions and answers, drawn from a seed.

Each module owns one family of pictures and knows everything that is true of
them; the rest of the project sees only `Scene`.  A scene answers `ask(kind)`
with a `Question`, or None where that kind cannot be asked without ambiguity
(two red circles, a shape on the border between two regions).  Answers follow
from the scene alone, so exact match is a fair measure.
"""

from scenes.base import KINDS, Glyph, Landmark, Picture, Question, Scene
from scenes.sampling import ask_many, dialogues, sample_scene

__all__ = ["KINDS", "Glyph", "Landmark", "Picture", "Question", "Scene", "ask_many", "dialogues", "sample_scene"]
