"""Layouts: declared fields, their places, and views of plain memory."""

import importlib
import pickle

import pytest

from actors.errors import BadLayout
from actors.layout import (
    Layout,
    array,
    bind,
    committed_at_of,
    field,
    generation_of,
    memory_of,
    shape_of,
)
from actors.shape import difference, shape_from
from runtime.wire.codec import Codec


class Point(Layout):
    x = field("f4")
    y = field("f4")


class Prices(Layout):
    open = field("bool")
    gbp = array("f8", 4)
    updated = field("u8")
    name = field("S5")
    origin = field(Point)
    corners = array(Point, 3)
    grid = array("i2", (2, 3))


SCALARS = {
    "i1": (-(2**7), 2**7 - 1),
    "i2": (-(2**15), 2**15 - 1),
    "i4": (-(2**31), 2**31 - 1),
    "i8": (-(2**63), 2**63 - 1),
    "u1": (0, 2**8 - 1),
    "u2": (0, 2**16 - 1),
    "u4": (0, 2**32 - 1),
    "u8": (0, 2**64 - 1),
    "f4": (-0.5, 2.0),
    "f8": (0.1, 1e300),
    "bool": (False, True),
    "S3": (b"", b"abc"),
}


def view_of(layout, **made):
    return bind(layout, memoryview(bytearray(shape_of(layout).nbytes)), **made)


def one(code):
    return type("One", (Layout,), {"pad": field("u1"), "value": field(code)})


@pytest.mark.parametrize("code", SCALARS)
def test_a_scalar_field_holds_every_value_of_its_code(code):
    view = view_of(one(code))

    for value in SCALARS[code]:
        view.value = value
        assert view.value == value
        assert type(view.value) is type(value)


@pytest.mark.parametrize(("code", "value"), [("u1", 256), ("i8", 2**63), ("u8", -1), ("u4", "3"), ("S3", "abc")])
def test_a_value_that_does_not_fit_its_code_is_refused_by_name(code, value):
    with pytest.raises(ValueError, match=r"One\.value: expected " + code):
        view_of(one(code)).value = value


def test_fixed_bytes_are_never_cut():
    with pytest.raises(ValueError, match="expected at most 3 bytes, got 4"):
        view_of(one("S3")).value = b"abcd"


def test_every_field_is_aligned_to_its_own_size_and_the_whole_to_the_largest():
    places = {member.name: member.offset for member in shape_of(Prices).members}

    assert places == {"open": 0, "gbp": 8, "updated": 40, "name": 48, "origin": 56, "corners": 64, "grid": 88}
    assert shape_of(Prices).nbytes == 104
    assert shape_of(Prices).alignment == 8


def test_fields_do_not_overlap():
    view = view_of(Prices)
    view.open, view.updated, view.name, view.origin.x, view.corners[2].y = True, 2**64 - 1, b"x" * 5, 1.5, 2.5
    view.gbp[3] = 9.25
    view.grid[1, 2] = -1

    assert (view.open, view.updated, view.name) == (True, 2**64 - 1, b"xxxxx")
    assert (view.origin.x, view.origin.y) == (1.5, 0.0)
    assert [corner.y for corner in view.corners] == [0.0, 0.0, 2.5]
    assert view.gbp.tolist() == [0.0, 0.0, 0.0, 9.25]
    assert view.grid.tolist() == [[0, 0, 0], [0, 0, -1]]


def test_the_rows_of_an_array_of_layouts_are_a_sequence():
    view = view_of(Prices)
    view.corners[-1].x = 3.0

    assert len(view.corners) == 3
    assert view.corners[1:][1].x == 3.0
    with pytest.raises(IndexError):
        _ = view.corners[3]


def test_a_misspelt_field_is_an_error_and_no_new_attribute():
    with pytest.raises(AttributeError):
        view_of(Prices).updatd = 1


@pytest.mark.parametrize("name", ["gbp", "origin", "corners"])
def test_an_array_or_a_nested_layout_is_never_assigned_as_a_whole(name):
    with pytest.raises(AttributeError, match=f"Prices.{name} is a.*assign to its items"):
        setattr(view_of(Prices), name, [1.0])


def test_a_layout_may_extend_another():
    class Dated(Point):
        at = field("u8")

    view = view_of(Dated)
    view.x, view.at = 1.0, 7

    assert [member.name for member in shape_of(Dated).members] == ["x", "y", "at"]
    assert (view.x, view.at) == (1.0, 7)


