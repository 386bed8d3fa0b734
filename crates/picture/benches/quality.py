#!/usr/bin/env python3
"""Compares the quality of this crate's squares with sharp's, for the opaque pictures of a folder.

    cargo build --release -p veraicon-picture --example shape --example score
    npm install sharp; pip install pillow
    python3 benches/quality.py FOLDER [--node-folder .] [--keep FOLDER]

The script crops each picture to its centre square and encodes the square again, as JPEG at quality 95
or as PNG. Tools round the position of a crop differently, and an offset of half a pixel would dominate
the scores. The reference is a full decode of this square by Pillow, resized with its Lanczos filter, in
sRGB. Both tools decode the square once with default settings and write 512, 256, 128 and 64 pixels at
quality 80. For each size the script prints the SSIMULACRA2 score and the bytes of both tools, and this
crate's score at the bytes of sharp, interpolated between qualities. --keep keeps the references as PNG,
for `examples/effort.rs`.
"""

import argparse
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageCms, ImageOps

SIZES = (512, 256, 128, 64)
QUALITIES = (70, 75, 80, 85, 90)

SHARP = """
const sharp = require('sharp');
const [file, folder] = process.argv.slice(1);
(async () => {
  const square = await sharp(file, {limitInputPixels: false}).rotate()
    .resize(512, 512, {fit: 'cover', withoutEnlargement: true}).toColourspace('srgb')
    .removeAlpha().raw().toBuffer({resolveWithObject: true});
  const raw = {raw: {width: square.info.width, height: square.info.height, channels: square.info.channels}};
  for (const size of [512, 256, 128, 64])
    await sharp(square.data, raw).resize(size, size).webp({quality: 80}).toFile(`${folder}/sharp.${size}.webp`);
})();
"""


def square(path, folder):
    """Writes the centre square of a picture, in whole MCUs, as the upload. Returns None if the picture is unsuitable."""
    image = Image.open(path)
    if min(image.size) < SIZES[0] or image.mode != "RGB":
        return None
    profile = image.info.get("icc_profile")
    suffix = ".jpg" if image.format in ("JPEG", "MPO") else ".png"
    image = ImageOps.exif_transpose(image)
    side = min(image.size) // 16 * 16
    left, top = (image.width - side) // 2, (image.height - side) // 2
    upload = folder / f"upload{suffix}"
    image.crop((left, top, left + side, top + side)).save(upload, quality=95, icc_profile=profile)
    return upload


def references(upload, folder):
    """Writes the reference picture of each size."""
    image = Image.open(upload)
    profile = image.info.get("icc_profile")
    for size in SIZES:
        reference = image.resize((size, size), Image.LANCZOS)
        if profile:
            source = io.BytesIO(profile)
            target = ImageCms.createProfile("sRGB")
            reference = ImageCms.profileToProfile(reference, source, target, outputMode="RGB")
        reference.save(folder / f"reference.{size}.png")


def run(command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def score_at(points, size):
    """Interpolates the score at a number of bytes linearly between the two nearest points."""
    points = sorted(points)
    pairs = list(zip(points, points[1:]))
    (b0, s0), (b1, s1) = next((pair for pair in pairs if size <= pair[1][0]), pairs[-1])
    return s0 + (s1 - s0) * (size - b0) / max(b1 - b0, 1)


def compare(name, upload, folder, tools, node_folder):
    run(["node", "-e", SHARP, str(upload), str(folder)], cwd=node_folder)
    curves = {size: [] for size in SIZES}
    for quality in QUALITIES:
        run([f"{tools}/shape", "--quality", str(quality), str(upload)])
        for size in SIZES:
            output = folder / f"upload.{size}.webp"
            curves[size].append((quality, output.rename(folder / f"ours.{size}.{quality}.webp")))
    for size in SIZES:
        sharp = folder / f"sharp.{size}.webp"
        files = [sharp] + [output for _, output in curves[size]]
        scores = run([f"{tools}/score", str(folder / f"reference.{size}.png"), *map(str, files)])
        theirs, *ours = map(float, scores.split())
        points = [(output.stat().st_size, score) for (_, output), score in zip(curves[size], ours)]
        at_80 = points[QUALITIES.index(80)]
        sharp_bytes = sharp.stat().st_size
        same = score_at(points, sharp_bytes)
        print(f"{name:24}{size:5}{theirs:10.2f}{at_80[1]:10.2f}{sharp_bytes:10}{at_80[0]:10}{same:10.2f}{same - theirs:+10.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--target", default="target/release")
    parser.add_argument("--node-folder", default=".", help="where sharp is installed")
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    tools = os.path.abspath(f"{arguments.target}/examples")
    Image.MAX_IMAGE_PIXELS = None
    columns = ("size", "sharp", "ours", "sharp, B", "ours, B", "at same B", "gain")
    print(f"{'picture':24}{columns[0]:>5}" + "".join(f"{column:>10}" for column in columns[1:]))
    for path in sorted(path for path in arguments.folder.iterdir() if path.is_file()):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            try:
                upload = square(path, folder)
            except OSError:
                continue
            if upload is None:
                continue
            references(upload, folder)
            if arguments.keep:
                arguments.keep.mkdir(exist_ok=True)
                kept = (folder / f"reference.{SIZES[0]}.png").read_bytes()
                (arguments.keep / f"{path.stem}.png").write_bytes(kept)
            try:
                compare(path.name, upload, folder, tools, arguments.node_folder)
            except subprocess.CalledProcessError as error:
                print(f"{path.name:24} {error.stderr.strip().splitlines()[-1:]}", file=sys.stderr)


if __name__ == "__main__":
    main()
