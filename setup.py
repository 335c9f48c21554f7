"""Builds the Cython extensions of kstore._native; everything else is in pyproject.toml.

Every `.pyx` beside `_native/__init__.py` is one extension. Cython's warnings are errors.
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from Cython.Compiler import Options
from setuptools import Extension, setup

Options.warning_errors = True

NATIVE = Path("src/kstore/_native")
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "binding": True,
    "auto_pickle": False,
    "embedsignature": False,
    "autotestdict": False,
}

extensions = [
    Extension(
        f"kstore._native.{source.stem}",
        [str(source)],
        depends=[str(header) for header in sorted(NATIVE.glob("*.[ph]*")) if header != source],
        extra_compile_args=["-O3", "-fno-strict-aliasing", "-Wno-unused-function"],
    )
    for source in sorted(NATIVE.glob("*.pyx"))
    if os.environ.get("KSTORE_ONLY", source.stem) == source.stem
]

if __name__ == "__main__":  # cythonize's helper processes import this file too
    jobs = os.cpu_count() or 1
    setup(
        ext_modules=cythonize(
            extensions,
            compiler_directives=DIRECTIVES,
            build_dir="build/cython",
            include_path=["src"],
            nthreads=jobs if len(extensions) > 1 else 0,
        ),
        options={"build_ext": {"parallel": jobs}},
    )
