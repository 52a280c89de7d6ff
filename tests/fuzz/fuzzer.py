"""Fuzz one target with atheris in this process: `python -m tests.fuzz.fuzzer TARGET OPTION ...`.

The options are libFuzzer's. Python code of hgan, and of the parsers that it calls, is instrumented,
so that inputs that reach new code are kept and changed further. The C code of decoders is not.
"""

import sys

import atheris

with atheris.instrument_imports(include=["hgan", "PIL", "csv", "numpy.lib"]):
    from tests.fuzz.harness import check
    from tests.fuzz.json_changes import changed
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz until libFuzzer's limits; it ends the process."""
    program, name, *options = sys.argv

    def one_input(data: bytes) -> None:
        check(TARGETS[name], data)

    def changed_input(data: bytes, longest: int, seed: int) -> bytes:
        document = changed(data, seed) if seed % 2 else None
        return atheris.Mutate(data, longest) if document is None else document[:longest]

    atheris.Setup([program, *options], one_input, custom_mutator=changed_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
