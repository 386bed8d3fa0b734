//! Animations: the first frame is used, and later frames are checked. Also interlaced pictures.

use crate::pictures::{CORNERS, Output, Pixels, animated_webp, close, interlaced, placed_gif};
use veraicon_picture::{Complexity, Error, Policy, process};

fn shape(bytes: &[u8]) -> Output {
    let pictures = process(bytes, &Policy::default(), None).unwrap();
    Output::decode(&pictures.outputs[0].bytes)
}

#[test]
fn the_first_frame_is_placed_on_its_canvas() {
    for (name, bytes) in [("WebP", animated_webp(3)), ("GIF", placed_gif())] {
        let output = shape(&bytes);
        assert_eq!((output.side, output.channels), (100, 4), "{name}");
        assert_eq!(output.at(0.1, 0.1)[3], 0, "{name}");
        assert_eq!(output.at(0.8, 0.8)[3], 0, "{name}");
        assert!(
            close(&output.at(0.3, 0.3)[..3], &CORNERS[0]),
            "{name}: {:?}",
            output.at(0.3, 0.3)
        );
        assert!(
            close(&output.at(0.5, 0.3)[..3], &CORNERS[1]),
            "{name}: {:?}",
            output.at(0.5, 0.3)
        );
    }
    assert_eq!(
        shape(&placed_gif()).at(0.5, 0.5)[3],
        0,
        "the transparent colour"
    );
}

#[test]
fn a_frame_outside_the_screen_enlarges_it() {
    let mut bytes = placed_gif();
    // Width and height of the logical screen (GIF89a, 18).
    bytes[6..10].copy_from_slice(&[30, 0, 30, 0]);
    assert_eq!(shape(&bytes).side, 60);
}

#[test]
fn interlaced_gif_rows_are_reordered() {
    let pixels = Pixels::new(50, 50);
    let indices: Vec<u8> = (0..50_u8)
        .flat_map(|y| (0..50_u8).map(move |x| x / 25 + 2 * (y / 25)))
        .collect();
    // The order of interlaced rows (GIF89a, appendix E): first row and step of each pass.
    let order = [(0, 8), (4, 8), (2, 4), (1, 2)];
    let rows = order
        .iter()
        .flat_map(|&(start, step)| (start..50).step_by(step));
    let buffer: Vec<u8> = rows
        .flat_map(|y| indices[y * 50..(y + 1) * 50].to_vec())
        .collect();
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, 50, 50, &CORNERS.concat()).unwrap();
    let frame = gif::Frame {
        width: 50,
        height: 50,
        interlaced: true,
        buffer: buffer.into(),
        ..gif::Frame::default()
    };
    encoder.write_frame(&frame).unwrap();
    drop(encoder);
    for (found, expected) in shape(&bytes)
        .corners()
        .iter()
        .zip(shape(&pixels.png()).corners())
    {
        assert!(close(found, &expected));
    }
}

#[test]
fn an_interlaced_png_gives_the_same_picture() {
    // A picture of 1 × 1 has a single pass, so its data is the same with and without interlacing.
    let plain = Pixels::new(1, 1).png();
    let interlaced = interlaced(plain.clone());
    let policy = Policy::default();
    assert_eq!(
        process(&plain, &policy, None).unwrap(),
        process(&interlaced, &policy, None).unwrap()
    );
}

#[test]
fn the_first_frame_of_an_apng_is_used_and_the_others_are_checked() {
    let (first, second) = (Pixels::new(50, 50), vec![9; 50 * 50 * 3]);
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 50, 50);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_animated(3, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&first.rgb).unwrap();
    writer.write_image_data(&second).unwrap();
    writer.write_image_data(&second).unwrap();
    writer.finish().unwrap();
    assert_eq!(shape(&bytes).pixels, shape(&first.png()).pixels);

    let policy = Policy {
        max_frames: 2,
        ..Policy::default()
    };
    let expected = Error::TooComplex {
        what: Complexity::Frames,
        value: 3,
        limit: 2,
    };
    assert_eq!(process(&bytes, &policy, None), Err(expected));

    let at = bytes
        .windows(4)
        .rposition(|window| window == b"fdAT")
        .unwrap();
    // Changes a byte of the frame data, after the chunk type and the sequence number.
    bytes[at + 10] ^= 1;
    assert!(matches!(
        process(&bytes, &Policy::default(), None),
        Err(Error::Damaged { .. })
    ));
}