def test_the_fingerprint_is_of_the_fields_and_not_of_the_class():
    class Renamed(Layout):
        x = field("f4")
        y = field("f4")

    class Wider(Layout):
        x = field("f4")
        y = field("f8")

    assert shape_of(Renamed).fingerprint == shape_of(Point).fingerprint
    assert shape_of(Wider).fingerprint != shape_of(Point).fingerprint
    assert shape_of(Point).fingerprint.hex() == "74bf86535c1be76334e8b0058846a938"


def test_the_difference_of_two_layouts_shows_only_the_lines_that_differ():
    class Wider(Layout):
        x = field("f4")
        y = field("f8")

    shown = difference(shape_of(Point).describe(), shape_of(Wider).describe())

    assert shown.splitlines() == [
        "-        4  y  f4",
        "+        8  y  f8",
        "-        8  bytes in all",
        "+       16  bytes in all",
    ]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: field("f2"), "got 'f2'"),
        (lambda: field("S0"), "got 'S0'"),
        (lambda: field(int), "got <class 'int'>"),
        (lambda: field(Layout), "expected a Layout"),
        (lambda: array("f8", 0), "at least 1"),
        (lambda: array("f8", ()), "at least 1"),
        (lambda: array(Point, (2, 2)), "expected one dimension"),
        (lambda: type("Empty", (Layout,), {}), "at least one field"),
        (lambda: type("Bad", (Layout,), {"_x": field("u1")}), "a name that Layout does not use"),
        (lambda: type("Bad", (Layout,), {"of": field("u1")}), "a name that Layout does not use"),
        (lambda: Layout.of(dict), "a structured dtype"),
    ],
)
def test_what_cannot_be_a_layout_is_refused(make, said):
    with pytest.raises(BadLayout, match=said):
        make()


def test_a_view_says_which_commit_it_shows_and_so_do_its_parts():
    view = view_of(Prices, commit=(7, 1.5))

    assert (generation_of(view), committed_at_of(view)) == (7, 1.5)
    assert generation_of(view.origin) == generation_of(view.corners[1]) == 7


def test_a_view_travels_as_a_copy():
    view = view_of(Prices, commit=(7, 1.5))
    view.updated, view.gbp[1] = 3, 2.5

    copy = pickle.loads(pickle.dumps(view))
    view.updated = 4

    assert (copy.updated, copy.gbp[1], generation_of(copy)) == (3, 2.5, 7)
    assert "updated=3" in repr(copy)


class TestStructuredDtype:
    """`Layout.of` of what numpy describes."""

    @pytest.fixture
    def numpy(self):
        return importlib.import_module("numpy")  # in the test extra: never missing

    @pytest.mark.parametrize("align", [False, True])
    def test_it_keeps_the_places_that_numpy_gives(self, numpy, align):
        inner = numpy.dtype([("q", "i4"), ("s", "S5")], align=align)
        dtype = numpy.dtype([("a", "u1"), ("b", "f8", (2, 2)), ("c", inner), ("rows", inner, (3,))], align=align)
        view = view_of(Layout.of(dtype))
        view.a, view.c.s, view.rows[2].q = 7, b"abc", -9
        view.b[1, 0] = 2.5

        seen = numpy.frombuffer(memory_of(view), dtype)[0]

        assert shape_of(Layout.of(dtype)).nbytes == dtype.itemsize
        assert (seen["a"], seen["c"]["s"], seen["rows"]["q"][2], seen["b"][1, 0]) == (7, b"abc", -9, 2.5)

    def test_a_layout_class_is_itself(self):
        assert Layout.of(Point) is Point

    @pytest.mark.parametrize("of", ["f8", [("x", ">f8")], [("x", "f2")], [("x", "M8[s]")], [("x", "U3")]])
    def test_what_has_no_code_is_refused(self, numpy, of):
        with pytest.raises(BadLayout):
            Layout.of(numpy.dtype(of))


@pytest.mark.parametrize("layout", [Point, Prices])
def test_a_layout_is_made_again_of_its_description(layout):
    made = Layout.of(shape_from(shape_of(layout).describe()), "Again")

    assert shape_of(made).fingerprint == shape_of(layout).fingerprint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "       8  bytes in all",
        "       0  a  f8\n       4  bytes in all",
        "       0  a  f9\n       8  bytes in all",
    ],
)
def test_what_describes_no_layout_is_refused(text):
    with pytest.raises(BadLayout):
        shape_from(text)


def test_a_layout_of_a_script_goes_by_value():
    codec = Codec(importable=lambda name: name != __name__)

    layout = codec.decode_value(*codec.encode_value(Prices, "layout"))

    assert shape_of(layout).fingerprint == shape_of(Prices).fingerprint
    assert view_of(layout).origin.x == 0.0
