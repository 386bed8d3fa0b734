//! Bindings to libjpeg-turbo's code in mozjpeg, to write test files and to compare decoded
//! pictures.

#![expect(unsafe_code, reason = "libjpeg's interface is C")]
#![expect(clippy::cast_possible_truncation, reason = "test pictures are small")]

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;

use mozjpeg_sys::{
    J_COLOR_SPACE, J_DCT_METHOD, J_INT_PARAM, JINT_COMPRESS_PROFILE_VALUE, jpeg_common_struct,
    jpeg_compress_struct, jpeg_decompress_struct, jpeg_error_mgr, jpeg_scan_info,
};

/// Samples of a component in rows, padded to whole blocks.
#[derive(Clone, Debug)]
pub(crate) struct Samples {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) samples: Vec<u8>,
}

/// Dequantised coefficients of a component, in natural order.
pub(crate) struct Blocks {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
    pub(crate) blocks: Vec<[i32; 64]>,
}

/// Parameters of a scan: components, Ss, Se, Ah, Al (ITU-T T.81, B.2.3).
pub(crate) type ScanScript = (&'static [c_int], c_int, c_int, c_int, c_int);

/// Parameters of a test file.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Horizontal and vertical sampling factors of each component.
    pub(crate) sampling: Vec<(c_int, c_int)>,
    pub(crate) colours: J_COLOR_SPACE,
    pub(crate) quality: c_int,
    pub(crate) restart_interval: u32,
    /// Empty for a single interleaved scan.
    pub(crate) scans: Vec<ScanScript>,
    /// Seed of the picture's content.
    pub(crate) seed: u64,
}

/// Encodes a picture of gradients, edges and noise.
pub(crate) fn encode(recipe: &Recipe) -> Vec<u8> {
    // SAFETY: the structures are zeroed, as libjpeg requires, and outlive all calls. Every pointer
    // refers to memory of the size that the call reads.
    unsafe {
        let mut errors = error_manager();
        let mut compress: jpeg_compress_struct = std::mem::zeroed();
        compress.common.err = &raw mut errors;
        mozjpeg_sys::jpeg_create_compress(&mut compress);
        let mut output = ptr::null_mut();
        let mut output_size = 0;
        mozjpeg_sys::jpeg_mem_dest(&mut compress, &mut output, &mut output_size);
        compress.image_width = recipe.width as u32;
        compress.image_height = recipe.height as u32;
        compress.input_components = recipe.sampling.len() as c_int;
        compress.in_color_space = recipe.colours;
        mozjpeg_sys::jpeg_c_set_int_param(
            &mut compress,
            J_INT_PARAM::JINT_COMPRESS_PROFILE,
            JINT_COMPRESS_PROFILE_VALUE::JCP_FASTEST as c_int,
        );
        mozjpeg_sys::jpeg_set_defaults(&mut compress);
        mozjpeg_sys::jpeg_set_colorspace(&mut compress, recipe.colours);
        mozjpeg_sys::jpeg_set_quality(&mut compress, recipe.quality, 1);
        compress.dct_method = J_DCT_METHOD::JDCT_ISLOW;
        compress.restart_interval = recipe.restart_interval;
        compress.raw_data_in = 1;
        let scans: Vec<_> = recipe.scans.iter().map(scan_info).collect();
        if !scans.is_empty() {
            compress.scan_info = scans.as_ptr();
            compress.num_scans = scans.len() as c_int;
        }
        for (index, &(horizontal, vertical)) in recipe.sampling.iter().enumerate() {
            let component = &mut *compress.comp_info.add(index);
            component.h_samp_factor = horizontal;
            component.v_samp_factor = vertical;
        }
        mozjpeg_sys::jpeg_start_compress(&mut compress, 1);
        let (largest_h, largest_v) = largest(&recipe.sampling);
        let unit_rows = recipe.height.div_ceil(8 * largest_v);
        let unit_columns = recipe.width.div_ceil(8 * largest_h);
        for unit_row in 0..unit_rows {
            let mut rows: Vec<Vec<Vec<u8>>> = Vec::new();
            for (index, &(h, v)) in recipe.sampling.iter().enumerate() {
                let width = unit_columns * h as usize * 8;
                let first = unit_row * v as usize * 8;
                let row = |y| {
                    (0..width)
                        .map(|x| texture(recipe.seed, index, x, y))
                        .collect()
                };
                rows.push((first..first + v as usize * 8).map(row).collect());
            }
            let pointers: Vec<Vec<*const u8>> = rows
                .iter()
                .map(|rows| rows.iter().map(|row| row.as_ptr()).collect())
                .collect();
            let planes: Vec<_> = pointers.iter().map(|rows| rows.as_ptr()).collect();
            let lines = (largest_v * 8) as u32;
            mozjpeg_sys::jpeg_write_raw_data(&mut compress, planes.as_ptr(), lines);
        }
        mozjpeg_sys::jpeg_finish_compress(&mut compress);
        let file = std::slice::from_raw_parts(output, output_size as usize).to_vec();
        mozjpeg_sys::jpeg_destroy_compress(&mut compress);
        free(output.cast());
        file
    }
}

