"""Objects of libraries and of the standard library, as people send them; and what makes two of them equal."""

import array
import collections
import contextlib
import copyreg
import datetime
import decimal
import email.message
import enum
import fractions
import functools
import http
import http.cookies
import inspect
import ipaddress
import itertools
import json
import logging
import operator
import os
import pathlib
import random
import re
import statistics
import string
import struct
import sysconfig
import time
import types
import typing
import urllib.parse
import uuid
import warnings
import xml.etree.ElementTree as ET
import zoneinfo
from collections.abc import Callable, Iterator
from pickle import PickleBuffer
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import PIL.ImageFilter
import PIL.ImageFont
import pyarrow as pa
import pyarrow.compute
import scipy.interpolate
import scipy.optimize
import scipy.sparse
import scipy.spatial
import scipy.spatial.transform
import scipy.stats
import sklearn.datasets
import sklearn.linear_model
import sklearn.pipeline
import sklearn.preprocessing
import sklearn.tree
import sklearn.utils

Make = Callable[[], object]

_FRAME = {"a": [1, 2, 3], "b": ["x", None, "z"], "c": [0.5, float("nan"), -1.0]}
_TABLE = pa.table({"n": [1, None, 3], "s": ["a", "b", None], "l": [[1], [], None]})
_ROWS = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [3.0, 1.0]])
_CLASSES = np.array([0, 0, 1, 1])


def pandas_objects() -> list[object]:
    frame = pd.DataFrame(_FRAME)
    days = pd.date_range("2024", periods=3, tz="Europe/Berlin")
    return [
        frame,
        frame.set_index(["a", "b"]),
        frame.astype({"a": "Int64", "b": "string"}),
        pd.DataFrame(np.zeros((300, 4))),
        frame.iloc[:0],
        frame["a"],
        pd.Series(days),
        pd.Timestamp("2024-01-01"),
        pd.Timestamp("2024-01-01", tz="UTC"),
        pd.Timedelta("1h"),
        pd.Period("2024-01"),
        pd.Interval(0, 1),
        pd.NaT,
        pd.NA,
        days,
        pd.period_range("2024", periods=2, freq="M"),
        pd.timedelta_range("1h", periods=2),
        pd.interval_range(0, 3),
        pd.RangeIndex(5),
        pd.MultiIndex.from_product([[1, 2], ["a", "b"]]),
        pd.Categorical(["a", "b", "a"], ordered=True),
        pd.CategoricalDtype(["a"]),
        pd.DatetimeTZDtype("ns", "UTC"),
        pd.array([1, None], dtype="Int32"),
        pd.array(["a", None], dtype="string"),
        pd.arrays.SparseArray([0, 0, 1]),
        pd.offsets.MonthEnd(2),
        pd.offsets.CustomBusinessDay(weekmask="Mon Tue"),
    ]


def pyarrow_objects() -> list[object]:
    batch = _TABLE.to_batches()[0]
    struct_type = pa.struct([("x", pa.int8()), ("y", pa.list_(pa.string()))])
    return [
        _TABLE,
        _TABLE.slice(1),
        batch,
        _TABLE.schema,
        _TABLE.schema.with_metadata({"k": "v"}),
        _TABLE.column("n"),
        batch.column(2),
        pa.array([1.5, None]),
        pa.array(["a"] * 3000).dictionary_encode(),
        pa.array([{"x": 1, "y": ["z"]}], struct_type),
        struct_type,
        pa.timestamp("us", "UTC"),
        pa.decimal128(10, 2),
        pa.field("f", pa.int64(), nullable=False),
        pa.scalar(3),
        pa.scalar(None, pa.int8()),
        pa.py_buffer(b"bytes"),
        pa.compute.field("a") + 1 > 3,
    ]


