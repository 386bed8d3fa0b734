//! Generated test pictures, and an independent decoder for the outputs.

use std::io::Cursor;

use image::{ExtendedColorType, ImageEncoder};

/// Colours of the four fields: top left, top right, bottom left, bottom right.
pub(crate) const CORNERS: [[u8; 3]; 4] =
    [[220, 40, 40], [40, 180, 60], [50, 60, 210], [230, 220, 90]];

/// A picture of four equal fields in the colours `CORNERS`.
#[derive(Clone)]
pub(crate) struct Pixels {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) rgb: Vec<u8>,
}

impl Pixels {
    pub(crate) fn new(width: u32, height: u32) -> Self {
        let field = |x: u32, y: u32| usize::from(x * 2 >= width) + 2 * usize::from(y * 2 >= height);
        let rgb = (0..height)
            .flat_map(|y| (0..width).flat_map(move |x| CORNERS[field(x, y)]))
            .collect();
        Self { width, height, rgb }
    }

    pub(crate) fn jpeg(&self) -> Vec<u8> {
        self.jpeg_with(|_| {})
    }

    pub(crate) fn jpeg_with(
        &self,
        configure: impl FnOnce(&mut jpeg_encoder::Encoder<&mut Vec<u8>>),
    ) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 95);
        configure(&mut encoder);
        let (width, height) = (
            self.width.try_into().unwrap(),
            self.height.try_into().unwrap(),
        );
        encoder
            .encode(&self.rgb, width, height, jpeg_encoder::ColorType::Rgb)
            .unwrap();
        bytes
    }

    pub(crate) fn png(&self) -> Vec<u8> {
        self.png_with(|_| {})
    }

    pub(crate) fn png_with(&self, configure: impl FnOnce(&mut png::Info<'static>)) -> Vec<u8> {
        let mut info = png::Info::with_size(self.width, self.height);
        info.color_type = png::ColorType::Rgb;
        info.bit_depth = png::BitDepth::Eight;
        configure(&mut info);
        let mut bytes = Vec::new();
        let encoder = png::Encoder::with_info(&mut bytes, info).unwrap();
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&self.rgb).unwrap();
        writer.finish().unwrap();
        bytes
    }

    pub(crate) fn gif(&self, frames: usize) -> Vec<u8> {
        let (width, height) = (
            self.width.try_into().unwrap(),
            self.height.try_into().unwrap(),
        );
        let palette = CORNERS.concat();
        let pixels: Vec<u8> = self
            .rgb
            .as_chunks()
            .0
            .iter()
            .map(|rgb| {
                CORNERS
                    .iter()
                    .position(|corner| corner == rgb)
                    .unwrap()
                    .try_into()
                    .unwrap()
            })
            .collect();
        let mut bytes = Vec::new();
        let mut encoder = gif::Encoder::new(&mut bytes, width, height, &palette).unwrap();
        for _ in 0..frames {
            let frame = gif::Frame {
                width,
                height,
                buffer: pixels.as_slice().into(),
                ..gif::Frame::default()
            };
            encoder.write_frame(&frame).unwrap();
        }
        drop(encoder);
        bytes
    }

    /// Encodes the picture as lossless WebP.
    pub(crate) fn webp(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let encoder = image_webp::WebPEncoder::new(&mut bytes);
        encoder
            .encode(
                &self.rgb,
                self.width,
                self.height,
                image_webp::ColorType::Rgb8,
            )
            .unwrap();
        bytes
    }

    pub(crate) fn webp_with(
        &self,
        configure: impl FnOnce(&mut image_webp::WebPEncoder<&mut Vec<u8>>),
    ) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = image_webp::WebPEncoder::new(&mut bytes);
        configure(&mut encoder);
        encoder
            .encode(
                &self.rgb,
                self.width,
                self.height,
                image_webp::ColorType::Rgb8,
            )
            .unwrap();
        bytes
    }

    pub(crate) fn bmp(&self) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image::codecs::bmp::BmpEncoder::new(&mut bytes)
            .write_image(&self.rgb, self.width, self.height, ExtendedColorType::Rgb8)
            .unwrap();
        bytes.into_inner()
    }

    pub(crate) fn tiff(&self) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image::codecs::tiff::TiffEncoder::new(&mut bytes)
            .write_image(&self.rgb, self.width, self.height, ExtendedColorType::Rgb8)
            .unwrap();
        bytes.into_inner()
    }

    /// Returns the picture in every format, with variants.
    pub(crate) fn all(&self) -> Vec<(&'static str, Vec<u8>)> {
        vec![
            ("JPEG", self.jpeg()),
            (
                "JPEG",
                self.jpeg_with(|encoder| encoder.set_progressive(true)),
            ),
            ("PNG", self.png()),
            ("GIF", self.gif(1)),
            ("GIF", self.gif(3)),
            ("WebP", self.webp()),
            ("BMP", self.bmp()),
            ("TIFF", self.tiff()),
        ]
    }
}

