//! Inverse DCTs that turn a block of coefficients into N × N samples: ITU-T T.81 A.3.3 for N = 8.
//!
//! For N below 8 the transform is the N-point one over the low N × N coefficients, which is a
//! box-free, alias-free reduction of the block. All are the integer algorithms of the Independent
//! JPEG Group, which derive from Loeffler, Ligtenberg and Moschytz, "Practical fast 1-D DCT
//! algorithms with 11 multiplications" (ICASSP 1989): 13 fractional bits in constants, 2 in the
//! samples between the column and the row pass. N = 8, 3 and 1 equal libjpeg-turbo's bit by bit;
//! its reductions to 4 and 2 average neighbouring samples and so need coefficients that are not
//! kept.
//!
//! All arithmetic wraps: coefficients beyond what 8-bit pictures can have give arbitrary samples.

use std::array::from_fn;
use std::num::Wrapping;

/// Coefficients of a block, in the order of [`position`].
pub(super) type Coefficients = [i16; 64];

/// Quantisation steps in the same order as the coefficients.
pub(super) type QuantisationSteps = [i32; 64];

type Fixed = Wrapping<i32>;

const FRACTION: usize = 13;
const PASS_FRACTION: usize = 2;
/// Bits of the factor 1/8, which is applied in the last step.
const NORMALISE: usize = 3;

/// Constants such as `cos(6π/16)·√2`, times 2^13.
const FIX_0_298631336: Fixed = Wrapping(2446);
const FIX_0_390180644: Fixed = Wrapping(3196);
const FIX_0_541196100: Fixed = Wrapping(4433);
const FIX_0_707106781: Fixed = Wrapping(5793);
const FIX_0_765366865: Fixed = Wrapping(6270);
const FIX_0_899976223: Fixed = Wrapping(7373);
const FIX_1_175875602: Fixed = Wrapping(9633);
const FIX_1_224744871: Fixed = Wrapping(10033);
const FIX_1_501321110: Fixed = Wrapping(12299);
const FIX_1_847759065: Fixed = Wrapping(15137);
const FIX_1_961570560: Fixed = Wrapping(16069);
const FIX_2_053119869: Fixed = Wrapping(16819);
const FIX_2_562915447: Fixed = Wrapping(20995);
const FIX_3_072711026: Fixed = Wrapping(25172);

/// Maps a zigzag index to row × 8 + column (T.81 figure A.6).
pub(super) const NATURAL_ORDER: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Returns the zigzag index of the last coefficient that N × N samples need: the one in row and
/// column N − 1.
pub(super) const fn last_kept<const N: usize>() -> usize {
    match N {
        1 => 0,
        2 => 4,
        3 => 12,
        4 => 24,
        _ => 63,
    }
}

/// Returns the position in [`Coefficients`] of a zigzag index. It is the natural order for N = 8,
/// whose transform works on whole rows. Otherwise it is the zigzag order, so that the coefficients
/// that are kept come first.
#[inline(always)]
pub(super) fn position<const N: usize>(zigzag: usize) -> usize {
    if N == 8 {
        usize::from(NATURAL_ORDER[zigzag & 63])
    } else {
        zigzag & 63
    }
}

/// Converts a coefficient to 16 bits. Valid data fits; other data wraps, as in libjpeg.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "wraps on purpose")]
pub(super) fn wrap(value: i32) -> i16 {
    value as i16
}

/// Transforms a block to N rows of N samples, at a distance of `stride`. Rows beyond `output` are
/// dropped.
#[inline(always)]
pub(super) fn transform<const N: usize>(
    coefficients: &Coefficients,
    steps: &QuantisationSteps,
    output: &mut [u8],
    stride: usize,
) {
    let rows = samples::<N>(coefficients, steps);
    for (row, target) in rows.iter().take(N).zip(output.chunks_mut(stride)) {
        if let (Some(target), Some(row)) = (target.get_mut(..N), row.get(..N)) {
            target.copy_from_slice(row);
        }
    }
}

#[inline(always)]
fn samples<const N: usize>(coefficients: &Coefficients, steps: &QuantisationSteps) -> [[u8; 8]; 8] {
    let at = |zigzag: usize| Wrapping(i32::from(coefficients[zigzag]) * steps[zigzag]);
    let mut output = [[0; 8]; 8];
    match N {
        1 => output[0][0] = sample((at(0) + half(NORMALISE)) >> NORMALISE),
        2 => {
            let even = [
                at(0) + half(NORMALISE) + at(2),
                at(0) + half(NORMALISE) - at(2),
            ];
            let odd = [at(1) + at(4), at(1) - at(4)];
            for (row, (even, odd)) in output.iter_mut().zip(even.into_iter().zip(odd)) {
                row[0] = sample((even + odd) >> NORMALISE);
                row[1] = sample((even - odd) >> NORMALISE);
            }
        }
        3 => transform_small(
            [
                [at(0), at(1), at(5)],
                [at(2), at(4), at(7)],
                [at(3), at(8), at(12)],
            ],
            three_points,
            &mut output,
        ),
        4 => transform_small(
            [
                [at(0), at(1), at(5), at(6)],
                [at(2), at(4), at(7), at(13)],
                [at(3), at(8), at(12), at(17)],
                [at(9), at(11), at(18), at(24)],
            ],
            four_points,
            &mut output,
        ),
        _ => transform_full(coefficients, steps, &mut output),
    }
    output
}

