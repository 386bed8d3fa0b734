//! rav1d: the only place that calls it. Its interface is that of dav1d, in C's shape.
//!
//! It is taken from `re_rav1d`, a release that does not abort on frames it fails to start.
#![expect(unsafe_code, reason = "rav1d offers the interface of a C library")]

use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::slice;

use re_rav1d::include::dav1d::data::Dav1dData;
use re_rav1d::include::dav1d::dav1d::{Dav1dContext, Dav1dSettings};
use re_rav1d::include::dav1d::headers::{
    DAV1D_PIXEL_LAYOUT_I400, DAV1D_PIXEL_LAYOUT_I420, DAV1D_PIXEL_LAYOUT_I422,
};
use re_rav1d::include::dav1d::picture::Dav1dPicture;
use re_rav1d::src::lib as dav1d;

use super::frame::{Cicp, Frame, FrameLayout, Row};
use crate::error::Error;

/// A frame, as long as the decoder's memory is lent.
struct Av1FrameRef<'a> {
    picture: &'a Dav1dPicture,
    layout: FrameLayout,
    cicp: Cicp,
}

impl Frame for Av1FrameRef<'_> {
    fn layout(&self) -> FrameLayout {
        self.layout
    }

    fn cicp(&self) -> Cicp {
        self.cicp
    }

    fn row(&self, plane: usize, y: u32) -> Option<Row<'_>> {
        let (width, height) = self.layout.plane(plane);
        let data = self.picture.data.get(plane).copied().flatten()?;
        if y >= height {
            return None;
        }
        let stride = if plane == 0 {
            self.picture.stride[0]
        } else {
            self.picture.stride[1]
        };
        let offset = stride.checked_mul(isize::try_from(y).ok()?)?;
        // SAFETY: `data` points to the first of `height` rows that lie `stride` bytes apart and
        // hold `width` samples, of two bytes and aligned to them where there are more than 8 bits;
        // they live and stay unchanged as long as the picture is not released, which `self`
        // borrows.
        unsafe {
            let start = data.as_ptr().cast::<u8>().offset(offset);
            Some(if self.layout.bits == 8 {
                Row::Eight(slice::from_raw_parts(start, width as usize))
            } else {
                Row::Sixteen(slice::from_raw_parts(start.cast(), width as usize))
            })
        }
    }
}

/// Decodes the picture in `data` (AV1 Bitstream specification, section 5: OBUs), of at most
/// `max_pixels`, and lends it to `take`.
pub(super) fn decode<T>(
    data: &[u8],
    max_pixels: u64,
    take: impl FnOnce(&dyn Frame) -> Result<T, Error>,
) -> Result<T, Error> {
    let decoder = Av1Decoder::new(max_pixels)?;
    let picture = decoder.picture(data)?;
    take(&picture.frame()?)
}

const FAILED: Error = Error::Encoder { what: "rav1d" };
const DAMAGED: Error = Error::damaged("the picture data");

/// Tries that a decoder needs at most: one that outputs, one that drains.
const MAX_TRIES: u32 = 3;

struct Av1Decoder(Option<Dav1dContext>);

impl Av1Decoder {
    fn new(max_pixels: u64) -> Result<Self, Error> {
        let mut settings = MaybeUninit::<Dav1dSettings>::uninit();
        // SAFETY: `dav1d_default_settings` writes all of the settings.
        let mut settings = unsafe {
            dav1d::dav1d_default_settings(NonNull::from(&mut settings).cast());
            settings.assume_init()
        };
        settings.n_threads = 1;
        settings.max_frame_delay = 1;
        settings.all_layers = 0;
        settings.frame_size_limit = u32::try_from(max_pixels).unwrap_or(u32::MAX);
        let mut context = None;
        // SAFETY: both point to initialised values of ours.
        let result = unsafe {
            dav1d::dav1d_open(
                Some(NonNull::from(&mut context)),
                Some(NonNull::from(&mut settings)),
            )
        };
        if result.0 < 0 {
            Err(FAILED)
        } else {
            Ok(Self(context))
        }
    }

