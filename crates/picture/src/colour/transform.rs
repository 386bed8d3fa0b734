//! Cache of colour transforms. Making a transform costs more than applying it, and most pictures
//! contain one of a few profiles.

use std::cell::RefCell;
use std::sync::Arc;

use moxcms::{
    ColorProfile, DataColorSpace, Layout, Transform8BitExecutor, Transform16BitExecutor,
    TransformOptions,
};

use super::channels::{round_to_eight, to_rgb_layout};
use super::space::ColourSpace;
use crate::raster::{Channels, Raster, Samples};

/// Number of transforms that a thread keeps. Those of table profiles take one or two megabytes.
const MAX_CACHED: usize = 8;
/// Maximum size of a profile whose transform is kept. Larger ones are of printing presses, and
/// rare.
const MAX_CACHED_PROFILE_BYTES: usize = 64 << 10;

#[derive(Clone)]
struct Transform {
    /// Whether grey pixels are expanded to three channels first.
    takes_grey: bool,
    executor: Executor,
}

#[derive(Clone)]
enum Executor {
    Eight(Arc<Transform8BitExecutor>),
    Sixteen(Arc<Transform16BitExecutor>),
}

struct Key {
    space: ColourSpace<'static>,
    channels: Channels,
    sixteen: bool,
}

thread_local! {
    /// The cached transforms. The most recently used one is last.
    static TRANSFORMS: RefCell<Vec<(Key, Transform)>> = const { RefCell::new(Vec::new()) };
}

/// Converts a raster to sRGB, as RGB or RGBA. Returns `None` if there is nothing to convert, or the
/// profile is broken or made for other channels.
pub(super) fn apply(raster: &Raster, space: &ColourSpace<'_>) -> Option<Vec<u8>> {
    let sixteen = matches!(raster.samples, Samples::Sixteen(_));
    let transform = cached(space, raster.channels, sixteen)?;
    let channels = if raster.channels.has_alpha() { 4 } else { 3 };
    let length = raster.width as usize * raster.height as usize * channels;
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
        _ => None,
    }
}

fn cached(space: &ColourSpace<'_>, channels: Channels, sixteen: bool) -> Option<Transform> {
    if matches!(space, ColourSpace::Icc(profile) if profile.len() > MAX_CACHED_PROFILE_BYTES) {
        return new_transform(space, channels, sixteen);
    }
    TRANSFORMS.with_borrow_mut(|cache| {
        let found = cache.iter().position(|(key, _)| {
            key.sixteen == sixteen && key.channels == channels && key.space == *space
        });
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
        if cache.len() >= MAX_CACHED {
            cache.remove(0);
        }
        let transform = entry.1.clone();
        cache.push(entry);
        Some(transform)
    })
}

fn new_transform(space: &ColourSpace<'_>, channels: Channels, sixteen: bool) -> Option<Transform> {
    let source = space.profile()?;
    // moxcms has no layout for CMYK. Its layout of four samples has the same memory order.
    let (from, to) = match (source.color_space, channels) {
        (DataColorSpace::Gray, Channels::Grey) => (Layout::Gray, Layout::Rgb),
        (DataColorSpace::Gray, Channels::GreyAlpha) => (Layout::GrayAlpha, Layout::Rgba),
        (DataColorSpace::Rgb, Channels::Grey | Channels::Rgb) => (Layout::Rgb, Layout::Rgb),
        (DataColorSpace::Rgb, Channels::GreyAlpha | Channels::Rgba) => (Layout::Rgba, Layout::Rgba),
        (DataColorSpace::Cmyk, Channels::Cmyk) => (Layout::Rgba, Layout::Rgb),
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
    fn into_owned(self) -> ColourSpace<'static> {
        match self {
            Self::Srgb => ColourSpace::Srgb,
            Self::Icc(profile) => ColourSpace::Icc(profile.into_owned().into()),
            Self::CodePoints(points) => ColourSpace::CodePoints(points),
            Self::GamaChrm(gama_chrm) => ColourSpace::GamaChrm(gama_chrm),
        }
    }
}
