#!/usr/bin/env python3
"""Writes shapes/testdata/shape_expressions.json.gz: random shape expressions with sympy's value of each.

    python make_shape_expression_golden.py                2,000 expressions into the tree
    python make_shape_expression_golden.py 100000 FILE    as many elsewhere, to compare once

Expressions are made of what torch.export writes: sympy's own functions and those of torch/utils/_sympy/functions.py,
spelt by srepr. Values are what sympy makes of the expression where its symbols are numbers: an integer, "p/q",
a float, true or false, or null where it is undefined or an error. Needs the environment pinned in
workloads/models/requirements.txt.
"""

import gzip
import io
import json
import pathlib
import random
import signal
import sys

import sympy
import torch.utils._sympy.functions as torch_functions
from sympy.printing.repr import srepr

SYMBOLS = [sympy.Symbol(f"s{i}", integer=True, positive=True) for i in range(3)]
OUTPUT = pathlib.Path(__file__).resolve().parent.parent / "shapes/testdata/shape_expressions.json.gz"
F = torch_functions


def leaf(rng):
    if rng.random() < 0.6:
        return rng.choice(SYMBOLS)
    return sympy.Integer(rng.choice([-7, -3, -1, 1, 2, 3, 4, 8, 16, 32, 64]))


def integer(rng, depth):
    """An expression whose value is an integer, wherever it has one."""
    if depth == 0:
        return leaf(rng)
    a = lambda: integer(rng, depth - 1)
    natural = lambda: sympy.Integer(rng.choice([1, 2, 3, 4, 8, 14, 32]))
    return rng.choice([
        lambda: a() + a(),
        lambda: a() * a(),
        lambda: a() - a(),
        lambda: F.FloorDiv(a(), natural()),
        lambda: F.FloorDiv(a(), a()),
        lambda: F.PythonMod(a(), natural()),
        lambda: F.ModularIndexing(rng.choice(SYMBOLS) + 5, natural(), natural()),
        lambda: F.CeilDiv(a(), natural()),
        lambda: F.Max(a(), a()),
        lambda: F.Min(a(), a()),
        lambda: sympy.Max(a(), a()),
        lambda: F.PowByNatural(rng.choice(SYMBOLS), sympy.Integer(rng.choice([2, 3]))),
        lambda: F.PowByNatural(sympy.Integer(2), sympy.Integer(rng.choice([2, 3, 5]))),
        lambda: F.TruncToInt(real(rng, depth - 1)),
        lambda: F.FloorToInt(real(rng, depth - 1)),
        lambda: F.CeilToInt(real(rng, depth - 1)),
        lambda: F.RoundToInt(real(rng, depth - 1)),
        lambda: F.LShift(rng.choice(SYMBOLS), sympy.Integer(rng.choice([1, 2, 5]))),
        lambda: F.RShift(rng.choice(SYMBOLS), sympy.Integer(rng.choice([1, 2, 5]))),
        lambda: F.Where(truth(rng, depth - 1), a(), a()),
        lambda: sympy.Piecewise((a(), truth(rng, depth - 1)), (a(), True)),
        lambda: F.Identity(a()),
        lambda: abs(a()),
        lambda: a() ** 2,
    ])()


def real(rng, depth):
    a = lambda: integer(rng, max(depth - 1, 0))
    return rng.choice([
        lambda: F.IntTrueDiv(a(), sympy.Integer(rng.choice([2, 3, 7, 10]))),
        lambda: F.IntTrueDiv(a(), a()),
        lambda: F.ToFloat(a()) * sympy.Float(rng.choice([0.5, 0.1, 0.6, 1.5, 2.675])),
        lambda: F.FloatTrueDiv(F.ToFloat(a()), sympy.Float(rng.choice([3.0, 0.7]))),
        lambda: F.FloatPow(F.ToFloat(a()), sympy.Float(rng.choice([0.5, 2.0]))),
        lambda: F.ToFloat(a()),
        lambda: F.TruncToFloat(F.ToFloat(a()) * sympy.Float(0.3)),
        lambda: F.RoundDecimal(F.IntTrueDiv(a(), sympy.Integer(7)), sympy.Integer(2)),
    ])()


def truth(rng, depth):
    a = lambda: integer(rng, max(depth - 1, 0))
    return rng.choice([
        lambda: sympy.Eq(a(), a()),
        lambda: sympy.Ne(a(), a()),
        lambda: sympy.Lt(a(), a()),
        lambda: sympy.Le(a(), a()),
        lambda: sympy.Gt(a(), a()),
        lambda: sympy.Ge(a(), a()),
        lambda: sympy.And(sympy.Lt(a(), a()), sympy.Ge(a(), a())),
        lambda: sympy.Or(sympy.Eq(a(), a()), sympy.Gt(a(), a())),
        lambda: sympy.Not(sympy.Eq(a(), a())),
    ])()


LARGEST = 2**62


def value_of(expression, values):
    try:
        result = sympy.sympify(expression.xreplace(dict(zip(SYMBOLS, map(sympy.Integer, values)))))
    except TooSlow:
        raise
    except Exception:
        return None
    if result in (sympy.true, sympy.false):
        return bool(result)
    if isinstance(result, sympy.Integer):
        return int(result) if abs(int(result)) < LARGEST else None
    if isinstance(result, sympy.Rational):
        return f"{result.p}/{result.q}" if result.q else None
    if isinstance(result, sympy.Float):
        return float(result)
    return None  # nan, zoo, or what sympy leaves as it is


class TooSlow(Exception):
    pass


def give_up(*_):
    raise TooSlow


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    output = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else OUTPUT
    rng = random.Random(17)
    signal.signal(signal.SIGALRM, give_up)
    cases = []
    while len(cases) < count:
        signal.setitimer(signal.ITIMER_REAL, 2)  # some simplifications of sympy do not end
        try:
            kind = rng.choice([integer, integer, integer, real, truth])
            expression = kind(rng, rng.randint(1, 4))
            text = srepr(expression)
            if len(text) > 4000 or "Symbol" not in text:
                continue
            at = [[rng.choice([1, 2, 3, 5, 7, 16, 33, 100, 1023]) for _ in SYMBOLS] for _ in range(3)]
            cases.append([text, [[values, value_of(expression, values)] for values in at]])
        except Exception:  # what sympy cannot build, nobody can export
            continue
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=9, mtime=0) as out:
        out.write(json.dumps(cases, separators=(",", ":")).encode())
    output.parent.mkdir(exist_ok=True)
    output.write_bytes(buffer.getvalue())
    print(f"{count} expressions, {len(buffer.getvalue())} bytes, sympy {sympy.__version__}")


if __name__ == "__main__":
    main()