    fn picture(&self, bytes: &[u8]) -> Result<Av1Picture, Error> {
        let mut data = Av1Data::new(bytes)?;
        for _ in 0..MAX_TRIES {
            if data.0.sz > 0 {
                // SAFETY: the context is open, and `data` was made by `dav1d_data_create`.
                let sent =
                    unsafe { dav1d::dav1d_send_data(self.0, Some(NonNull::from(&mut data.0))) };
                if sent.0 < 0 {
                    return Err(DAMAGED);
                }
            }
            // One for each try, for one without a picture leaves a list behind too.
            let mut picture = Av1Picture(Dav1dPicture::default());
            // SAFETY: the context is open, and `picture` is empty.
            let got =
                unsafe { dav1d::dav1d_get_picture(self.0, Some(NonNull::from(&mut picture.0))) };
            if got.0 >= 0 {
                return Ok(picture);
            }
        }
        Err(DAMAGED)
    }
}

impl Drop for Av1Decoder {
    fn drop(&mut self) {
        // SAFETY: opened once, closed once.
        unsafe { dav1d::dav1d_close(Some(NonNull::from(&mut self.0))) }
    }
}

struct Av1Data(Dav1dData);

impl Av1Data {
    fn new(bytes: &[u8]) -> Result<Self, Error> {
        let mut data = Self(Dav1dData::default());
        if bytes.is_empty() {
            return Err(Error::TRUNCATED);
        }
        // SAFETY: `data` is ours, and empty.
        let start =
            unsafe { dav1d::dav1d_data_create(Some(NonNull::from(&mut data.0)), bytes.len()) };
        if start.is_null() {
            return Err(FAILED);
        }
        // SAFETY: `start` points to `bytes.len()` bytes that no one else reads or writes yet.
        unsafe { start.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(data)
    }
}

impl Drop for Av1Data {
    fn drop(&mut self) {
        // SAFETY: made by `dav1d_data_create`, or emptied by `dav1d_send_data`, which this allows.
        unsafe { dav1d::dav1d_data_unref(Some(NonNull::from(&mut self.0))) }
    }
}

struct Av1Picture(Dav1dPicture);

impl Av1Picture {
    fn frame(&self) -> Result<Av1FrameRef<'_>, Error> {
        let parameters = &self.0.p;
        let size = |length| u32::try_from(length).map_err(|_| DAMAGED);
        let layout = FrameLayout {
            width: size(parameters.w)?,
            height: size(parameters.h)?,
            bits: u8::try_from(parameters.bpc).map_err(|_| DAMAGED)?,
            has_chroma: parameters.layout != DAV1D_PIXEL_LAYOUT_I400,
            subsampling: match parameters.layout {
                DAV1D_PIXEL_LAYOUT_I420 => (true, true),
                DAV1D_PIXEL_LAYOUT_I422 => (true, false),
                _ => (false, false),
            },
        };
        let header = self.0.seq_hdr.ok_or(DAMAGED)?;
        // SAFETY: a picture keeps its sequence header alive.
        let header = unsafe { header.as_ref() };
        let code = |code: u32| u8::try_from(code).map_err(|_| DAMAGED);
        let cicp = Cicp {
            primaries: code(header.pri)?,
            transfer: code(header.trc)?,
            matrix: code(header.mtrx)?,
            full_range: header.color_range != 0,
        };
        Ok(Av1FrameRef {
            picture: &self.0,
            layout,
            cicp,
        })
    }
}

impl Drop for Av1Picture {
    fn drop(&mut self) {
        // SAFETY: empty, or filled by `dav1d_get_picture`; released once.
        unsafe { dav1d::dav1d_picture_unref(Some(NonNull::from(&mut self.0))) };
        // What is left is an empty picture, and an empty list of metadata that nobody else frees.
        if let Some(list) = self.0.itut_t35_ref.take() {
            // SAFETY: `dav1d_picture_unref` has just made the list, and only this points to it.
            drop(unsafe { list.into_arc() });
        }
    }
}