/// Decodes every component at full size and its own resolution. Returns `None` if libjpeg reports
/// an error or a warning.
pub(crate) fn decode(file: &[u8]) -> Option<Vec<Samples>> {
    with_decompressor(file, |decompress| {
        // SAFETY: the buffers have rows of whole blocks for every component, as raw output
        // requires.
        unsafe {
            decompress.raw_data_out = 1;
            decompress.dct_method = J_DCT_METHOD::JDCT_ISLOW;
            mozjpeg_sys::jpeg_start_decompress(decompress);
            let unit = decompress.max_v_samp_factor as usize * 8;
            let unit_rows = (decompress.image_height as usize).div_ceil(unit);
            let mut planes = Vec::new();
            let mut heights = Vec::new();
            for index in 0..decompress.num_components as usize {
                let component = &*decompress.comp_info.add(index);
                let unit_height = component.v_samp_factor as usize * 8;
                // libjpeg writes the last MCU of a row completely, up to four blocks beyond the
                // width.
                let width = (component.width_in_blocks as usize + 4) * 8;
                let height = unit_rows * unit_height;
                heights.push(unit_height);
                planes.push(Samples {
                    width,
                    height,
                    samples: vec![0; width * height],
                });
            }
            for unit_row in 0..unit_rows {
                let mut rows: Vec<Vec<*mut u8>> = planes
                    .iter_mut()
                    .zip(&heights)
                    .map(|(plane, &height)| {
                        let width = plane.width;
                        let first = unit_row * height * width;
                        plane.samples[first..first + height * width]
                            .chunks_mut(width)
                            .map(<[u8]>::as_mut_ptr)
                            .collect()
                    })
                    .collect();
                let mut images: Vec<_> = rows.iter_mut().map(|rows| rows.as_mut_ptr()).collect();
                mozjpeg_sys::jpeg_read_raw_data(decompress, images.as_mut_ptr(), unit as u32);
            }
            mozjpeg_sys::jpeg_finish_decompress(decompress);
            planes
        }
    })
}

/// Decodes to pixels at N/8 of the size, in libjpeg's default output: grey, RGB or inverted CMYK.
/// `width` is in samples.
pub(crate) fn decode_pixels(file: &[u8], n: usize) -> Option<Samples> {
    with_decompressor(file, |decompress| {
        // SAFETY: each row is as long as the output's width.
        unsafe {
            decompress.dct_method = J_DCT_METHOD::JDCT_ISLOW;
            decompress.do_fancy_upsampling = 0;
            decompress.scale_num = n as u32;
            decompress.scale_denom = 8;
            mozjpeg_sys::jpeg_start_decompress(decompress);
            let width = decompress.output_width as usize * decompress.output_components as usize;
            let height = decompress.output_height as usize;
            let mut samples = vec![0; width * height];
            for row in samples.chunks_mut(width) {
                let mut line = row.as_mut_ptr();
                mozjpeg_sys::jpeg_read_scanlines(decompress, &mut line, 1);
            }
            mozjpeg_sys::jpeg_finish_decompress(decompress);
            Samples {
                width,
                height,
                samples,
            }
        }
    })
}

