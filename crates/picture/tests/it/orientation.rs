//! EXIF orientations: pictures become upright, and crops use upright coordinates.

use crate::pictures::{CORNERS, Output, Pixels, close, exif};
use veraicon_picture::{Crop, Policy, process};

/// Stored corner of each upright corner, by EXIF orientation.
const UPRIGHT: [[usize; 4]; 8] = [
    [0, 1, 2, 3],
    [1, 0, 3, 2],
    [3, 2, 1, 0],
    [2, 3, 0, 1],
    [0, 2, 1, 3],
    [2, 0, 3, 1],
    [3, 1, 2, 0],
    [1, 3, 0, 2],
];

fn with_orientation(orientation: u8) -> Vec<(&'static str, Vec<u8>)> {
    let pixels = Pixels::new(640, 480);
    let block = exif(orientation, "SECRET-GPS");
    let prefixed = [b"Exif\0\0".as_slice(), &block].concat();
    let mut tiff = pixels.tiff();
    set_tiff_orientation(&mut tiff, orientation);
    vec![
        (
            "JPEG",
            pixels.jpeg_with(|encoder| encoder.add_app_segment(1, prefixed.clone()).unwrap()),
        ),
        (
            "PNG",
            pixels.png_with(|info| info.exif_metadata = Some(block.clone().into())),
        ),
        (
            "WebP",
            pixels.webp_with(|encoder| encoder.set_exif_metadata(block.clone())),
        ),
        ("TIFF", tiff),
    ]
}

/// Appends a copy of the directory with an orientation entry, which the TIFF encoder cannot write.
fn set_tiff_orientation(tiff: &mut Vec<u8>, orientation: u8) {
    let directory = u32::from_le_bytes(tiff[4..8].try_into().unwrap()) as usize;
    let entries = u16::from_le_bytes(tiff[directory..directory + 2].try_into().unwrap());
    let end = directory + 2 + 12 * usize::from(entries);
    let mut copy = (entries + 1).to_le_bytes().to_vec();
    let mut table: Vec<[u8; 12]> = tiff[directory + 2..end].as_chunks().0.to_vec();
    table.push([0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0]);
    table.sort_by_key(|entry| u16::from_le_bytes([entry[0], entry[1]]));
    copy.extend(table.concat());
    copy.extend([0; 4]);
    let at = u32::try_from(tiff.len()).unwrap();
    tiff[4..8].copy_from_slice(&at.to_le_bytes());
    tiff.extend(copy);
}

#[test]
fn all_eight_orientations_become_upright() {
    for orientation in 1..=8_u8 {
        let expected = UPRIGHT[usize::from(orientation) - 1].map(|corner| CORNERS[corner]);
        for (name, bytes) in with_orientation(orientation) {
            let pictures = process(&bytes, &Policy::default(), None).unwrap();
            let (width, height) = if orientation < 5 {
                (640, 480)
            } else {
                (480, 640)
            };
            assert_eq!(
                (pictures.source.width, pictures.source.height),
                (width, height),
                "{name}"
            );
            let corners = Output::decode(&pictures.outputs[0].bytes).corners();
            for (found, expected) in corners.iter().zip(&expected) {
                assert!(
                    close(found, expected),
                    "{name}, orientation {orientation}: {found:?}, expected {expected:?}"
                );
            }
            let leaked = pictures.outputs.iter().any(|output| {
                output.bytes.windows(6).any(|window| window == b"SECRET")
                    || output.bytes.windows(4).any(|w| w == b"EXIF")
            });
            assert!(!leaked, "{name} contains metadata");
        }
    }
}

#[test]
fn crops_use_upright_coordinates() {
    for orientation in 5..=8_u8 {
        // The bottom left corner of the 480 × 640 upright picture.
        let crop = Crop {
            x: 0,
            y: 640 - 200,
            size: 200,
        };
        let expected = CORNERS[UPRIGHT[usize::from(orientation) - 1][2]];
        for (name, bytes) in with_orientation(orientation) {
            let pictures = process(&bytes, &Policy::default(), Some(crop)).unwrap();
            let output = Output::decode(&pictures.outputs[0].bytes);
            let found = output.at(0.5, 0.5);
            assert!(
                close(found, &expected),
                "{name}, orientation {orientation}: {found:?}, expected {expected:?}"
            );
        }
    }
}
