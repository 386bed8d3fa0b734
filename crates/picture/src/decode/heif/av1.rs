//! AV1 with rav1d. No other module calls the library.
//!
//! rav1d has the C interface of dav1d. The fork `re_rav1d` is used, because it does not abort the
//! process if it fails to start decoding a frame.
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

/// A decoded frame in the memory of rav1d.
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
        // rav1d has one stride for luma and one for both chroma planes, in bytes.
        let stride = if plane == 0 {
            self.picture.stride[0]
        } else {
            self.picture.stride[1]
        };
        let offset = stride.checked_mul(isize::try_from(y).ok()?)?;
        // SAFETY: `data` points to the first of `height` rows that are `stride` bytes apart. Each
        // has `width` samples of 1 byte, or aligned samples of 2 bytes if the bit depth is above 8.
        // The rows are valid and unchanged until the picture is released, and `self` borrows the
        // picture.
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

/// Decodes the first picture in `data` and passes a borrow of it to `take`.
///
/// `data` is a sequence of OBUs (AV1 Bitstream specification, section 5). `max_pixels` limits the
/// size of a frame.
///
/// # Errors
/// [`Error::Truncated`] if `data` is empty. [`Error::Damaged`] if it is invalid or has no picture.
/// [`Error::Encoder`] if rav1d cannot start or allocate memory. Errors of `take` are passed on.
pub(super) fn decode<T>(
    data: &[u8],
    max_pixels: u64,
    take: impl FnOnce(&dyn Frame) -> Result<T, Error>,
) -> Result<T, Error> {
    let decoder = Av1Decoder::new(max_pixels)?;
    let picture = decoder.picture(data)?;
    take(&picture.frame()?)
}

const FAILED: Error = Error::Encoder {
    what: "rav1d cannot start or allocate memory",
};
const DAMAGED: Error = Error::damaged("the AV1 data is invalid");

/// Largest number of send and get calls for a picture: one that outputs it, and one that drains the
/// decoder. One more is in reserve.
const MAX_TRIES: u32 = 3;

/// An open decoder, closed on drop.
struct Av1Decoder(Option<Dav1dContext>);

impl Av1Decoder {
    /// Opens a decoder for frames of at most `max_pixels` pixels.
    ///
    /// # Errors
    /// [`Error::Encoder`] if rav1d cannot start.
    fn new(max_pixels: u64) -> Result<Self, Error> {
        let mut settings = MaybeUninit::<Dav1dSettings>::uninit();
        // SAFETY: `dav1d_default_settings` writes all of the settings.
        let mut settings = unsafe {
            dav1d::dav1d_default_settings(NonNull::from(&mut settings).cast());
            settings.assume_init()
        };
        // One thread and no delay: the picture is decoded inside the call on this thread. The
        // sandbox of the caller may forbid starting threads.
        settings.n_threads = 1;
        settings.max_frame_delay = 1;
        settings.all_layers = 0;
        // Checked by rav1d before it allocates a frame. The bitstream can state another size than
        // the container.
        settings.frame_size_limit = u32::try_from(max_pixels).unwrap_or(u32::MAX);
        let mut context = None;
        // SAFETY: both pointers are to initialised local variables.
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

    /// Decodes the first picture of `bytes`.
    ///
    /// # Errors
    /// Those of [`Av1Data::new`]. [`Error::Damaged`] if the data is invalid or has no picture.
    fn picture(&self, bytes: &[u8]) -> Result<Av1Picture, Error> {
        let mut data = Av1Data::new(bytes)?;
        for _ in 0..MAX_TRIES {
            // rav1d reduces `sz` by the bytes that it takes, so unread data is sent again.
            if data.0.sz > 0 {
                // SAFETY: the context is open, and `data` was made by `dav1d_data_create`.
                let sent =
                    unsafe { dav1d::dav1d_send_data(self.0, Some(NonNull::from(&mut data.0))) };
                if sent.0 < 0 {
                    return Err(DAMAGED);
                }
            }
            // A new one for each call: a failed call also leaves an allocated list in it, which
            // `Drop` frees.
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
        // SAFETY: the context was opened by `dav1d_open` and is closed only here.
        unsafe { dav1d::dav1d_close(Some(NonNull::from(&mut self.0))) }
    }
}

/// An input buffer of rav1d, freed on drop.
struct Av1Data(Dav1dData);

impl Av1Data {
    /// Copies `bytes` to a buffer of rav1d.
    ///
    /// # Errors
    /// [`Error::Truncated`] if `bytes` is empty. [`Error::Encoder`] if rav1d cannot allocate
    /// memory.
    fn new(bytes: &[u8]) -> Result<Self, Error> {
        let mut data = Self(Dav1dData::default());
        if bytes.is_empty() {
            return Err(Error::TRUNCATED);
        }
        // SAFETY: the pointer is to an initialised, empty local variable.
        let start =
            unsafe { dav1d::dav1d_data_create(Some(NonNull::from(&mut data.0)), bytes.len()) };
        if start.is_null() {
            return Err(FAILED);
        }
        // SAFETY: `start` points to a new buffer of `bytes.len()` bytes that nothing else uses yet.
        unsafe { start.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(data)
    }
}

impl Drop for Av1Data {
    fn drop(&mut self) {
        // SAFETY: the data is from `dav1d_data_create`, or was emptied by `dav1d_send_data`. Both
        // may be released.
        unsafe { dav1d::dav1d_data_unref(Some(NonNull::from(&mut self.0))) }
    }
}

/// A picture of rav1d, empty or decoded, released on drop.
struct Av1Picture(Dav1dPicture);

impl Av1Picture {
    /// Borrows the frame with its layout and colour information.
    ///
    /// # Errors
    /// [`Error::Damaged`] if a parameter is out of range or the sequence header is missing.
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
        // SAFETY: the picture holds a reference to its sequence header, and `self` borrows the
        // picture.
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
        // SAFETY: the picture is empty or from `dav1d_get_picture`, and is released only here.
        unsafe { dav1d::dav1d_picture_unref(Some(NonNull::from(&mut self.0))) };
        // rav1d leaves an empty picture with a new, empty list of metadata that it never frees.
        if let Some(list) = self.0.itut_t35_ref.take() {
            // SAFETY: `dav1d_picture_unref` has just created the list, and this is its only
            // reference.
            drop(unsafe { list.into_arc() });
        }
    }
}