/// Reads the coefficients of every component.
pub(crate) fn coefficients(file: &[u8]) -> Option<Vec<Blocks>> {
    with_decompressor(file, |decompress| {
        // SAFETY: libjpeg provides the arrays and their sizes, and reads stay within them.
        unsafe {
            let arrays = mozjpeg_sys::jpeg_read_coefficients(decompress);
            let access = (*decompress.common.mem).access_virt_barray;
            let mut components = Vec::new();
            for index in 0..decompress.num_components as usize {
                let component = &*decompress.comp_info.add(index);
                let (columns, rows) = (
                    component.width_in_blocks as usize,
                    component.height_in_blocks as usize,
                );
                let steps = (*decompress.quant_tbl_ptrs[component.quant_tbl_no as usize]).quantval;
                let mut blocks = Vec::new();
                for row in 0..rows {
                    let array = access.map(|access| {
                        access(&mut decompress.common, *arrays.add(index), row as u32, 1, 0)
                    });
                    let Some(array) = array else { continue };
                    for column in 0..columns {
                        let block = &*(*array).add(column);
                        blocks.push(std::array::from_fn(|at| {
                            i32::from(block[at]) * i32::from(steps[at])
                        }));
                    }
                }
                components.push(Blocks {
                    columns,
                    rows,
                    blocks,
                });
            }
            mozjpeg_sys::jpeg_finish_decompress(decompress);
            components
        }
    })
}

fn with_decompressor<T>(
    file: &[u8],
    read: impl FnOnce(&mut jpeg_decompress_struct) -> T,
) -> Option<T> {
    // SAFETY: as in `encode`. An error unwinds through the C code, which is compiled with unwinding
    // support.
    unsafe {
        let mut errors = error_manager();
        let mut decompress: jpeg_decompress_struct = std::mem::zeroed();
        decompress.common.err = &raw mut errors;
        mozjpeg_sys::jpeg_create_decompress(&mut decompress);
        let result = catch_unwind(AssertUnwindSafe(|| {
            mozjpeg_sys::jpeg_mem_src(&mut decompress, file.as_ptr(), file.len() as _);
            mozjpeg_sys::jpeg_read_header(&mut decompress, 1);
            read(&mut decompress)
        }));
        mozjpeg_sys::jpeg_destroy_decompress(&mut decompress);
        result.ok().filter(|_| errors.num_warnings == 0)
    }
}

fn scan_info(&(components, first, last, high, low): &ScanScript) -> jpeg_scan_info {
    let mut component_index = [0; 4];
    component_index[..components.len()].copy_from_slice(components);
    jpeg_scan_info {
        comps_in_scan: components.len() as c_int,
        component_index,
        Ss: first,
        Se: last,
        Ah: high,
        Al: low,
    }
}

/// Returns the largest horizontal and vertical sampling factor.
pub(crate) fn largest(sampling: &[(c_int, c_int)]) -> (usize, usize) {
    sampling.iter().fold((1, 1), |(h, v), &(x, y)| {
        (h.max(x as usize), v.max(y as usize))
    })
}

/// Returns a sample of the test picture: gradients, some edges, and noise.
fn texture(seed: u64, component: usize, x: usize, y: usize) -> u8 {
    let mix = |value: u64| {
        let mixed = (value ^ seed.rotate_left(17)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed ^ mixed >> 29
    };
    let (x, y, component) = (x as u64, y as u64, component as u64);
    let noise = mix(x | y << 16 | component << 32) % 41;
    let tile = mix((x / 5) | ((y / 7) << 16) | (component << 40) | (1 << 60)) % 128;
    ((x * 2 + y * 3 + component * 50) % 88 + tile + noise).min(255) as u8
}

unsafe extern "C" {
    fn free(pointer: *mut std::ffi::c_void);
}

/// Returns an error manager that unwinds on errors and prints no messages. libjpeg's own handler
/// counts warnings.
unsafe fn error_manager() -> jpeg_error_mgr {
    // SAFETY: all-zero is a valid value, which `jpeg_std_error` then fills.
    let mut manager = unsafe { std::mem::zeroed() };
    // SAFETY: the call fills the given structure.
    unsafe { mozjpeg_sys::jpeg_std_error(&mut manager) };
    manager.error_exit = Some(unwind);
    manager.output_message = Some(ignore_message);
    manager
}

unsafe extern "C-unwind" fn unwind(_: &mut jpeg_common_struct) {
    resume_unwind(Box::new("libjpeg error"));
}

unsafe extern "C-unwind" fn ignore_message(_: &mut jpeg_common_struct) {}
