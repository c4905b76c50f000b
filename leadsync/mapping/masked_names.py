"""Masked names: a person's name, in any case and inflection, becomes an obviously made-up one."""

from __future__ import annotations

import re
from collections.abc import Iterator

_CYRILLIC = ("Пример", "Образцов", "Условный", "Вымыслов", "Шаблонов", "Некто")
_LATIN = ("Sample", "Example", "Placeholder", "Fictional", "Template", "Someone")
_TOKEN = re.compile(r"[^\W\d_]+")
_VOWEL_END = re.compile("[аеёиоуыэюяйьъ]{1,2}$")
_ENDINGS = "а|я|ы|и|е|у|ю|ой|ей|ёй|ою|ею|ом|ем|ём|ам|ям|ами|ями|ах|ях|ь|й|ья|ье|ью|ьи|ов|ев|ий|ия|ию|ии|ией"
_FLEETING = re.compile(r"(.*[^аеёиоуыэюя])[еёо]([^аеёиоуыэюяьъй])")

_LETTER = r"[^\W\d_]"
_EDGE = r"(?<![^\W\d_])"

LONG_STEM = 4
"""Letters from which on a stem is looked for with any ending; a shorter one only with those of Russian cases."""


class NameMask:
    """Learns the words of names, and gives each a stand-in: the first word of a name is always the same one."""

    def __init__(self) -> None:
        self._stand_ins: dict[str, str] = {}
        self._stems: dict[str, str] = {}
        self._given: dict[bool, int] = {True: 0, False: 0}
        self._pattern: str | None = None

    def learn(self, name: str) -> None:
        """The words of a name; a single letter is an initial and hides in too many words."""
        for token in _TOKEN.findall(name if "@" not in name else ""):
            if len(token) > 1:
                self._add(token)

    def learn_introduced(self, words: str) -> None:
        """What follows `меня зовут`: the words that begin with a capital, or the first one."""
        tokens = _TOKEN.findall(words)
        for token in [one for one in tokens if one[0].isupper()] or tokens[:1]:
            if len(token) > 1:
                self._add(token)

    @property
    def pattern(self) -> str:
        """Matches every word of the names in its cases; empty when there are none."""
        if self._pattern is None:
            forms = sorted({form for stem in self._stems for form in _forms(stem)}, key=len, reverse=True)
            self._pattern = "|".join(forms)
        return self._pattern

    def replaced(self, word: str) -> str:
        """The stand-in of a word that `pattern` matched."""
        folded = _even(word)
        found = next((stem for stem in sorted(self._stems, key=len, reverse=True) if _is_of(folded, stem)), None)
        return self._stands_for(self._stems[found] if found is not None else folded)

    def whole(self, name: str) -> str:
        """A whole name, every word of it replaced; initials become those of nobody."""
        return _TOKEN.sub(lambda found: self._one(found[0]), name)

    def _one(self, token: str) -> str:
        return "N" if len(token) == 1 else self._stands_for(_even(token))

    def _add(self, token: str) -> None:
        folded = _even(token)
        for stem in (*_stems(folded), token.lower(), token):
            self._stems.setdefault(stem, folded)
        self._pattern = None

    def _stands_for(self, token: str) -> str:
        if token not in self._stand_ins:
            self._stand_ins[token] = self._next(bool(re.search("[а-я]", token)))
        return self._stand_ins[token]

    def _next(self, cyrillic: bool) -> str:
        """The next stand-in, which is no word of the names themselves."""
        words = _CYRILLIC if cyrillic else _LATIN
        while True:
            at = self._given[cyrillic]
            self._given[cyrillic] += 1
            word = words[at % len(words)] + ("" if at < len(words) else "abcdefghij"[at // len(words) % 10])
            if not any(_is_of(_even(word), stem) for stem in self._stems) or at > 500:
                return word


def _even(word: str) -> str:
    return word.casefold().replace("ё", "е")


def _stems(folded: str) -> Iterator[str]:
    """What the cases of a name have in common: `мари` of Мария, `павл` beside `павел`."""
    yield folded
    if re.search("[а-я]", folded):
        stem = folded
        while len(stem) > LONG_STEM and _VOWEL_END.search(stem[-1:]) and len(folded) - len(stem) < 2:
            stem = stem[:-1]
        yield stem
        if _VOWEL_END.search(folded[-1:]) and len(folded) > 2:
            yield folded[:-1]
        if (fleeting := _FLEETING.fullmatch(folded)) is not None and len(fleeting[1]) > 1:
            yield fleeting[1] + fleeting[2]


def _forms(stem: str) -> Iterator[str]:
    spelled = re.escape(stem).replace("е", "[её]")
    if stem.lower() == stem.upper():
        yield spelled  # a script without capitals, which may have no spaces between words either
    elif len(stem) >= LONG_STEM:
        yield rf"{_EDGE}{spelled}{_LETTER}*"
    elif re.search("[а-я]", stem):
        yield rf"{_EDGE}{spelled}(?:{_ENDINGS})?(?!{_LETTER})"
    else:
        yield rf"{_EDGE}{spelled}(?!{_LETTER})"


def _is_of(folded: str, stem: str) -> bool:
    return any(re.fullmatch(form, folded) for form in _forms(stem))
