//! Cache of colour transforms.
//!
//! The creation of a transform costs more than the conversion of a small square. Most pictures
//! contain one of a few common profiles.

use std::cell::RefCell;
use std::sync::Arc;

use moxcms::{
    ColorProfile, DataColorSpace, Layout, Transform8BitExecutor, Transform16BitExecutor,
    TransformOptions,
};

use super::channels::{round_to_eight, to_rgb_layout};
use super::space::ColourSpace;
use crate::raster::{Channels, Raster, Samples};

/// Maximum number of transforms in the cache of a thread. A transform for a profile with lookup
/// tables takes 1 or 2 MB.
const MAX_CACHED: usize = 8;
/// Maximum length of a profile whose transform is cached, in bytes. Longer profiles belong to
/// printing presses, and are rare.
const MAX_CACHED_PROFILE_BYTES: usize = 64 << 10;

/// A transform to sRGB.
#[derive(Clone)]
struct Transform {
    /// Whether the source profile is a grey profile. For other profiles, grey pixels are expanded
    /// to RGB before the transform.
    takes_grey: bool,
    executor: Executor,
}

/// A transform of moxcms for one sample depth.
#[derive(Clone)]
enum Executor {
    Eight(Arc<Transform8BitExecutor>),
    Sixteen(Arc<Transform16BitExecutor>),
}

/// The properties of pixels that a transform depends on.
struct Key {
    space: ColourSpace<'static>,
    channels: Channels,
    sixteen: bool,
}

thread_local! {
    /// Cached transforms, sorted by their last use. The most recently used one is last.
    static TRANSFORMS: RefCell<Vec<(Key, Transform)>> = const { RefCell::new(Vec::new()) };
}

/// Converts a raster to RGB or RGBA of 8 bits in sRGB.
///
/// Returns `None` if the colour space is sRGB, or its profile is invalid or made for other
/// channels.
pub(super) fn apply(raster: &Raster, space: &ColourSpace<'_>) -> Option<Vec<u8>> {
    let sixteen = matches!(raster.samples, Samples::Sixteen(_));
    let transform = cached(space, raster.channels, sixteen)?;
    let channels = if raster.channels.has_alpha() { 4 } else { 3 };
    let length = raster.width as usize * raster.height as usize * channels;
    // A picture with grey pixels may have an RGB profile. Its transform needs three channels.
    let expanded;
    let is_grey = matches!(raster.channels, Channels::Grey | Channels::GreyAlpha);
    let samples = if is_grey && !transform.takes_grey {
        expanded = to_rgb_layout(raster.clone());
        &expanded.samples
    } else {
        &raster.samples
    };
    match (&transform.executor, samples) {
        (Executor::Eight(executor), Samples::Eight(samples)) => {
            let mut pixels = vec![0; length];
            executor.transform(samples, &mut pixels).ok()?;
            Some(pixels)
        }
        (Executor::Sixteen(executor), Samples::Sixteen(samples)) => {
            let mut pixels = vec![0; length];
            executor.transform(samples, &mut pixels).ok()?;
            Some(pixels.into_iter().map(round_to_eight).collect())
        }
        // Impossible: the executor was created for the sample depth of this raster.
        _ => None,
    }
}

/// Returns the transform from the cache, or creates it. Returns `None` if
/// [`new_transform`] does.
fn cached(space: &ColourSpace<'_>, channels: Channels, sixteen: bool) -> Option<Transform> {
    if matches!(space, ColourSpace::Icc(profile) if profile.len() > MAX_CACHED_PROFILE_BYTES) {
        return new_transform(space, channels, sixteen);
    }
    TRANSFORMS.with_borrow_mut(|cache| {
        let found = cache.iter().position(|(key, _)| {
            key.sixteen == sixteen && key.channels == channels && key.space == *space
        });
        // A linear search is fast enough for 8 entries.
        let entry = match found {
            Some(found) => cache.remove(found),
            None => {
                let key = Key {
                    space: space.clone().into_owned(),
                    channels,
                    sixteen,
                };
                (key, new_transform(space, channels, sixteen)?)
            }
        };
        // A found entry was removed from the cache, so this is true only for a new one. The first
        // entry is the least recently used.
        if cache.len() >= MAX_CACHED {
            cache.remove(0);
        }
        let transform = entry.1.clone();
        cache.push(entry);
        Some(transform)
    })
}

/// Creates a transform to sRGB. Returns `None` if there is no valid profile, or it does not match
/// the channels.
fn new_transform(space: &ColourSpace<'_>, channels: Channels, sixteen: bool) -> Option<Transform> {
    let source = space.profile()?;
    // moxcms has no layout for CMYK. Its layout of four samples has the same memory order.
    let (from, to) = match (source.color_space, channels) {
        (DataColorSpace::Gray, Channels::Grey) => (Layout::Gray, Layout::Rgb),
        (DataColorSpace::Gray, Channels::GreyAlpha) => (Layout::GrayAlpha, Layout::Rgba),
        (DataColorSpace::Rgb, Channels::Grey | Channels::Rgb) => (Layout::Rgb, Layout::Rgb),
        (DataColorSpace::Rgb, Channels::GreyAlpha | Channels::Rgba) => (Layout::Rgba, Layout::Rgba),
        (DataColorSpace::Cmyk, Channels::Cmyk) => (Layout::Rgba, Layout::Rgb),
        // For example a CMYK profile in a picture of RGB.
        _ => return None,
    };
    let srgb = ColorProfile::new_srgb();
    let options = TransformOptions::default();
    let executor = if sixteen {
        Executor::Sixteen(
            source
                .create_transform_16bit(from, &srgb, to, options)
                .ok()?,
        )
    } else {
        Executor::Eight(
            source
                .create_transform_8bit(from, &srgb, to, options)
                .ok()?,
        )
    };
    Some(Transform {
        takes_grey: source.color_space == DataColorSpace::Gray,
        executor,
    })
}

impl ColourSpace<'_> {
    /// Copies a borrowed profile, so that the value can be a key of the cache.
    fn into_owned(self) -> ColourSpace<'static> {
        match self {
            Self::Srgb => ColourSpace::Srgb,
            Self::Icc(profile) => ColourSpace::Icc(profile.into_owned().into()),
            Self::CodePoints(points) => ColourSpace::CodePoints(points),
            Self::GamaChrm(gama_chrm) => ColourSpace::GamaChrm(gama_chrm),
        }
    }
}
