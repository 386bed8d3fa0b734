#!/usr/bin/env python3
"""Prints Pillow's result for each file of a folder as JSON lines, for `tests/corpus.rs`.

    reference.py FOLDER > labels.jsonl

A picture is ok if Pillow decodes it without a warning. Its line has the upright size, and the colours of
the centre square as 8 x 8 RGBA pixels in sRGB. Needs `pillow`, and `pillow-heif` for HEIC.
"""

import base64
import io
import json
import sys
import warnings
from pathlib import Path

from PIL import Image, ImageCms, ImageOps

try:
    import pillow_heif

    pillow_heif.register_heif_opener()
except ImportError:
    pass

SIDE = 8
SRGB = ImageCms.createProfile("sRGB")
Image.MAX_IMAGE_PIXELS = 100_000_000


def to_srgb(image):
    profile = image.info.get("icc_profile")
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return None
    alpha = image.convert("RGBA").getchannel("A") if "A" in image.getbands() or "transparency" in image.info else None
    if image.mode in ("P", "PA", "LA", "1") or alpha:
        image = image.convert("RGB")
    if profile:
        try:
            image = ImageCms.profileToProfile(image, io.BytesIO(profile), SRGB, outputMode="RGB")
        except ImageCms.PyCMSError:
            pass
    image = image.convert("RGB")
    image.putalpha(alpha or 255)
    return image


def read_picture(path):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            image = Image.open(path)
            image.load()
            image = ImageOps.exif_transpose(image)
    except Exception:
        return {"ok": False}
    result = {"ok": True, "w": image.width, "h": image.height}
    square = to_srgb(image)
    if square:
        size = min(square.size)
        left, top = (square.width - size) // 2, (square.height - size) // 2
        square = square.crop((left, top, left + size, top + size))
        square = square.convert("RGBa").resize((SIDE, SIDE), Image.BOX).convert("RGBA")
        result["square"] = base64.b64encode(square.tobytes()).decode()
    return result


def main():
    folder = Path(sys.argv[1])
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            row = {"path": str(path.relative_to(folder)), "pillow": read_picture(path)}
            print(json.dumps(row), flush=True)


main()
