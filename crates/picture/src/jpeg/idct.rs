//! Inverse DCTs that convert a block of coefficients to N × N samples: ITU-T T.81 A.3.3 for N = 8.
//!
//! For N < 8, the transform is the N-point inverse DCT of the N × N coefficients of lowest
//! frequency. The higher frequencies are dropped, so the reduced block has no aliasing.
//!
//! The algorithms are those of the Independent JPEG Group (`jidctint.c`), with 13 fractional bits
//! in the constants and 2 in the values between the column and the row pass. They are based on
//! Loeffler, Ligtenberg and Moschytz, "Practical fast 1-D DCT algorithms with 11 multiplications"
//! (ICASSP 1989).
//!
//! The results for N = 8, 3 and 1 are equal to those of libjpeg-turbo. Its reductions to 4 and 2
//! (`jidctred.c`) are averages of the 8-point transform, which needs coefficients that are not
//! kept.
//!
//! All arithmetic wraps. Coefficients outside the range of 8-bit pictures give arbitrary samples.

use std::array::from_fn;
use std::num::Wrapping;

/// Coefficients of a block, in the order of [`position`].
pub(super) type Coefficients = [i16; 64];

/// Quantisation steps, in the order of the coefficients.
pub(super) type QuantisationSteps = [i32; 64];

/// Fixed-point number.
type Fixed = Wrapping<i32>;

/// Number of fractional bits of the constants: `CONST_BITS` of libjpeg.
const FRACTION: usize = 13;
/// Number of fractional bits between the two passes: `PASS1_BITS` of libjpeg.
const PASS_FRACTION: usize = 2;
/// Shift that scales by 1/8 after both passes. Each pass leaves out a factor of 1/√8.
const NORMALISE: usize = 3;

// The names are those of libjpeg: FIX_0_541196100 is 0.541196100 · 2^13, rounded. Each value is √2
// times a cosine or a sum of cosines; 0.541196100 is √2 · cos(6π/16).
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

/// Position as row × 8 + column of each zigzag index: T.81 figure A.6.
pub(super) const NATURAL_ORDER: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Returns the zigzag index of the last coefficient that N × N samples need: row and column N − 1.
pub(super) const fn last_kept<const N: usize>() -> usize {
    match N {
        1 => 0,
        2 => 4,
        3 => 12,
        4 => 24,
        _ => 63,
    }
}

/// Returns the index in [`Coefficients`] of the coefficient with a zigzag index.
///
/// For N = 8 the order is row by row, because the transform works on whole rows. For N < 8 it is
/// the zigzag order, so that the kept coefficients come first.
#[inline(always)]
pub(super) fn position<const N: usize>(zigzag: usize) -> usize {
    if N == 8 {
        usize::from(NATURAL_ORDER[zigzag & 63])
    } else {
        zigzag & 63
    }
}

/// Converts a coefficient to 16 bits. Valid values fit; others wrap, as in libjpeg.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "wraps on purpose")]
pub(super) fn wrap(value: i32) -> i16 {
    value as i16
}

/// Transforms a block to N rows of N samples.
///
/// Writes to `output` at its start, with `stride` samples between rows. Drops rows beyond `output`.
#[inline(always)]
pub(super) fn transform<const N: usize>(
    coefficients: &Coefficients,
    steps: &QuantisationSteps,
    output: &mut [u8],
    stride: usize,
) {
    let rows = samples::<N>(coefficients, steps);
    for (row, target) in rows.iter().take(N).zip(output.chunks_mut(stride)) {
        // The last row of a plane may be shorter than `stride`, because `output` starts at a block.
        if let (Some(target), Some(row)) = (target.get_mut(..N), row.get(..N)) {
            target.copy_from_slice(row);
        }
    }
}

/// Dequantises and transforms a block. Only the first N samples of the first N rows are set.
#[inline(always)]
fn samples<const N: usize>(coefficients: &Coefficients, steps: &QuantisationSteps) -> [[u8; 8]; 8] {
    let at = |zigzag: usize| Wrapping(i32::from(coefficients[zigzag]) * steps[zigzag]);
    let mut output = [[0; 8]; 8];
    match N {
        1 => output[0][0] = sample((at(0) + half(NORMALISE)) >> NORMALISE),
        // A 2-point transform has only the factors 1 and -1, so it needs no fractional bits. Zigzag
        // indices 0, 1, 2 and 4 are the coefficients (0, 0), (0, 1), (1, 0) and (1, 1).
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

/// Applies a one-dimensional transform to the columns, then to the rows.
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

/// Three-point inverse DCT.
///
/// The results have [`FRACTION`] more fractional bits than the input. `rounding` is added to them.
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

/// Four-point inverse DCT, with the number format of [`three_points`].
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

/// Dequantises and transforms a block to 8 × 8 samples.
#[inline(always)]
fn transform_full(
    coefficients: &Coefficients,
    steps: &QuantisationSteps,
    output: &mut [[u8; 8]; 8],
) {
    let mut block: [[Fixed; 8]; 8] =
        from_fn(|y| from_fn(|x| Wrapping(i32::from(coefficients[8 * y + x]) * steps[8 * y + x])));
    transform_columns(&mut block, FRACTION - PASS_FRACTION);
    // Both passes work on columns, with a transposition after each. Then the compiler can compute
    // eight columns at once with vector instructions.
    block = from_fn(|y| from_fn(|x| block[x][y]));
    transform_columns(&mut block, FRACTION + PASS_FRACTION + NORMALISE);
    *output = from_fn(|y| from_fn(|x| sample(block[x][y])));
}

/// Transforms all columns. Each column is one lane of a vector.
#[inline(always)]
fn transform_columns(block: &mut [[Fixed; 8]; 8], shift: usize) {
    for lane in 0..8 {
        let column = eight_points(from_fn(|y| block[y][lane]), half(shift));
        for (row, value) in block.iter_mut().zip(column) {
            row[lane] = value >> shift;
        }
    }
}

/// Eight-point inverse DCT, with the number format of [`three_points`]. Figure 1 of Loeffler et al.
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

    // The names are those of `jpeg_idct_islow` in libjpeg.
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

/// Returns the summand that makes a right shift by `shift` round to nearest.
const fn half(shift: usize) -> Fixed {
    Wrapping(1 << (shift - 1))
}

/// Converts a value to a sample: reverts the level shift (A.3.1) and clamps to 8 bits.
#[inline(always)]
fn sample(value: Fixed) -> u8 {
    (value + Wrapping(128)).0.clamp(0, 255) as u8
}
