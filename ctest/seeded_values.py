"""Values of weights and inputs that C++ and Python agree on to the last bit, without shipping any.

Rule `seeded_values_2`. A tensor's values depend on its name, its shape and, of inputs, on what the graph
does with them (workloads/input_values.hpp, docs/measuring.md). Names are those of
the export's signature: `parameter_name`, `buffer_name`, `tensor_constant_name`, and for a user input
the name of its argument ("x", "input_ids").

    h = FNV-1a, 64 bits, of the name's UTF-8 bytes
        (h = 0xCBF29CE484222325; for each byte: h ^= byte; h *= 0x100000001B3)

    bits of element i, counted in row-major order from 0, all arithmetic modulo 2^64:
        z  = h + (i + 1) * 0x9E3779B97F4A7C15
        z ^= z >> 30;  z *= 0xBF58476D1CE4E5B9
        z ^= z >> 27;  z *= 0x94D049BB133111EB
        z ^= z >> 31
    which is the (i + 1)-th output of SplitMix64 seeded with h.

    n = (z & 0xFFFF) + (z >> 16 & 0xFFFF) + (z >> 32 & 0xFFFF) + (z >> 48) - 131070

n is an integer of mean 0 and variance (2^32 - 1) / 3 = 1431655765, nearly normal (the sum of four
uniforms: Irwin-Hall), within 3.5 standard deviations. An element of floating-point type is

    value = float32(n + offset) * scale          one float32 multiplication; n + offset is exact

    tensor                                                    r     f        offset   distribution
    user input that is no map                                 1     1        0        N(0, 1)
    weight of 2 or more dimensions                            1     fan_in   0        N(0, 1/fan_in)
    weight of 0 or 1 dimensions, last part of its name
        "weight" or "running_var"                             0.1   1        378372   N(1, 0.1^2)
    other weight of 0 or 1 dimensions                         0.1   1        0        N(0, 0.1^2)

    scale = float32(r / sqrt(1431655765.0 * f)), computed in double
    fan_in = number of elements / size of the first dimension

("Weight" is every parameter, buffer and constant.) running_var is thus always above 0.6. For
bfloat16, float16 and float64 the float32 value is converted, to nearest even.

A user input of 3 or more dimensions that reaches a convolution, pool or interpolation is a map: a coarse
lattice of nodes in all dimensions but the first (at most the last four, d of them), linear in between, and
a sixteenth of noise. With c_k = i_k div 16 and t_k = i_k mod 16 of these dimensions' indices,

    F = sum over the 2^d corners b of  n_field[lattice index of (i_0, ..., c_k + b_k, ...)]
                                       * product over k of (b_k ? t_k : 16 - t_k)
    value = float32(F + n * 16^(d-1)) * float32(1 / (16^d * sqrt(1431655765.0 * ((2/3)^d + 1/256))))

where n_field is n of the name followed by "~field", counted row-major in the lattice, whose extent is
size div 16 + 2 in these dimensions and the size in the others. An integer map is round(48 value + 128), within
0 to 255.

Elements of other types:

    tensor whose values the export holds (derate_constants)   those values
    ids                                                       low + z mod (high - low + 1); of floating-point
                                                              type low + (z >> 11) / 2^53 * (high - low)
    padding mask, 1 or true for the first elements of a row   the first columns - 1 - z mod (columns div 2)
                                                              of row r (z of element r)
    all others                                                made of positions alone, see the code

Ids are bounded by the tables that they reach: low 0 and high rows - 1 where they reach one directly.

Reference values, tensor "conv1.weight" of shape (64, 3, 7, 7), as `python seeded_values.py` prints them:

    hash 0x69a29a2cee47d254
    element 0: z 0x8b8a08a85128a1b0  n  -30964  value -0.0674961656332016 (-0x1.1476dcp-4)
    element 1: z 0xbec2eba82f6f054f  n   -8406  value -0.0183236263692379 (-0x1.2c36dcp-6)
    element 2: z 0x05de32eeed3c84ab  n  -21835  value -0.0475965254008770 (-0x1.85e926p-5)
    element 3: z 0xbc7775e7ed8d088a  n   10359  value  0.0225808285176754 (0x1.71f6dcp-6)
"""

from __future__ import annotations

import math

import numpy

IRWIN_HALL_VARIANCE = 1431655765.0
ONE_IN_TENTH_DEVIATIONS = 378372