/// An output, decoded by an independent decoder.
pub(crate) struct Output {
    pub(crate) side: u32,
    pub(crate) channels: usize,
    pub(crate) pixels: Vec<u8>,
}

impl Output {
    pub(crate) fn decode(webp: &[u8]) -> Self {
        let mut decoder = image_webp::WebPDecoder::new(Cursor::new(webp)).unwrap();
        let (width, height) = decoder.dimensions();
        assert_eq!(width, height, "outputs are square");
        let mut pixels = vec![0; decoder.output_buffer_size().unwrap()];
        decoder.read_image(&mut pixels).unwrap();
        Self {
            side: width,
            channels: if decoder.has_alpha() { 4 } else { 3 },
            pixels,
        }
    }

    /// Returns the pixel at a position relative to the side (0 to 1).
    pub(crate) fn at(&self, x: f64, y: f64) -> &[u8] {
        let position = |share: f64| (share * f64::from(self.side)) as usize;
        let start = (position(y) * self.side as usize + position(x)) * self.channels;
        &self.pixels[start..start + self.channels]
    }

    /// Returns the colours in the middle of the four fields.
    pub(crate) fn corners(&self) -> [[u8; 3]; 4] {
        [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)]
            .map(|(x, y)| self.at(x, y)[..3].try_into().unwrap())
    }
}

/// Returns true if two colours are equal within the error of lossy compression.
pub(crate) fn close(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| a.abs_diff(b) <= 10)
}

/// Returns an EXIF block with an orientation and the text `secret`.
pub(crate) fn exif(orientation: u8, secret: &str) -> Vec<u8> {
    let mut block = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    block.extend([orientation, 0, 0, 0, 0, 0, 0]);
    block.extend(secret.as_bytes());
    block
}

/// Returns a RIFF chunk.
fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_le_bytes();
    let padding: &[u8] = if content.len() % 2 == 1 { &[0] } else { &[] };
    [kind.as_slice(), &length, content, padding].concat()
}

fn u24_bytes(value: u32) -> [u8; 3] {
    value.to_le_bytes()[..3].try_into().unwrap()
}

/// Returns an animated WebP of 100 × 100 with frames of 40 × 40 at position 20, 20.
pub(crate) fn animated_webp(frames: usize) -> Vec<u8> {
    let still = Pixels::new(40, 40).webp();
    let bitstream = &still[12..];
    let control = [
        u24_bytes(10),
        u24_bytes(10),
        u24_bytes(39),
        u24_bytes(39),
        u24_bytes(100),
    ]
    .concat();
    let frame = chunk(b"ANMF", &[&control, &[0][..], bitstream].concat());
    let extended = [&[0x02, 0, 0, 0][..], &u24_bytes(99), &u24_bytes(99)].concat();
    let body = [
        b"WEBP".to_vec(),
        chunk(b"VP8X", &extended),
        chunk(b"ANIM", &[0; 6]),
        frame.repeat(frames),
    ]
    .concat();
    chunk(b"RIFF", &body)
}

/// Returns a GIF of 100 × 100 with a frame of 40 × 40 at position 20, 20. Colour index 3 is
/// transparent.
pub(crate) fn placed_gif() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, 100, 100, &CORNERS.concat()).unwrap();
    let pixels: Vec<u8> = (0..40_u8)
        .flat_map(|y| (0..40_u8).map(move |x| x / 20 + 2 * (y / 20)))
        .collect();
    let frame = gif::Frame {
        left: 20,
        top: 20,
        width: 40,
        height: 40,
        transparent: Some(3),
        buffer: pixels.into(),
        ..gif::Frame::default()
    };
    encoder.write_frame(&frame).unwrap();
    drop(encoder);
    bytes
}

/// Marks a PNG of one pixel as interlaced. It has a single pass, so its data stays the same.
pub(crate) fn interlaced(mut png: Vec<u8>) -> Vec<u8> {
    // The interlace method is the last field of IHDR, whose CRC covers bytes 12 to 28.
    png[28] = 1;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&png[12..29]);
    png[29..33].copy_from_slice(&crc.finalize().to_be_bytes());
    png
}
