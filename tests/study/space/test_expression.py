import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.study.space.expression import DEEPEST, LONGEST, check, parse

NAMES = ("a", "b", "c")
NUMBERS = st.one_of(
    st.integers(-20, 20).map(float), st.floats(-1e3, 1e3, allow_nan=False, allow_subnormal=False), st.just(0.5)
)


@st.composite
def numbers(draw, depth=3):
    """Texts of expressions that Python and numpy evaluate to the same bits."""
    kind = draw(st.sampled_from(["leaf", "binary", "minus", "of two", "of one", "if"])) if depth else "leaf"
    inner = numbers(depth - 1)
    if kind == "leaf":
        return draw(st.sampled_from([*NAMES, "0", "1", "3", "17", "0.25", "2.5", "1e3"]))
    if kind == "binary":
        return f"({draw(inner)} {draw(st.sampled_from(['+', '-', '*', '/', '//', '%']))} {draw(inner)})"
    if kind == "minus":
        return f"-{draw(inner)}"
    if kind == "of two":
        return f"{draw(st.sampled_from(['min', 'max']))}({draw(inner)}, {draw(inner)})"
    if kind == "of one":
        return f"{draw(st.sampled_from(['abs', 'floor', 'ceil', 'round']))}({draw(inner)})"
    return f"({draw(inner)} if {draw(conditions(depth - 1))} else {draw(inner)})"


@st.composite
def conditions(draw, depth=3):
    kind = draw(st.sampled_from(["compared", "chained", "joined", "not"])) if depth else "compared"
    inner, compare = numbers(max(depth - 1, 0)), st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
    if kind == "compared":
        return f"{draw(inner)} {draw(compare)} {draw(inner)}"
    if kind == "chained":
        return f"{draw(inner)} {draw(compare)} {draw(inner)} {draw(compare)} {draw(inner)}"
    if kind == "joined":
        return f"({draw(conditions(depth - 1))} {draw(st.sampled_from(['and', 'or']))} {draw(conditions(depth - 1))})"
    return f"(not {draw(conditions(depth - 1))})"


def _python(text, values):
    """What Python makes of a text, numbers being doubles; None where it raises what numpy makes inf or NaN of."""
    functions = {
        **{"min": min, "max": max, "abs": abs, "floor": math.floor, "ceil": math.ceil, "round": round},
        **{name: getattr(math, name) for name in ("sqrt", "log", "log2", "log10", "exp")},
    }
    try:
        found = eval(text, {"__builtins__": {}}, {**functions, **values})
        return found if isinstance(found, bool) else float(found)
    except (ArithmeticError, ValueError, TypeError):  # TypeError: of a complex number
        return None


@given(numbers() | conditions(), st.tuples(NUMBERS, NUMBERS, NUMBERS))
def test_it_agrees_with_python_on_numbers(text, figures):
    values = dict(zip(NAMES, figures, strict=True))
    expected = _python(text, values)
    if expected is None or not math.isfinite(expected):
        return
    columns = {name: np.array([number, 7.0]) for name, number in values.items()}
    found = np.broadcast_to(parse(text).at(columns), 2)[0]
    assert found == expected
    assert (found.dtype == bool) == isinstance(expected, bool)


@given(
    st.sampled_from(
        ["sqrt({})", "log({})", "log2({})", "log10({})", "exp({})", "({}) ** 0.5", "({}) ** 3", "2 ** (0.5 * ({}))"]
    ),
    numbers(),
    st.tuples(NUMBERS, NUMBERS, NUMBERS),
)
def test_roots_logarithms_and_powers_are_those_of_python_to_rounding(form, inner, figures):
    text, values = form.format(inner), dict(zip(NAMES, figures, strict=True))
    expected = _python(text, values)
    if expected is None:
        return
    assert float(parse(text).at(values)) == pytest.approx(expected, rel=1e-12)


def test_points_are_evaluated_element_by_element():
    columns = {"hbm": np.array([1e12, 4e12]), "batch": np.array([1, 64]), "fast": np.array([True, False])}
    assert parse("hbm / 1e12 + batch").at(columns).tolist() == [2.0, 68.0]
    assert parse("batch // 3").at(columns).dtype == float
    assert parse("batch").at(columns).dtype == float
    assert parse("1 < batch <= 64 and not fast").at(columns).tolist() == [False, True]
    assert parse("hbm if fast else -batch").at(columns).tolist() == [1e12, -64.0]
    assert parse("fast + fast").at(columns).tolist() == [2.0, 0.0]
    assert parse("max(batch, 8, 2)").at(columns).tolist() == [8.0, 64.0]
    assert parse("batch in (1, 8)").at(columns).tolist() == [True, False]
    assert parse("2").at(columns).shape == ()


