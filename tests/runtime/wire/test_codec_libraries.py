"""What plain pickle or cloudpickle carries arrives: objects of the standard library, and of the libraries people use most."""

import functools
import pickle
import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any

import cloudpickle
import hypothesis.extra.numpy as of_numpy
import hypothesis.extra.pandas as of_pandas
import hypothesis.strategies as some
import pytest
from hypothesis import given, settings

from runtime.wire.codec import Codec
from runtime.wire.codec_pickler import is_importable
from tests.runtime.wire.library_objects import MAKERS, form_of


@functools.cache
def everything() -> list[object]:
    return [each for make in MAKERS.values() for each in make()]


def carried(value: object) -> Any:
    """As pickle carries it, or cloudpickle where it does not."""
    try:
        return pickle.loads(pickle.dumps(value, 5))
    except Exception:  # a view of a dictionary, a lambda
        return pickle.loads(cloudpickle.dumps(value))


def there_and_back(codec: Codec, value: object) -> Any:
    return codec.decode_value(*codec.encode_value(value, "value"))


@pytest.mark.parametrize("library", MAKERS)
def test_every_object_arrives_as_what_it_was(library: str) -> None:
    codec = Codec()
    wrong = []

    for value in MAKERS[library]():
        arrived = there_and_back(codec, value)
        if type(arrived) is not type(value) or form_of(arrived) != form_of(carried(value)):
            wrong.append((value, arrived))

    assert wrong == []


NESTED = some.recursive(
    some.deferred(lambda: some.sampled_from(everything()))
    | of_numpy.arrays(of_numpy.scalar_dtypes(), of_numpy.array_shapes(max_dims=2, max_side=4))
    | of_pandas.data_frames(of_pandas.columns(["a", "b"], dtype=float)),
    lambda inner: (
        some.lists(inner, max_size=3) | some.tuples(inner) | some.dictionaries(some.text(), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(some.lists(NESTED, max_size=3), some.dictionaries(some.just("key"), NESTED))
@settings(max_examples=100, deadline=None)
def test_arguments_of_any_such_objects_arrive_as_what_they_were(args: list[Any], kwargs: dict[str, Any]) -> None:
    codec = Codec()
    kind, payload = codec.encode_call("add", tuple(args), kwargs, ())

    _, came, named, _ = codec.decode_call(kind, payload)

    assert form_of((list(came), named)) == form_of(carried((args, kwargs)))


def globals_of_modules() -> Iterator[tuple[str, Any]]:
    """What modules that others can import have among their globals, each once."""
    seen = set[int]()
    for name, module in sorted(sys.modules.items()):
        if isinstance(module, types.ModuleType) and is_importable(name):
            for attribute, value in list(vars(module).items()):
                if id(value) not in seen and not isinstance(value, str | int | types.ModuleType):
                    seen.add(id(value))
                    yield f"{name}.{attribute}", value


def is_elsewhere(value: Any) -> bool:
    """Whether it is of a module that only this process has, such as one that an extension module makes up."""
    module = getattr(value, "__module__", None)
    if isinstance(value, types.FunctionType) and module is None:
        return False  # made by exec without a name: pickle looks for it in all modules, here it goes by value
    return not isinstance(module, str) or is_importable(module)


def test_what_plain_pickle_finds_by_name_in_a_module_goes_by_name() -> None:
    """Functions and classes, those of Cython and C too, and what says that its name is enough."""
    codec = Codec()
    wrong, carried = [], 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecated globals
        for name, value in globals_of_modules():
            try:
                is_named = pickle.loads(pickle.dumps(value, 5)) is value
            except Exception:  # this is not carried by plain pickle
                continue
            if is_named and is_elsewhere(value):
                carried += 1
                if there_and_back(codec, value) is not value:
                    wrong.append(name)

    assert wrong == []
    assert carried > 10_000