/// Returns a PNG chunk.
fn png_chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut crc = crc32fast::Hasher::new();
    crc.update(kind);
    crc.update(content);
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    let end = crc.finalize().to_be_bytes();
    [&length, kind.as_slice(), content, &end].concat()
}

/// Returns an APNG of 50 × 50 with a second frame of `width` × `height`. The frame's `data` is
/// split into two chunks.
fn apng_with_second_frame((width, height): (u32, u32), data: &[u8]) -> Vec<u8> {
    let plain = Pixels::new(50, 50).png();
    let control = |sequence: u32, width: u32, height: u32| {
        let numbers = [sequence, width, height, 0, 0]
            .map(u32::to_be_bytes)
            .concat();
        png_chunk(b"fcTL", &[&numbers[..], &[0, 1, 0, 10, 0, 0]].concat())
    };
    let (first, second) = data.split_at(data.len() / 2);
    let piece = |sequence: u32, data: &[u8]| {
        png_chunk(b"fdAT", &[&sequence.to_be_bytes()[..], data].concat())
    };
    // A PNG has a signature of 8 bytes and an IHDR chunk of 25, and ends with IEND (12 bytes).
    let (header_end, end) = (8 + 25, plain.len() - 12);
    [
        &plain[..header_end],
        &png_chunk(b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]),
        &control(0, 50, 50),
        &plain[header_end..end],
        &control(1, width, height),
        &piece(2, first),
        &png_chunk(b"tEXt", b"Comment\0between"),
        &piece(3, second),
        &plain[end..],
    ]
    .concat()
}

#[test]
fn all_frames_of_an_apng_are_decoded_completely() {
    let data = |width: u32, height: u32| {
        let png = Pixels::new(width, height).png();
        let at = png.windows(4).position(|window| window == b"IDAT").unwrap();
        let length = u32::from_be_bytes(png[at - 4..at].try_into().unwrap()) as usize;
        png[at + 4..at + 4 + length].to_vec()
    };
    let policy = Policy::default();
    let complete = apng_with_second_frame((30, 20), &data(30, 20));
    assert_eq!(
        shape(&complete).pixels,
        shape(&Pixels::new(50, 50).png()).pixels
    );

    // All checksums are correct, but pixels are missing.
    let short = data(30, 20);
    let truncated = apng_with_second_frame((30, 20), &short[..short.len() - 12]);
    assert!(process(&truncated, &policy, None).is_err());
    let lower = apng_with_second_frame((30, 21), &data(30, 20));
    assert!(process(&lower, &policy, None).is_err());
    let outside = apng_with_second_frame((51, 20), &data(51, 20));
    assert!(matches!(
        process(&outside, &policy, None),
        Err(Error::Damaged { .. })
    ));

    let limited = |max_work| {
        process(
            &complete,
            &Policy {
                max_work,
                ..Policy::default()
            },
            None,
        )
    };
    assert!(limited(30 * 20).is_ok());
    assert!(matches!(
        limited(30 * 20 - 1),
        Err(Error::TooComplex { .. })
    ));
}

#[test]
fn pixels_of_all_frames_are_limited() {
    let policy = Policy {
        max_work: 100 * 100 + 40 * 40 - 1,
        ..Policy::default()
    };
    for bytes in [animated_webp(8), Pixels::new(100, 100).gif(2)] {
        let result = process(&bytes, &policy, None);
        assert!(
            matches!(
                result,
                Err(Error::TooComplex {
                    what: Complexity::FramePixels,
                    ..
                })
            ),
            "{result:?}"
        );
    }
}

#[test]
fn damage_in_a_later_frame_is_detected() {
    let mut webp = animated_webp(3);
    let last = webp
        .windows(4)
        .rposition(|window| window == b"VP8L")
        .unwrap();
    // The first byte after the chunk header is the VP8L signature 0x2F.
    webp[last + 8] = 0;
    assert!(process(&webp, &Policy::default(), None).is_err());
    for length in 0..animated_webp(3).len() {
        assert!(
            process(&animated_webp(3)[..length], &Policy::default(), None).is_err(),
            "{length}"
        );
    }
}
