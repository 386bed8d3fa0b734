//! Profiles made from the description of a colour space.

use moxcms::{
    Chromaticity, CicpColorPrimaries, CicpProfile, ColorPrimaries, ColorProfile,
    MatrixCoefficients, ToneReprCurve, TransferCharacteristics, XyY,
};

use super::space::{CodePoints, ColourSpace, GamaChrm};

/// Code point "unspecified".
const UNSPECIFIED: u8 = 2;
/// Primaries of BT.709, which are those of sRGB.
const BT709: u8 = 1;
/// Curves that are displayed like that of sRGB: BT.709, unspecified, BT.601, xvYCC, BT.1361, sRGB
/// itself, BT.2020. They describe cameras; displays treat them alike.
const SRGB_ALIKE: [u8; 8] = [1, 2, 6, 11, 12, 13, 14, 15];
/// Curves of high dynamic range: PQ and HLG (BT.2100).
const HDR: [u8; 2] = [16, 18];

impl CodePoints {
    /// Returns true if the transfer curve has a high dynamic range.
    pub(crate) fn is_hdr(self) -> bool {
        HDR.contains(&self.transfer)
    }

    /// Returns the profile, or `None` for sRGB itself and for undefined code points.
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
            matrix_coefficients: MatrixCoefficients::Identity,
            full_range: true,
        });
        // A code point without numbers gives a profile without curves.
        profile.red_trc.is_some().then_some(profile)
    }

    /// Returns the matrix from linear light of these primaries to linear sRGB.
    pub(super) fn to_linear_srgb(self) -> [[f32; 3]; 3] {
        let linear = Self {
            transfer: 13,
            ..self
        }
        .profile()
        .unwrap_or_else(ColorProfile::new_srgb);
        let matrix = linear.transform_matrix(&ColorProfile::new_srgb());
        #[expect(clippy::cast_possible_truncation, reason = "of order one")]
        let narrow = |value: f64| value as f32;
        matrix.v.map(|row| row.map(narrow))
    }
}

impl GamaChrm {
    /// Returns the profile, or `None` if the numbers are invalid.
    fn profile(self) -> Option<ColorProfile> {
        let mut profile = ColorProfile::new_srgb();
        profile.cicp = None;
        if let Some([white, red, green, blue]) = self.chromaticities {
            let point = |(x, y): (u32, u32)| {
                #[expect(clippy::cast_precision_loss, reason = "100,000ths")]
                let share = |value: u32| value as f32 / 100_000.0;
                (x <= 100_000 && (1..=100_000).contains(&y)).then(|| Chromaticity {
                    x: share(x),
                    y: share(y),
                })
            };
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
            let curve = ToneReprCurve::Parametric(vec![100_000.0 / gamma.max(1) as f32]);
            profile.red_trc = Some(curve.clone());
            profile.green_trc = Some(curve.clone());
            profile.blue_trc = Some(curve);
        }
        Some(profile)
    }
}

impl ColourSpace<'_> {
    /// Returns the profile to convert from, or `None` if there is nothing to convert.
    pub(super) fn profile(&self) -> Option<ColorProfile> {
        match self {
            Self::Srgb => None,
            Self::Icc(bytes) => ColorProfile::new_from_slice(bytes).ok(),
            Self::CodePoints(points) => points.profile(),
            Self::GamaChrm(gama_chrm) => gama_chrm.profile(),
        }
    }
}
