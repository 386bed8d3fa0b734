//! The colour space of a PNG, from four kinds of chunks (section 4.3 gives their precedence).

use crate::bytes::Bytes;
use crate::colour::{CodePoints, ColourSpace, GamaChrm};
use crate::error::{Complexity, Error};
use crate::policy::Policy;

/// Gamma of sRGB in 100,000ths, and what writers round it to: with it, and no primaries, the
/// writer meant sRGB.
const SRGB_GAMMA: std::ops::RangeInclusive<u32> = 45_000..=46_000;
/// Primaries of sRGB in 100,000ths (section 11.3.2.5): white, red, green, blue.
const SRGB_CHROMATICITIES: [(u32, u32); 4] = [
    (31_270, 32_900),
    (64_000, 33_000),
    (30_000, 60_000),
    (15_000, 6_000),
];
/// Gammas outside are mistakes.
const SANE_GAMMA: std::ops::RangeInclusive<u32> = 10_000..=1_000_000;

/// Contents of the chunks that state colours, the first of each kind.
#[derive(Default)]
pub(super) struct ColourChunks<'a> {
    cicp: Option<&'a [u8]>,
    iccp: Option<&'a [u8]>,
    srgb: Option<&'a [u8]>,
    gama: Option<&'a [u8]>,
    chrm: Option<&'a [u8]>,
}

impl<'a> ColourChunks<'a> {
    /// Keeps a chunk of one of these kinds; false for others.
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

    /// The space; a chunk that makes no sense counts for nothing.
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

    /// cICP (section 11.3.2.6): primaries, transfer, a matrix that must be 0, range.
    fn code_points(&self) -> Option<CodePoints> {
        match self.cicp? {
            &[primaries, transfer, 0, _] => Some(CodePoints {
                primaries,
                transfer,
            }),
            _ => None,
        }
    }

    /// iCCP (section 11.3.2.3): a name, a method, a zlib stream. One that unpacks to too much is
    /// refused.
    fn profile(&self, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(packed) = self.iccp.and_then(|chunk| {
            let name = chunk.iter().position(|&byte| byte == 0)?;
            chunk.get(name + 2..)
        }) else {
            return Ok(None);
        };
        let room = usize::try_from(limit).unwrap_or(usize::MAX);
        match fdeflate::decompress_to_vec_bounded(packed, room) {
            Ok(profile) => Ok(Some(profile)),
            Err(fdeflate::BoundedDecompressionError::OutputTooLarge { .. }) => {
                Err(Error::TooComplex {
                    what: Complexity::ProfileBytes,
                    value: limit.saturating_add(1),
                    limit,
                })
            }
            Err(_) => Ok(None),
        }
    }

    /// gAMA and cHRM (sections 11.3.2.1 and 11.3.2.2); `None` when they amount to sRGB.
    fn gama_chrm(&self) -> Option<GamaChrm> {
        let gamma = self
            .gama
            .and_then(|chunk| chunk.be32(0))
            .filter(|gamma| SANE_GAMMA.contains(gamma));
        let gamma = gamma.filter(|gamma| !SRGB_GAMMA.contains(gamma));
        let chromaticities = self.chrm.and_then(|chunk| {
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
