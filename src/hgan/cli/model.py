"""The option --model, which several verbs have."""

from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser

if TYPE_CHECKING:
    from hgan.runtime.bundle import Bundle

_HELP = (
    "the model: the folder of a bundle, of a checkpoint or of a dual encoder such as CLIP, or a "
    "name on the Hugging Face hub; by default {default}"
)
SHIPPED = "the bundle that ships with hgan"


def model_argument(parser: ArgumentParser, default: str = SHIPPED) -> None:
    """Add --model to a parser; `--bundle` is its older name."""
    help_text = _HELP.format(default=default)
    parser.add_argument("--model", "--bundle", type=str, metavar="MODEL", help=help_text)


def moved_model_argument(parser: ArgumentParser) -> None:
    """Add --model to a parser of a verb that opens an index, which has its model."""
    parser.add_argument(
        "--model",
        "--bundle",
        type=str,
        metavar="MODEL",
        help="the model of the index, if it is no longer where it was; `hgan index --model MODEL` "
        "remembers the new place",
    )


def named_model(name: str | None) -> "Bundle | None":
    """The bundle that --model names; None if it is not given.

    Raises:
        HganError: there is no such model, or it cannot be exported; see `hgan.loading.load`.
    """
    if name is None:
        return None
    from hgan.loading import load_bundle

    return load_bundle(name)