def numpy_objects() -> list[object]:
    generators = [np.random.Generator(kind(7)) for kind in (np.random.PCG64, np.random.MT19937, np.random.Philox)]
    return [
        *generators,
        generators[0].bit_generator,
        np.random.RandomState(3),
        np.random.SeedSequence(3),
        np.arange(6).reshape(2, 3),
        np.asfortranarray(np.arange(6000.0).reshape(2, -1)),
        np.array(["a", None, 3], dtype=object),
        np.array([(1, 2.0)], dtype=[("n", "i4"), ("x", "f8")]),
        np.ma.masked_array([1, 2], mask=[True, False]),
        np.ma.masked,
        np.datetime64("2024-01-01"),
        np.float32(1.5),
        np.dtype("U7"),
        np.add,
        np.add.reduce,
        np.linalg.norm,
        np.poly1d([1, 2]),
        np.polynomial.Polynomial([1, 2]),
    ]


def sklearn_objects() -> list[object]:
    """Every estimator that can be made without arguments, and some that have learnt."""
    made: list[object] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)  # of estimators that are going to be removed
        for _, kind in sklearn.utils.all_estimators():
            if not any(each.default is each.empty for each in inspect.signature(kind).parameters.values()):
                with contextlib.suppress(FutureWarning):
                    made.append(kind())
    scaled = sklearn.pipeline.make_pipeline(
        sklearn.preprocessing.StandardScaler(), sklearn.linear_model.LogisticRegression()
    )
    learnt: list[Any] = [scaled, sklearn.tree.DecisionTreeClassifier(random_state=0), sklearn.linear_model.Ridge()]
    return [*made, *(each.fit(_ROWS, _CLASSES) for each in learnt), sklearn.datasets.load_iris()]


def scipy_objects() -> list[object]:
    matrix = scipy.sparse.random_array((20, 20), density=0.2, rng=np.random.default_rng(1))
    return [
        *(matrix.asformat(form) for form in ("csr", "csc", "coo", "lil", "dok", "dia", "bsr")),
        scipy.stats.norm(1, 2),
        scipy.stats.rv_histogram(np.histogram(_ROWS)),
        scipy.stats.multivariate_normal([0, 0]),
        scipy.stats.gaussian_kde(_ROWS[:, 0]),
        scipy.stats.ttest_1samp(_ROWS[:, 0], 1),
        scipy.interpolate.CubicSpline([0, 1, 2], [1, 0, 1]),
        scipy.interpolate.make_interp_spline([0, 1, 2, 3], [1, 0, 1, 2]),
        scipy.interpolate.RegularGridInterpolator(([0, 1], [0, 1]), np.eye(2)),
        scipy.optimize.OptimizeResult(x=1, success=True),
        scipy.optimize.Bounds(0, 1),
        scipy.spatial.KDTree(_ROWS),
        scipy.spatial.transform.Rotation.from_euler("z", 90, degrees=True),
        scipy.special.expit,
    ]


