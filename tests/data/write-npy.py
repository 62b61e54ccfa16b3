#!/usr/bin/env python3
"""Writes the .npy files of tests/table.rs, as NumPy itself writes them (NumPy 2).

Each type once in C order (TYPE.npy) and once in Fortran order (TYPE.f.npy).
"""
import pathlib

import numpy

FOLDER = pathlib.Path(__file__).parent / "numpy"
ARRAYS = {
    "<f8": [[1.5, -2.0, 1e300], [0.1, 5e-324, 6.0]],
    "<f4": [[1.5, -2.0], [0.1, 6.0], [7.0, 8.0]],
    "i1": [[-3, 4], [127, -128]],
    "<i2": [[-3, 4], [127, -(2**15)]],
    "<i4": [[-3, 4], [127, -(2**31)]],
    "<i8": [[-3, 4], [127, -(2**63)]],
    "u1": [[3, 255]],
    "<u2": [[3], [2**16 - 1]],
    "<u4": [[3], [2**32 - 1]],
    "<u8": [[3], [2**63]],
    "?": [[True, False], [False, True]],
}

for dtype, values in ARRAYS.items():
    array = numpy.array(values, dtype=dtype)
    name = "bool" if dtype == "?" else dtype.lstrip("<")
    numpy.save(FOLDER / f"{name}.npy", array)
    numpy.save(FOLDER / f"{name}.f.npy", numpy.asfortranarray(array))
numpy.save(FOLDER / "one.npy", numpy.array([1.0, 2.0, 3.0]))