def name_hash(name: str) -> int:
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def element_bits(name: str, count: int) -> numpy.ndarray:
    """z of elements 0 to count - 1, as uint64."""
    z = numpy.arange(1, count + 1, dtype=numpy.uint64)
    z *= numpy.uint64(0x9E3779B97F4A7C15)
    z += numpy.uint64(name_hash(name))
    z ^= z >> numpy.uint64(30)
    z *= numpy.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> numpy.uint64(27)
    z *= numpy.uint64(0x94D049BB133111EB)
    z ^= z >> numpy.uint64(31)
    return z


def nearly_normal(name: str, count: int) -> numpy.ndarray:
    """n of elements 0 to count - 1, as int32."""
    z = element_bits(name, count)
    n = numpy.full(count, -131070, dtype=numpy.int32)
    for shift in (0, 16, 32, 48):
        n += ((z >> numpy.uint64(shift)) & numpy.uint64(0xFFFF)).astype(numpy.int32)
    return n


def scaled(name: str, shape: tuple[int, ...], r: float, f: int, offset: int) -> numpy.ndarray:
    n = nearly_normal(name, math.prod(shape)) + numpy.int32(offset)
    scale = numpy.float32(r / math.sqrt(IRWIN_HALL_VARIANCE * f))
    return (n.astype(numpy.float32) * scale).reshape(shape)


def weight(name: str, shape: tuple[int, ...]) -> numpy.ndarray:
    """float32 values of a parameter, buffer or constant of floating-point type."""
    if len(shape) >= 2:
        return scaled(name, shape, 1.0, math.prod(shape[1:]), 0)
    is_factor = name.rsplit(".", 1)[-1] in ("weight", "running_var")
    return scaled(name, shape, 0.1, 1, ONE_IN_TENTH_DEVIATIONS if is_factor else 0)


def float_input(name: str, shape: tuple[int, ...]) -> numpy.ndarray:
    return scaled(name, shape, 1.0, 1, 0)


CELL = 16
NOISE_SHARE = 1 / 16


def map_input(name: str, shape: tuple[int, ...]) -> numpy.ndarray:
    """float32 values of a user input that convolutions, pools or interpolations read."""
    first = max(1, len(shape) - 4)
    dimensions = len(shape) - first
    lattice = [size if d < first else size // CELL + 2 for d, size in enumerate(shape)]
    nodes = nearly_normal(name + "~field", math.prod(lattice)).astype(numpy.int64).reshape(lattice)
    total = numpy.zeros(shape, dtype=numpy.int64)
    for corner in range(1 << dimensions):
        weight = numpy.ones((1,) * len(shape), dtype=numpy.int64)
        index = []
        for d, size in enumerate(shape):
            along = numpy.arange(size).reshape([-1 if k == d else 1 for k in range(len(shape))])
            if d < first:
                index.append(along)
                continue
            far = corner >> (d - first) & 1
            index.append(along // CELL + far)
            weight = weight * (along % CELL if far else CELL - along % CELL)
        total += weight * nodes[tuple(index)]
    unit = CELL**dimensions
    noise = nearly_normal(name, math.prod(shape)).astype(numpy.int64).reshape(shape)
    total += noise * (unit // CELL)
    variance = IRWIN_HALL_VARIANCE * ((2.0 / 3.0) ** dimensions + NOISE_SHARE * NOISE_SHARE)
    return total.astype(numpy.float32) * numpy.float32(1 / (unit * math.sqrt(variance)))


def integer_input(name: str, shape: tuple[int, ...], bound: int) -> numpy.ndarray:
    z = element_bits(name, math.prod(shape)) % numpy.uint64(bound)
    return z.astype(numpy.int64).reshape(shape)


if __name__ == "__main__":
    print(f"hash {name_hash('conv1.weight'):#018x}")
    first = weight("conv1.weight", (64, 3, 7, 7)).flatten()[:4]
    for i, (z, n, value) in enumerate(
        zip(element_bits("conv1.weight", 4), nearly_normal("conv1.weight", 4), first)
    ):
        digits = value.item().hex().replace("0000000p", "p")
        print(f"element {i}: z {int(z):#018x}  n {n:6d}  value {value:19.16f} ({digits})")
    field = map_input("x0", (2, 3, 40, 50))
    for value in (field[0, 0, 0, 0], field[1, 2, 39, 49]):
        print(f"map x0 of shape (2, 3, 40, 50): {value:19.16f} ({value.item().hex()})")
