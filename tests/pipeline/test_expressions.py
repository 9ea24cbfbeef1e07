"""Integer expressions of dimension symbols."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.pipeline.expressions import evaluate, symbols_of

SETTINGS = settings(deadline=None, derandomize=True, max_examples=150)
NAMES = ("batch", "frames", "T", "_n2", "größe")

leaves = st.one_of(st.integers(0, 10**6).map(str), st.sampled_from(NAMES))
expressions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds("{} {} {}".format, inner, st.sampled_from("+-*"), inner),
        st.builds("{}//{}".format, inner, inner),
        inner.map("({})".format),
    ),
    max_leaves=12,
)
sizes = st.fixed_dictionaries({name: st.integers(-1_000, 1_000) for name in NAMES})


@SETTINGS
@given(expressions, sizes)
def test_expression_has_the_value_that_python_gives_it(
    expression: str, values: dict[str, int]
) -> None:
    try:
        expected = eval(expression, {"__builtins__": {}}, dict(values))  # noqa: S307
    except ZeroDivisionError:
        assume(False)
    result = evaluate(expression, values)
    assert result == expected
    assert type(result) is int


@SETTINGS
@given(expressions)
def test_symbols_are_the_names_in_the_expression(expression: str) -> None:
    expected = set(compile(expression, "", "eval").co_names)
    # The compiler folds what is constant, but drops no name.
    assert symbols_of(expression) == expected


@SETTINGS
@given(expressions, sizes)
def test_exactly_the_symbols_are_needed(expression: str, values: dict[str, int]) -> None:
    used = symbols_of(expression)
    positive = {name: abs(value) + 1 for name, value in values.items()}
    try:
        whole = evaluate(expression, positive)
        assert evaluate(expression, {name: positive[name] for name in used}) == whole
    except ValueError as error:
        assert "divides by zero" in str(error)  # noqa: PT017  # most expressions raise nothing
        return
    for name in used:
        with pytest.raises(KeyError, match=name):
            evaluate(expression, {key: positive[key] for key in used if key != name})


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("320 * frames", 3_200),
        ("frames // 4 + 1", 3),
        ("2 + 3 * frames", 32),
        ("(2 + 3) * frames", 50),
        ("frames - 3 - 2", 5),
        ("100 // frames // 3", 3),
        ("0x10", 16),
        ("1_000", 1_000),
    ],
)
def test_operators_bind_as_in_python(expression: str, value: int) -> None:
    assert evaluate(expression, {"frames": 10}) == value


def test_values_may_overload_the_operators() -> None:
    class Symbol(str):
        __slots__ = ()

        def __rmul__(self, other: object) -> Symbol:
            return Symbol(f"({other}·{self})")

        def __add__(self, other: object) -> Symbol:
            return Symbol(f"({self}+{other})")

    assert evaluate("320 * frames + 1", {"frames": Symbol("f")}) == "((320·f)+1)"


@pytest.mark.parametrize(
    "expression",
    [
        "max(frames, 2)",
        "__import__('os')",
        "frames()",
        "frames.real",
        "(1).bit_length",
        "1.5 * frames",
        "1e3",
        "2j",
        "True",
        "frames * False",
        "None",
        "...",
        "2 ** frames",
        "frames / 2",
        "frames % 2",
        "frames << 1",
        "frames @ 2",
        "-frames",
        "-1",
        "not frames",
        "frames and 2",
        "frames if frames else 1",
        "frames < 2",
        "frames[0]",
        "[frames]",
        "(frames, 2)",
        "{frames}",
        "'frames'",
        "f'{frames}'",
        "b'1'",
        "lambda: 1",
        "(frames := 2)",
        "[f for f in frames]",
        "*frames",
    ],
)
def test_anything_but_integers_names_and_four_operators_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"may hold only whole numbers|is not an expression"):
        evaluate(expression, {"frames": 10, "f": 1, "max": max})
    with pytest.raises(ValueError, match=r"may hold only whole numbers|is not an expression"):
        symbols_of(expression)


@pytest.mark.parametrize(
    "expression",
    ["", " ", "320 *", "(frames", "frames = 2", "import os", "1; 2", "1 2", "a b", "for", "1\n2"],
)
def test_text_that_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="is not an expression"):
        evaluate(expression, {"frames": 10})


def test_unknown_name_is_told() -> None:
    with pytest.raises(KeyError, match="frames"):
        evaluate("320 * frames", {"batch": 1})


def test_builtins_are_no_names() -> None:
    with pytest.raises(KeyError, match="len"):
        evaluate("len", {})
