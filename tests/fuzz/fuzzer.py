"""Fuzz one target with atheris in this process: `python -m tests.fuzz.fuzzer TARGET LIBFUZZER_OPTIONS`.

Python code of hgan, and of the parsers that it calls, is instrumented, so that inputs that reach new
code are kept and changed further. The C code of decoders is not.
"""

import sys

import atheris

with atheris.instrument_imports(include=["hgan", "PIL", "csv", "numpy.lib"]):
    from tests.fuzz.harness import check
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz until libFuzzer's limits; it ends the process."""
    program, name, *options = sys.argv

    def one_input(data: bytes) -> None:
        check(TARGETS[name], data)

    atheris.Setup([program, *options], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
