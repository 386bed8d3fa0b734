#!/usr/bin/env python3
"""Compares the CPU time of this crate, sharp, libvips and Pillow for the pictures of a folder.

    cargo build --release -p veraicon-picture --example measure
    npm install sharp; pip install pillow pyvips[binary]
    python3 benches/compare.py FOLDER [--rounds 5] [--target target/release]

Each tool decodes a picture once and writes upright sRGB WebPs of 512, 256, 128 and 64 pixels at
quality 80. The result is the user and system time of a child process that processes N pictures, minus
that of one that processes 1, divided by N - 1. Rounds of all tools are interleaved. The script prints
the median, or "-" if a tool is not installed or refuses the file.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

SHARP = """
const sharp = require('sharp'); sharp.cache(false); sharp.concurrency(1);
const [file, times] = process.argv.slice(1);
(async () => { for (let i = 0; i < +times; i++) {
  const square = await sharp(file, {limitInputPixels: false}).rotate()
    .resize(512, 512, {fit: 'cover', withoutEnlargement: true}).toColourspace('srgb')
    .raw().toBuffer({resolveWithObject: true});
  const raw = {raw: {width: square.info.width, height: square.info.height, channels: square.info.channels}};
  for (const size of [512, 256, 128, 64])
    await sharp(square.data, raw).resize(size, size).webp({quality: 80}).toBuffer();
} })();
"""

VIPS = """
import sys, pyvips
pyvips.cache_set_max(0)
for _ in range(int(sys.argv[2])):
    square = pyvips.Image.thumbnail(sys.argv[1], 512, height=512, crop='centre', export_profile='srgb', size='down')
    square = square.copy_memory()
    for size in (512, 256, 128, 64):
        square.thumbnail_image(size).webpsave_buffer(Q=80, keep='none')
"""

PILLOW = """
import io, sys
from PIL import Image, ImageCms, ImageOps
for _ in range(int(sys.argv[2])):
    image = Image.open(sys.argv[1])
    if image.format == 'JPEG': image.draft('RGB', (717, 717))
    profile = image.info.get('icc_profile')
    image = ImageOps.exif_transpose(image)
    image = image.convert('RGBA' if image.has_transparency_data else 'RGB')
    square = ImageOps.fit(image, (512, 512), Image.LANCZOS)
    if profile:
        square = ImageCms.profileToProfile(square, io.BytesIO(profile), ImageCms.createProfile('sRGB'), outputMode=square.mode)
    for size in (512, 256, 128, 64):
        square.resize((size, size), Image.LANCZOS).save(io.BytesIO(), 'WEBP', quality=80)
"""


def cpu(command, cwd=None):
    """Returns the CPU seconds of a command, or None if it fails."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=cwd)
    _, status, usage = os.wait4(child.pid, 0)
    return usage.ru_utime + usage.ru_stime if status == 0 else None


def milliseconds(command, times, cwd=None):
    """Returns the CPU milliseconds per picture, without the start of the process."""
    one, many = cpu(command + ["1"], cwd), cpu(command + [str(times)], cwd)
    return None if one is None or many is None else (many - one) / (times - 1) * 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--times", type=int, default=6)
    parser.add_argument("--target", default="target/release")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--node-folder", default=".", help="where sharp is installed")
    arguments = parser.parse_args()
    measure = os.path.abspath(f"{arguments.target}/examples/measure")
    tools = {
        "veraicon": ([measure], None),
        "sharp": (["node", "-e", SHARP], arguments.node_folder),
        "libvips": ([arguments.python, "-c", VIPS], None),
        "Pillow": ([arguments.python, "-c", PILLOW], None),
    }
    print(f"{'picture':24}" + "".join(f"{name:>10}" for name in tools) + f"{'x sharp':>10}")
    for path in sorted(path for path in arguments.folder.iterdir() if path.is_file()):
        figures = {name: [] for name in tools}
        for _ in range(arguments.rounds):
            for name, (command, cwd) in tools.items():
                figure = milliseconds(command + [str(path.resolve())], arguments.times, cwd)
                if figure is not None:
                    figures[name].append(figure)
        median = {name: statistics.median(values) for name, values in figures.items() if values}
        if "veraicon" not in median:
            continue
        row = "".join(f"{median[name]:10.1f}" if name in median else f"{'-':>10}" for name in tools)
        ratio = f"{median['sharp'] / median['veraicon']:10.2f}" if "sharp" in median else f"{'-':>10}"
        print(f"{path.name:24}{row}{ratio}", flush=True)


if __name__ == "__main__":
    main()