def test_texts_are_compared_and_nothing_else():
    columns = {"model": np.array(["a", "b", None], dtype=object), "batch": np.array([1, 2, 3])}
    assert parse("model == 'a'").at(columns).tolist() == [True, False, False]
    assert parse("'a' != model").at(columns).tolist() == [False, True, True]
    assert parse("model in ('a', 'b')").at(columns).tolist() == [True, True, False]
    assert parse("model not in ['b']").at(columns).tolist() == [True, False, True]
    with pytest.raises(ConfigError, match=r"in 'model \+ 1': found 'a', expected a number there"):
        parse("model + 1").at(columns)
    with pytest.raises(ConfigError, match="in 'batch == 'a'': a text is compared with a number: found 'a'"):
        parse("batch == 'a'").at(columns)


def test_what_has_no_value_is_inf_or_nan_and_nothing_is_raised():
    columns = {"a": np.array([0.0, -1.0]), "n": np.array([0, 1]), "absent": np.array([None, 2], dtype=object)}
    assert parse("1 / a").at(columns).tolist() == [math.inf, -1.0]
    assert np.isnan(parse("sqrt(a)").at(columns)[1])
    assert parse("absent == 2").at(columns).tolist() == [False, True]
    assert np.isnan(parse("absent * 2").at(columns)).tolist() == [True, False]
    assert np.isnan(parse("5 // n").at(columns)).tolist() == [False, False]
    assert parse("5 // n").at(columns).tolist() == [math.inf, 5.0]
    assert parse("n ** -1").at(columns).tolist() == [math.inf, 1.0]
    assert parse("1e300 * 1e300").at(columns) == math.inf


def test_names_are_known_before_it_is_evaluated():
    expression = parse("0.6 * sram + min(hbm, 3) if model == 'x' else 2")
    assert expression.names == {"sram", "hbm", "model"}
    with pytest.raises(ConfigError) as raised:
        expression.check({"sram", "hbm_tb_s", "model"})
    assert "in '0.6 * sram" in str(raised.value) and "found 'hbm'" in str(raised.value)
    with pytest.raises(ConfigError, match="did you mean 'bandwidth'"):
        check(["bandwith"], {"bandwidth", "capacity"})
    check(["bandwidth"], ["bandwidth"])


def test_it_travels_to_another_process():
    expression = pickle.loads(pickle.dumps(parse("2 * a")))
    assert expression == parse("2 * a")
    assert expression.at({"a": 3}) == 6.0


ATTACKS = [
    "__import__('os').system('true')",
    "().__class__.__base__.__subclasses__()",
    "a.b",
    "a[0]",
    "a['x']",
    "[x for x in a]",
    "{x: 1 for x in a}",
    "(x for x in a)",
    "lambda: 1",
    "(b := 3)",
    "f'{a}'",
    "'a'",
    "'a' + 'b'",
    "'a' * 1000000000",
    "a if 'x' else b",
    "b'a' == a",
    "open('x')",
    "eval('1')",
    "max(*a)",
    "max(a, b, key=a)",
    "max(a)",
    "sqrt(a, b)",
    "round(a, 2)",
    "a.max()",
    "max.__call__(a, b)",
    "(max)(a, b)(c)",
    "2 ** 1000000",
    "2 ** 101",
    "10 ** 10 ** 1000",
    "1e999",
    "9" * 400,
    "1j",
    "None",
    "...",
    "a is b",
    "a in b",
    "a in ()",
    "a in (b, 'x')",
    "'x' < a",
    "~a",
    "+a",
    "a & b",
    "a << 70",
    "a @ b",
    "a, b",
    "(a, b)",
    "{a}",
    "[a]",
    "await a",
    "yield",
    "*a",
    "a; b",
    "a = 1",
    "import os",
    "a\nb",
    "",
    " ",
    "a b",
    "a ==",
    "\0",
    "-" * 900 + "a",
    "(" * 400 + "a" + ")" * 400,
    "+".join(["a"] * (DEEPEST + 1)),
    "a" * (LONGEST + 1),
]


@pytest.mark.parametrize("text", ATTACKS, ids=range(len(ATTACKS)))
def test_everything_else_is_refused(text):
    with pytest.raises(ConfigError):
        parse(text)


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(["a", ".", "(", ")", "1", "'", "[", "]", "lambda", ":"])).map("".join)
)
def test_any_text_is_an_expression_or_refused(text):
    try:
        parse(text)
    except ConfigError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tiers.hbm + 1", "in 'tiers.hbm + 1': not allowed: found 'tiers.hbm', expected the name of an axis"),
        ("sqr(a)", "no such function: found 'sqr', expected one of min, max,"),
        ("sqr(a)", "did you mean 'sqrt'?"),
        ("a + 'x'", "found ''x'', expected a text with ==, != or in alone"),
        ("a ** 200", "found '200', expected an exponent of at most 100"),
        ("max(a)", "found 'max(a)', expected max of two or more"),
        ("a is b", "expected the comparisons == != < <= > >= in"),
        ("a +", "no expression: invalid syntax: found 'a +'"),
        ("a in b", "found 'b', expected a list such as ('a', 'b')"),
        ("a" * 2000, "found 2000 characters, expected 1000 at most"),
    ],
)  # fmt: skip
def test_the_message_says_which_part_is_not_allowed(text, said):
    with pytest.raises(ConfigError) as raised:
        parse(text)
    assert said in str(raised.value)
