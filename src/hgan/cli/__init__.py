"""The command line: `hgan VERB ...`. Results go to standard output, the rest to standard error.

Only the parser of the given verb is built, and the verb imports what it needs when it runs.
"""

import difflib
import os
import sys
from collections.abc import Sequence

from hgan.cli.backup import BACKUP, RESTORE
from hgan.cli.calibrate import CALIBRATE
from hgan.cli.completion import NAME, completion_verb
from hgan.cli.data_check import DATA_CHECK
from hgan.cli.data_convert import DATA_CONVERT
from hgan.cli.duplicates import DUPLICATES
from hgan.cli.evaluate import EVALUATE
from hgan.cli.explain import EXPLAIN
from hgan.cli.export import EXPORT
from hgan.cli.extract import EXTRACT
from hgan.cli.index import INDEX
from hgan.cli.info import INFO
from hgan.cli.report import REPORT
from hgan.cli.search import SEARCH
from hgan.cli.serve import SERVE
from hgan.cli.sweep import SWEEP
from hgan.cli.train import TRAIN
from hgan.cli.verb import Verb
from hgan.errors import HganError
from hgan.terminal import print_visible
from hgan.version import __version__

FIND: dict[str, Verb] = {
    "index": INDEX,
    "search": SEARCH,
    "explain": EXPLAIN,
    "duplicates": DUPLICATES,
    "serve": SERVE,
    "info": INFO,
    "backup": BACKUP,
    "restore": RESTORE,
}
LEARN: dict[str, Verb] = {
    "data check": DATA_CHECK,
    "data convert": DATA_CONVERT,
    "extract": EXTRACT,
    "train": TRAIN,
    "evaluate": EVALUATE,
    "export": EXPORT,
    "calibrate": CALIBRATE,
    "sweep": SWEEP,
    "report": REPORT,
}
OTHER: dict[str, Verb] = {NAME: completion_verb(FIND | LEARN)}
VERBS = FIND | LEARN | OTHER

DONE, PROBLEMS, USER_ERROR = 0, 1, 2
"""Exit codes: success; the checked data has problems; the input or a setting is wrong."""
INTERRUPTED, PIPE_CLOSED = 130, 141
"""Exit codes of programs that were ended by SIGINT or SIGPIPE."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code; by default with the arguments of the process."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(words)
        sys.stdout.flush()
        return code
    except HganError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        again = "run it again with --resume" if words[:1] == ["train"] else "run it again"
        print(f"\nhgan: interrupted; finished work is kept, {again} to continue", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has closed the pipe (`hgan search ... | head`); flushing at exit must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as error:  # a full disk, a folder that cannot be written
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}; finished work is kept")


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return DONE if words else USER_ERROR
    if words[0] == "--version":
        print(f"hgan {__version__}")
        return DONE
    for length in (2, 1):  # "data check" before "data"
        name = " ".join(words[:length])
        if (verb := VERBS.get(name)) is not None:
            parser = verb.parser(name)
            return verb.run(parser, parser.parse_args(words[length:]))
    close = [name for name in VERBS if name.startswith(f"{words[0]} ")]
    close += difflib.get_close_matches(" ".join(words[:2]), VERBS)
    close += difflib.get_close_matches(words[0], VERBS)
    hint = f"did you mean {close[0]}?" if close else "see hgan --help"
    return _fail(f"unknown verb {words[0]!r}; {hint}")


def _fail(message: str) -> int:
    print_visible(f"hgan: {message}", file=sys.stderr)
    return USER_ERROR


def _help() -> str:
    width = max(map(len, VERBS))
    find, learn, other = (
        "\n".join(f"  {name:{width}}  {verb.summary}" for name, verb in verbs.items())
        for verbs in (FIND, LEARN, OTHER)
    )
    return f"""\
usage: hgan VERB ...

Search photos with words, and train the model that does it.

find photos:
{find}

train a model (needs the training half, pip install '.[train]'):
{learn}

your shell:
{other}

  hgan VERB --help   arguments and examples of a verb
  hgan --version     the version

examples:
  hgan index ~/Pictures
  hgan search "two dogs playing in the snow\""""
