//! ICC transforms, kept between pictures: making one costs more than using it, and most pictures
//! carry one of a few profiles.

use std::cell::RefCell;
use std::sync::Arc;

use moxcms::{
    ColorProfile, DataColorSpace, Layout, Transform8BitExecutor, Transform16BitExecutor,
    TransformOptions,
};

use super::round_to_eight;
use crate::raster::{Channels, Raster, Samples};

/// Transforms kept a thread. Those of table profiles take a megabyte or two each.
const KEPT: usize = 8;
/// Profiles above this size are rare, and not worth keeping.
const MAX_KEPT_BYTES: usize = 64 << 10;

#[derive(Clone)]
enum Transform {
    Eight(Arc<Transform8BitExecutor>),
    Sixteen(Arc<Transform16BitExecutor>),
}

#[derive(Clone, PartialEq)]
struct Key {
    profile: Vec<u8>,
    channels: Channels,
    sixteen: bool,
}

thread_local! {
    /// Most recently used last.
    static TRANSFORMS: RefCell<Vec<(Key, Transform)>> = const { RefCell::new(Vec::new()) };
}

/// The raster in sRGB by its profile, as RGB or RGBA; `None` when the profile is broken or made
/// for another kind of picture.
pub(crate) fn icc(raster: &Raster, profile: &[u8]) -> Option<Vec<u8>> {
    let sixteen = matches!(raster.samples, Samples::Sixteen(_));
    let transform = cached(profile, raster.channels, sixteen)?;
    let channels = if raster.channels.has_alpha() { 4 } else { 3 };
    let length = raster.width as usize * raster.height as usize * channels;
    match (&transform, &raster.samples) {
        (Transform::Eight(transform), Samples::Eight(samples)) => {
            let mut pixels = vec![0; length];
            transform.transform(samples, &mut pixels).ok()?;
            Some(pixels)
        }
        (Transform::Sixteen(transform), Samples::Sixteen(samples)) => {
            let mut pixels = vec![0; length];
            transform.transform(samples, &mut pixels).ok()?;
            Some(pixels.into_iter().map(round_to_eight).collect())
        }
        _ => None,
    }
}

fn cached(profile: &[u8], channels: Channels, sixteen: bool) -> Option<Transform> {
    if profile.len() > MAX_KEPT_BYTES {
        return make(profile, channels, sixteen);
    }
    TRANSFORMS.with_borrow_mut(|kept| {
        let key = Key {
            profile: profile.to_vec(),
            channels,
            sixteen,
        };
        let transform = match kept.iter().position(|(known, _)| *known == key) {
            Some(found) => kept.remove(found).1,
            None => make(profile, channels, sixteen)?,
        };
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push((key, transform.clone()));
        Some(transform)
    })
}

fn make(profile: &[u8], channels: Channels, sixteen: bool) -> Option<Transform> {
    let source = ColorProfile::new_from_slice(profile).ok()?;
    let (space, from, to) = match channels {
        Channels::Grey => (DataColorSpace::Gray, Layout::Gray, Layout::Rgb),
        Channels::GreyAlpha => (DataColorSpace::Gray, Layout::GrayAlpha, Layout::Rgba),
        Channels::Rgb => (DataColorSpace::Rgb, Layout::Rgb, Layout::Rgb),
        Channels::Rgba => (DataColorSpace::Rgb, Layout::Rgba, Layout::Rgba),
        // Four inks without alpha travel under the four-sample layout.
        Channels::Cmyk => (DataColorSpace::Cmyk, Layout::Rgba, Layout::Rgb),
    };
    if source.color_space != space {
        return None;
    }
    let srgb = ColorProfile::new_srgb();
    let options = TransformOptions::default();
    Some(if sixteen {
        Transform::Sixteen(
            source
                .create_transform_16bit(from, &srgb, to, options)
                .ok()?,
        )
    } else {
        Transform::Eight(
            source
                .create_transform_8bit(from, &srgb, to, options)
                .ok()?,
        )
    })
}
