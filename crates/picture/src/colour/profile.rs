//! ICC profiles for the descriptions of colour spaces in pictures.

use moxcms::{
    Chromaticity, CicpColorPrimaries, CicpProfile, ColorPrimaries, ColorProfile,
    MatrixCoefficients, ToneReprCurve, TransferCharacteristics, XyY,
};

use super::space::{CodePoints, ColourSpace, GamaChrm};

/// Code point "unspecified", for primaries and for the transfer characteristics.
const UNSPECIFIED: u8 = 2;
/// Colour primaries of BT.709 (H.273, table 2). They are equal to those of sRGB.
const BT709: u8 = 1;
/// Transfer characteristics that count as the curve of sRGB (H.273, table 3): BT.709, unspecified,
/// BT.601, xvYCC, BT.1361, sRGB, and BT.2020 with 10 and 12 bits. The curves of video standards
/// describe cameras. Viewers display all of these with the curve of sRGB.
const SRGB_ALIKE: [u8; 8] = [1, 2, 6, 11, 12, 13, 14, 15];
/// Transfer characteristics of high dynamic range: PQ and HLG (BT.2100).
const HDR: [u8; 2] = [16, 18];

impl CodePoints {
    /// Returns true if the transfer characteristics are PQ or HLG.
    pub(crate) fn is_hdr(self) -> bool {
        HDR.contains(&self.transfer)
    }

    /// Returns the profile, or `None` for sRGB and for undefined code points.
    fn profile(self) -> Option<ColorProfile> {
        let like_srgb = SRGB_ALIKE.contains(&self.transfer);
        if like_srgb && matches!(self.primaries, BT709 | UNSPECIFIED) {
            return None;
        }
        let primaries = if self.primaries == UNSPECIFIED {
            BT709
        } else {
            self.primaries
        };
        let color_primaries = CicpColorPrimaries::try_from(primaries).ok()?;
        let transfer_characteristics = if like_srgb {
            TransferCharacteristics::Srgb
        } else {
            TransferCharacteristics::try_from(self.transfer).ok()?
        };
        let profile = ColorProfile::new_from_cicp(CicpProfile {
            color_primaries,
            transfer_characteristics,
            // The samples are RGB in full range: `crate::yuv` has converted those of other models.
            matrix_coefficients: MatrixCoefficients::Identity,
            full_range: true,
        });
        // For a reserved code point, moxcms returns a profile without curves instead of an error.
        profile.red_trc.is_some().then_some(profile)
    }

    /// Returns the matrix from linear light of these primaries to linear sRGB.
    pub(super) fn to_linear_srgb(self) -> [[f32; 3]; 3] {
        // The matrix depends on the primaries only. With the transfer characteristics of sRGB (13),
        // `profile` returns `None` for the primaries of sRGB, and the matrix is the identity.
        let linear = Self {
            transfer: 13,
            ..self
        }
        .profile()
        .unwrap_or_else(ColorProfile::new_srgb);
        let matrix = linear.transform_matrix(&ColorProfile::new_srgb());
        #[expect(clippy::cast_possible_truncation, reason = "factors near 1")]
        let narrow = |value: f64| value as f32;
        matrix.v.map(|row| row.map(narrow))
    }
}

impl GamaChrm {
    /// Returns the profile, or `None` if a chromaticity is outside 0 to 1, or its y is 0.
    fn profile(self) -> Option<ColorProfile> {
        let mut profile = ColorProfile::new_srgb();
        // moxcms would use the transfer characteristics of `cicp` instead of the curves below.
        profile.cicp = None;
        if let Some([white, red, green, blue]) = self.chromaticities {
            let point = |(x, y): (u32, u32)| {
                #[expect(clippy::cast_precision_loss, reason = "100,000ths")]
                let share = |value: u32| value as f32 / 100_000.0;
                // The conversion to XYZ divides by y.
                (x <= 100_000 && (1..=100_000).contains(&y)).then(|| Chromaticity {
                    x: share(x),
                    y: share(y),
                })
            };
            // moxcms also adapts the primaries from this white point to that of ICC profiles, D50.
            let (x, y) = (f64::from(white.0) / 1e5, f64::from(white.1) / 1e5);
            point(white)?;
            let primaries = ColorPrimaries {
                red: point(red)?,
                green: point(green)?,
                blue: point(blue)?,
            };
            profile.update_rgb_colorimetry(XyY { x, y, yb: 1.0 }, primaries);
        }
        if let Some(gamma) = self.gamma {
            #[expect(clippy::cast_precision_loss, reason = "100,000ths")]
            // gAMA is the exponent of encoding. A curve needs that of decoding, its inverse. One
            // parameter means the function Y = X^g (ICC.1, parametricCurveType, function type 0).
            let curve = ToneReprCurve::Parametric(vec![100_000.0 / gamma.max(1) as f32]);
            profile.red_trc = Some(curve.clone());
            profile.green_trc = Some(curve.clone());
            profile.blue_trc = Some(curve);
        }
        Some(profile)
    }
}

impl ColourSpace<'_> {
    /// Returns the source profile of the conversion. Returns `None` for sRGB and for an invalid
    /// description.
    pub(super) fn profile(&self) -> Option<ColorProfile> {
        match self {
            Self::Srgb => None,
            Self::Icc(bytes) => ColorProfile::new_from_slice(bytes).ok(),
            Self::CodePoints(points) => points.profile(),
            Self::GamaChrm(gama_chrm) => gama_chrm.profile(),
        }
    }
}