def pillow_objects() -> list[object]:
    return [
        *(PIL.Image.new(mode, (40, 30)) for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK", "F", "I;16")),
        PIL.Image.linear_gradient("L"),
        PIL.ImageFilter.GaussianBlur(3),
        PIL.ImageFilter.Kernel((3, 3), range(9)),
        PIL.Image.Resampling.BICUBIC,
    ]


def standard_objects() -> list[object]:
    message = email.message.Message()
    message["Subject"] = "tea"
    cookie = http.cookies.SimpleCookie("a=b")
    drawn = random.Random(5)
    tree = ET.fromstring("<a b='1'><c>text</c></a>")
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    counter = itertools.count(3)
    return [
        datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC, fold=1),
        datetime.datetime(2024, 2, 29, tzinfo=berlin),
        datetime.date(2024, 1, 2),
        datetime.time(1, 2),
        datetime.timedelta(days=-1),
        datetime.timezone(datetime.timedelta(hours=2), "two"),
        berlin,
        decimal.Decimal("1.10"),
        decimal.Context(prec=5),
        fractions.Fraction(1, 3),
        2**70,
        1 + 2j,
        float("-inf"),
        "\ud800",
        uuid.UUID(int=5),
        pathlib.Path("a/b"),
        pathlib.PureWindowsPath("c:/x"),
        os.stat("/"),
        time.gmtime(0),
        re.compile("a+", re.IGNORECASE),
        ipaddress.ip_network("10.0.0.0/8"),
        ipaddress.ip_address("::1"),
        urllib.parse.urlparse("http://a/b?c"),
        array.array("d", [1.0]),
        bytearray(b"b"),
        memoryview(b"view"),
        range(1, 9, 2),
        slice(1, None),
        ...,
        NotImplemented,
        None,
        collections.deque([1, 2], maxlen=3),
        collections.Counter("aab"),
        collections.OrderedDict(a=1),
        collections.defaultdict(list, a=[1]),
        collections.ChainMap({"a": 1}, {}),
        collections.UserDict(a=1),
        {"a": 1}.keys(),
        {"a": 1}.items(),
        types.MappingProxyType({"a": 1}),
        types.SimpleNamespace(a=1),
        frozenset({(1, "a")}),
        iter([1, 2]),
        counter,
        itertools.cycle("ab"),
        enumerate("ab"),
        functools.partial(int, base=2),
        operator.itemgetter(1, 2),
        operator.methodcaller("strip"),
        functools.cmp_to_key,
        len,
        str.upper,
        "text".upper,
        [1].__len__,
        datetime.datetime.fromisoformat,
        json.dumps,
        json.JSONDecoder,
        math_functions,
        struct.calcsize,
        drawn,
        statistics.NormalDist(1, 2),
        string.Template("$a"),
        logging.getLogger("shop"),
        logging.LogRecord("n", 1, "p", 1, "m", (), None),
        http.HTTPStatus.OK,
        re.IGNORECASE | re.MULTILINE,
        enum.auto,
        cookie,
        message,
        tree,
        inspect.signature(json.dumps),
        sysconfig,
        list[int],
        int | None,
        typing.Literal["a"] | None,
        typing.Any,
        collections.abc.Callable[[int], str],
        typing.AnyStr,
        json.JSONDecodeError("m", "doc", 1),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "why"),
        OSError(2, "no", "file"),
        KeyError("k"),
        StopIteration(4),
    ]


def math_functions() -> list[object]:
    """An importable function; what it returns does not matter."""
    return [operator.add, operator.neg]


MAKERS: dict[str, Callable[[], list[object]]] = {
    "pandas": pandas_objects,
    "pyarrow": pyarrow_objects,
    "numpy": numpy_objects,
    "scikit-learn": sklearn_objects,
    "scipy": scipy_objects,
    "pillow": pillow_objects,
    "standard library": standard_objects,
}


def form_of(value: object) -> object:
    """What a value is made of, down to numbers, texts and names: equal for equal values of equal types."""
    return _form(value, {})


_ATOMS = (int, str, bytes, complex, types.FunctionType, types.ModuleType)


def _form(value: Any, seen: dict[int, tuple[int, object]]) -> object:
    if value is None or isinstance(value, bool) or type(value) in _ATOMS or isinstance(value, type):
        return value
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, types.BuiltinFunctionType) and isinstance(value.__self__, types.ModuleType | None):
        return value
    if isinstance(value, bytearray | memoryview | PickleBuffer):
        return bytes(value)
    if id(value) in seen:
        return "seen", seen[id(value)][0]
    seen[id(value)] = (len(seen), value)  # kept, so that no id is used again
    if type(value) in (list, tuple):
        return type(value), [_form(each, seen) for each in value]
    if type(value) in (set, frozenset):
        return type(value), sorted((_form(each, seen) for each in value), key=repr)
    if type(value) is dict:
        return type(value), [(_form(key, seen), _form(each, seen)) for key, each in value.items()]
    return _reduced_form(value, seen)


def _reduced_form(value: Any, seen: dict[int, tuple[int, object]]) -> object:
    match value:
        case types.MappingProxyType():
            return types.MappingProxyType, _form(dict(value), seen)
        case collections.abc.KeysView() | collections.abc.ItemsView():
            return type(value), _form(list(value), seen)
        case _:
            reduce = copyreg.dispatch_table.get(type(value))
            made = reduce(value) if reduce is not None else value.__reduce_ex__(4)
    if isinstance(made, str):
        return made
    parts = [list(part) if isinstance(part, Iterator) else part for part in made]
    return type(value), [_form(part, seen) for part in parts]
