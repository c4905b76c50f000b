"""Whom somebody surely meant by a user's name or e-mail that the account does not have."""

from __future__ import annotations

import pytest

from leadsync.amocrm.entries import User
from leadsync.amocrm.near_users import near_user

USERS = (
    User(1, "Анна Смирнова", "a.smirnova@example.com", True),
    User(2, "Анна Котова", "kotova@example.com", True),
    User(3, "Пётр Орлов", "", True),
    User(4, "Глеб Смирнов", "gleb@example.com", False),
)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("Анна Смирнва", "did you mean «Анна Смирнова» (a.smirnova@example.com, id 1)?"),
        ("смирнова", "did you mean «Анна Смирнова» (a.smirnova@example.com, id 1)?"),
        ("смирнов", "did you mean «Анна Смирнова» (a.smirnova@example.com, id 1)?"),
        ("Котов", "did you mean «Анна Котова» (kotova@example.com, id 2)?"),
        ("Пётр Петрович Невский", "did you mean «Пётр Орлов» (id 3)?"),
        ("Петр Орлов", "write «Пётр Орлов» (id 3), upper and lower case and spaces count;"),
        ("kotovа@example.com", "did you mean «Анна Котова» (kotova@example.com, id 2)?"),
        ("smirnova@other.example", "did you mean «Анна Смирнова» (a.smirnova@example.com, id 1)?"),
    ],
)
def test_the_nearest_user_is_named(written: str, told: str) -> None:
    """By a slip in the name, a part of it, or what stands before the @."""
    assert near_user(written, USERS) == told


def test_several_of_one_name_are_all_named() -> None:
    """A first name that two have: both, to choose from."""
    anna, kotova = "«Анна Смирнова» (a.smirnova@example.com, id 1)", "«Анна Котова» (kotova@example.com, id 2)"
    assert near_user("Анна", USERS) == f"did you mean {anna} or {kotova}?"


@pytest.mark.parametrize("written", ["Глеб Смирнов", "GLEB@example.com", "4", "peter@example.com", "Zoë", "", "@"])
def test_nobody_is_guessed(written: str) -> None:
    """One who is there but cannot be responsible, one who shares the firm's domain only, and strangers name nobody."""
    assert near_user(written, USERS) is None
