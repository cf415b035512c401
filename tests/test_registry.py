"""Names in configs: the library's, and a user's own."""

import doctest
import sys

import pytest

from awn_jax import registry

KNOWN = {"half": 0.5, "pi": "math:pi", "gone": "math:tauu", "missing": "no_such_extra:Thing"}


def test_examples_run():
    assert doctest.testmod(registry).attempted >= 2
    assert doctest.testmod(registry).failed == 0


@pytest.mark.parametrize(
    ("name", "expected"), [("half", 0.5), ("pi", 3.141592653589793), ("string:Formatter.vformat", None)]
)
def test_known_and_own_names(name, expected):
    import string

    assert registry.resolve(name, KNOWN, "factor") == (expected or string.Formatter.vformat)


@pytest.mark.parametrize("name", ["third", "", ":", "math:", ":pi", "math.pi", "Half"])
def test_unknown_names_are_refused(name):
    with pytest.raises(ValueError, match=r"^factor must be one of gone, half, missing, pi, or module:Name, got '.*'$"):
        registry.resolve(name, KNOWN, "factor")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gone", "'math:tauu': AttributeError: module 'math' has no attribute 'tauu'"),
        ("math:pi.phase", "'math:pi.phase': AttributeError: 'float' object has no attribute 'phase'"),
        ("missing", "'no_such_extra:Thing': ModuleNotFoundError: No module named 'no_such_extra'"),
        ("math:a:b", "'math:a:b': AttributeError: "),
        (".near:Thing", "'.near:Thing': TypeError: "),
        ("a b:Thing", "'a b:Thing': ModuleNotFoundError: "),
    ],
)
def test_what_cannot_be_imported_is_refused(name, reason):
    with pytest.raises(ValueError, match=rf"^factor must be importable, got {reason}.*$") as caught:
        registry.resolve(name, KNOWN, "factor")
    assert "\n" not in str(caught.value)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """`write(name, text)`: a module in the current folder, which Python does not look into by itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", str(tmp_path))])
    before = set(sys.modules)

    def write(name, text):
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("own_"):
            del sys.modules[name]


def test_the_current_folder_is_looked_into(write):
    path = list(sys.path)
    write("own_parts", "import own_helper\nclass Net: size = own_helper.SIZE")
    write("own_helper", "SIZE = 3")
    write("own_package/nets", "NET = 4")
    assert registry.resolve("own_parts:Net", {}, "model").size == 3
    assert registry.resolve("own_package.nets:NET", {}, "model") == 4
    assert sys.path == path


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_dependency", "ModuleNotFoundError: No module named 'no_such_dependency'"),
        ("def Net(:", "SyntaxError: "),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("Nett = 1", "AttributeError: module 'own_broken' has no attribute 'Net'"),
    ],
)
def test_a_broken_own_module_says_why(write, text, reason):
    path = list(sys.path)
    write("own_broken", text)
    with pytest.raises(ValueError, match=rf"^model must be importable, got 'own_broken:Net': {reason}.*$"):
        registry.resolve("own_broken:Net", {}, "model")
    assert sys.path == path