/// Applies the column pass and the row pass of a small transform.
#[inline(always)]
fn transform_small<const N: usize>(
    block: [[Fixed; N]; N],
    one_dimension: fn([Fixed; N], Fixed) -> [Fixed; N],
    output: &mut [[u8; 8]; 8],
) {
    let columns: [[Fixed; N]; N] = from_fn(|x| {
        let column = from_fn(|y| block[y][x]);
        one_dimension(column, half(FRACTION - PASS_FRACTION))
            .map(|value| value >> (FRACTION - PASS_FRACTION))
    });
    for (y, target) in output.iter_mut().take(N).enumerate() {
        let row = from_fn(|x| columns[x][y]);
        let shift = FRACTION + PASS_FRACTION + NORMALISE;
        for (target, value) in target.iter_mut().zip(one_dimension(row, half(shift))) {
            *target = sample(value >> shift);
        }
    }
}

/// Transforms three points. The result has [`FRACTION`] more fractional bits than the input, and
/// `rounding` added.
#[inline(always)]
fn three_points([c0, c1, c2]: [Fixed; 3], rounding: Fixed) -> [Fixed; 3] {
    let base = (c0 << FRACTION) + rounding;
    let second = c2 * FIX_0_707106781;
    let first = c1 * FIX_1_224744871;
    [
        base + second + first,
        base - second - second,
        base + second - first,
    ]
}

/// Transforms four points, like [`three_points`].
#[inline(always)]
fn four_points([c0, c1, c2, c3]: [Fixed; 4], rounding: Fixed) -> [Fixed; 4] {
    let even = [
        ((c0 + c2) << FRACTION) + rounding,
        ((c0 - c2) << FRACTION) + rounding,
    ];
    let rotated = (c1 + c3) * FIX_0_541196100;
    let odd = [
        rotated + c1 * FIX_0_765366865,
        rotated - c3 * FIX_1_847759065,
    ];
    [
        even[0] + odd[0],
        even[1] + odd[1],
        even[1] - odd[1],
        even[0] - odd[0],
    ]
}

#[inline(always)]
fn transform_full(
    coefficients: &Coefficients,
    steps: &QuantisationSteps,
    output: &mut [[u8; 8]; 8],
) {
    let mut block: [[Fixed; 8]; 8] =
        from_fn(|y| from_fn(|x| Wrapping(i32::from(coefficients[8 * y + x]) * steps[8 * y + x])));
    transform_columns(&mut block, FRACTION - PASS_FRACTION);
    block = from_fn(|y| from_fn(|x| block[x][y]));
    transform_columns(&mut block, FRACTION + PASS_FRACTION + NORMALISE);
    *output = from_fn(|y| from_fn(|x| sample(block[x][y])));
}

/// Transforms all columns, one per vector lane.
#[inline(always)]
fn transform_columns(block: &mut [[Fixed; 8]; 8], shift: usize) {
    for lane in 0..8 {
        let column = eight_points(from_fn(|y| block[y][lane]), half(shift));
        for (row, value) in block.iter_mut().zip(column) {
            row[lane] = value >> shift;
        }
    }
}

/// Transforms eight points, with the same scaling.
#[inline(always)]
fn eight_points(c: [Fixed; 8], rounding: Fixed) -> [Fixed; 8] {
    let rotated = (c[2] + c[6]) * FIX_0_541196100;
    let inner = rotated - c[6] * FIX_1_847759065;
    let outer = rotated + c[2] * FIX_0_765366865;
    let sum = ((c[0] + c[4]) << FRACTION) + rounding;
    let difference = ((c[0] - c[4]) << FRACTION) + rounding;
    let even = [
        sum + outer,
        difference + inner,
        difference - inner,
        sum - outer,
    ];

    let z3 = c[7] + c[3];
    let z4 = c[5] + c[1];
    let z5 = (z3 + z4) * FIX_1_175875602;
    let z1 = (c[7] + c[1]) * -FIX_0_899976223;
    let z2 = (c[5] + c[3]) * -FIX_2_562915447;
    let z3 = z5 - z3 * FIX_1_961570560;
    let z4 = z5 - z4 * FIX_0_390180644;
    let odd = [
        c[1] * FIX_1_501321110 + z1 + z4,
        c[3] * FIX_3_072711026 + z2 + z3,
        c[5] * FIX_2_053119869 + z2 + z4,
        c[7] * FIX_0_298631336 + z1 + z3,
    ];
    from_fn(|index| {
        if index < 4 {
            even[index] + odd[index]
        } else {
            even[7 - index] - odd[7 - index]
        }
    })
}

/// Returns the summand that makes a shift right by `shift` round to nearest.
const fn half(shift: usize) -> Fixed {
    Wrapping(1 << (shift - 1))
}

/// Reverses the level shift (A.3.1) and clamps.
#[inline(always)]
fn sample(value: Fixed) -> u8 {
    (value + Wrapping(128)).0.clamp(0, 255) as u8
}
