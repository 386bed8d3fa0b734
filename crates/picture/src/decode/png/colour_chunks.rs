//! Colour space of a PNG (W3C PNG specification, third edition).
//!
//! Section 4.3 defines the precedence of the chunks: cICP, iCCP, sRGB, then cHRM and gAMA.

use crate::bytes::Bytes;
use crate::colour::{CodePoints, ColourSpace, GamaChrm};
use crate::error::{Complexity, Error};
use crate::policy::Policy;

/// Values of gAMA that mean sRGB, in units of 1/100,000.
///
/// The sRGB chunk recommends 45,455 (section 11.3.2.5), which is 1/2.2. Writers round it
/// differently. If cHRM does not state other primaries, the picture is sRGB.
const SRGB_GAMMA: std::ops::RangeInclusive<u32> = 45_000..=46_000;
/// x and y of white, red, green and blue of sRGB, in units of 1/100,000 (section 11.3.2.5).
const SRGB_CHROMATICITIES: [(u32, u32); 4] = [
    (31_270, 32_900),
    (64_000, 33_000),
    (30_000, 60_000),
    (15_000, 6_000),
];
/// Plausible values of gAMA, in units of 1/100,000: 0.1 to 10. Other values are ignored.
const SANE_GAMMA: std::ops::RangeInclusive<u32> = 10_000..=1_000_000;

/// Data of the colour chunks. If a type occurs more than once, the first chunk counts.
#[derive(Default)]
pub(super) struct ColourChunks<'a> {
    cicp: Option<&'a [u8]>,
    iccp: Option<&'a [u8]>,
    srgb: Option<&'a [u8]>,
    gama: Option<&'a [u8]>,
    chrm: Option<&'a [u8]>,
}

impl<'a> ColourChunks<'a> {
    /// Stores a colour chunk. Returns false if `kind` is not the type of a colour chunk.
    pub(super) fn take(&mut self, kind: [u8; 4], content: &'a [u8]) -> bool {
        let slot = match &kind {
            b"cICP" => &mut self.cicp,
            b"iCCP" => &mut self.iccp,
            b"sRGB" => &mut self.srgb,
            b"gAMA" => &mut self.gama,
            b"cHRM" => &mut self.chrm,
            _ => return false,
        };
        slot.get_or_insert(content);
        true
    }

    /// Returns the colour space. Invalid chunks are ignored. Without a valid chunk it is sRGB.
    ///
    /// # Errors
    /// [`Error::TooComplex`] if the ICC profile has more than `policy.max_profile_bytes` bytes.
    pub(super) fn space(&self, policy: &Policy) -> Result<ColourSpace<'static>, Error> {
        if let Some(points) = self.code_points() {
            return Ok(ColourSpace::CodePoints(points));
        }
        if let Some(profile) = self.profile(policy.max_profile_bytes)? {
            return Ok(ColourSpace::Icc(profile.into()));
        }
        if self.srgb.is_some() {
            return Ok(ColourSpace::Srgb);
        }
        Ok(self
            .gama_chrm()
            .map_or(ColourSpace::Srgb, ColourSpace::GamaChrm))
    }

    /// Parses cICP (section 11.3.2.6): one byte each of primaries, transfer function, matrix,
    /// range.
    fn code_points(&self) -> Option<CodePoints> {
        match self.cicp? {
            // The matrix must be 0 (RGB), because PNG has no other colour model.
            &[primaries, transfer, 0, _] => Some(CodePoints {
                primaries,
                transfer,
            }),
            _ => None,
        }
    }

    /// Decompresses the ICC profile of iCCP (section 11.3.2.3). Returns `None` if there is no
    /// profile or it does not decompress.
    ///
    /// # Errors
    /// [`Error::TooComplex`] if the profile has more than `limit` bytes.
    fn profile(&self, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(packed) = self.iccp.and_then(|chunk| {
            // The chunk has a name, a null byte, the compression method (1 byte), and a zlib
            // stream.
            let name = chunk.iter().position(|&byte| byte == 0)?;
            chunk.get(name + 2..)
        }) else {
            return Ok(None);
        };
        let room = usize::try_from(limit).unwrap_or(usize::MAX);
        match fdeflate::decompress_to_vec_bounded(packed, room) {
            Ok(profile) => Ok(Some(profile)),
            Err(fdeflate::BoundedDecompressionError::OutputTooLarge { .. }) => {
                // The real length is unknown, because decompression stops at the limit.
                Err(Error::TooComplex {
                    what: Complexity::ProfileBytes,
                    value: limit.saturating_add(1),
                    limit,
                })
            }
            Err(_) => Ok(None),
        }
    }

    /// Parses cHRM and gAMA (sections 11.3.2.1 and 11.3.2.2). Returns `None` if they mean sRGB.
    fn gama_chrm(&self) -> Option<GamaChrm> {
        let gamma = self
            .gama
            .and_then(|chunk| chunk.be32(0))
            .filter(|gamma| SANE_GAMMA.contains(gamma));
        let gamma = gamma.filter(|gamma| !SRGB_GAMMA.contains(gamma));
        let chromaticities = self.chrm.and_then(|chunk| {
            // Eight numbers of 4 bytes: x and y of white, red, green and blue.
            let point = |offset| Some((chunk.be32(offset)?, chunk.be32(offset + 4)?));
            Some([point(0)?, point(8)?, point(16)?, point(24)?])
        });
        let chromaticities = chromaticities.filter(|points| *points != SRGB_CHROMATICITIES);
        (gamma.is_some() || chromaticities.is_some()).then_some(GamaChrm {
            gamma,
            chromaticities,
        })
    }
}
