//! Items of a HEIF file (ISO/IEC 14496-12, section 8.11; ISO/IEC 23008-12, section 6).

use super::boxes::{Boxes, NumberReader, full_box};
use super::properties::Properties;
use crate::bytes::Bytes;
use crate::error::{Complexity, Error};

/// Largest number of items, and of entries in each table about items.
///
/// A grid of 100 megapixels in tiles of 256 × 256 pixels, with as many tiles for alpha, has 3,100
/// items. Files of phones have 50 to 200.
const MAX_ITEMS: u64 = 4096;
/// Largest number of properties. Items share most of them.
const MAX_PROPERTIES: u64 = 4096;
/// Largest number of associations of properties, of references, and of extents, in all items
/// together. An item has only a few of each.
const MAX_LINKS: u64 = 16 * MAX_ITEMS;

const DAMAGED: Error = Error::damaged("the meta box is invalid");

/// A coded picture, a derived picture such as a grid, or metadata.
#[derive(Default)]
pub(super) struct Item<'a> {
    pub(super) id: u32,
    /// Item type, such as `av01` or `grid`.
    pub(super) kind: [u8; 4],
    pub(super) properties: Properties<'a>,
    /// Parts of its data, in order.
    extents: Vec<Extent>,
}

/// A contiguous part of the data of an item.
struct Extent {
    /// Whether `offset` is relative to the `idat` box instead of the file.
    in_idat: bool,
    /// Position in bytes.
    offset: u64,
    /// Length in bytes; 0 means up to the end.
    length: u64,
}

/// A typed reference from one item to others (`iref`).
struct Reference {
    /// Reference type, such as `dimg`.
    kind: [u8; 4],
    from: u32,
    to: Vec<u32>,
}

impl Reference {
    /// Whether it makes `item` subordinate to another item: a tile, alpha, a depth map or a
    /// thumbnail.
    fn makes_subordinate(&self, item: u32) -> bool {
        match &self.kind {
            // Auxiliary pictures and thumbnails refer to their main picture. A grid refers to its
            // tiles.
            b"auxl" | b"thmb" => self.from == item,
            b"dimg" => self.to.contains(&item),
            _ => false,
        }
    }
}

/// Parsed content of the `meta` box of a file.
pub(super) struct Meta<'a> {
    file: &'a [u8],
    /// Content of the `idat` box; empty if absent.
    idat: &'a [u8],
    /// ID of the primary item from `pitm`.
    primary: Option<u32>,
    /// Sorted by ID for binary search: a hostile file can name each of many items many times.
    items: Vec<Item<'a>>,
    references: Vec<Reference>,
}

impl<'a> Meta<'a> {
    /// Parses the `meta` box and checks that the file does not end inside a top-level box.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the file ends inside a box. [`Error::UnsupportedFormat`] if it has
    /// no `meta` box, such as a sequence without a still image. [`Error::Damaged`] if the `meta`
    /// box is invalid. [`Error::TooComplex`] if one of its tables is too large.
    pub(super) fn read(file: &'a [u8]) -> Result<Self, Error> {
        let mut meta = None;
        for next in Boxes::new(file) {
            match next {
                Ok(found) if &found.kind == b"meta" && meta.is_none() => meta = Some(found.content),
                Ok(_) => {}
                Err(error) if meta.is_none() => return Err(error),
                // Other data after the last box is ignored. A known box type there means that the
                // file is truncated.
                Err(error) => {
                    if is_known_box_last(file) {
                        return Err(error);
                    }
                }
            }
        }
        let (_, _, content) = meta.and_then(full_box).ok_or(Error::UnsupportedFormat {
            what: "AVIF or HEIC without a still image",
        })?;
        let mut meta = Self {
            file,
            idat: &[],
            primary: None,
            items: Vec::new(),
            references: Vec::new(),
        };
        meta.read_tables(content)?;
        Ok(meta)
    }

    /// Returns the length of the file in bytes.
    pub(super) fn length(&self) -> usize {
        self.file.len()
    }

    /// Returns the item to show.
    ///
    /// It is the item in `pitm`. A sequence may omit `pitm`; then it is the first AV1 item that is
    /// not subordinate to another one.
    ///
    /// # Errors
    /// [`Error::Damaged`] if there is no such item.
    pub(super) fn primary(&self) -> Result<&Item<'a>, Error> {
        let primary = match self.primary {
            Some(id) => self.item(id),
            None if self.is_sequence() => self.items.iter().find(|item| {
                &item.kind == b"av01"
                    && !self
                        .references
                        .iter()
                        .any(|reference| reference.makes_subordinate(item.id))
            }),
            None => None,
        };
        primary.ok_or(Error::damaged("the file has no primary item"))
    }

    /// Whether `ftyp` lists the brand `avis`, an image sequence (AVIF 1.1, section 6.3).
    fn is_sequence(&self) -> bool {
        let first = Boxes::new(self.file).flatten().next();
        first
            .filter(|first| &first.kind == b"ftyp")
            .is_some_and(|brands| brands.content.as_chunks().0.contains(b"avis"))
    }

    /// Returns the item with this ID.
    pub(super) fn item(&self, id: u32) -> Option<&Item<'a>> {
        let index = self.items.binary_search_by_key(&id, |item| item.id).ok()?;
        self.items.get(index)
    }

    fn item_mut(&mut self, id: u32) -> Option<&mut Item<'a>> {
        let index = self.items.binary_search_by_key(&id, |item| item.id).ok()?;
        self.items.get_mut(index)
    }

    /// Returns the IDs that item `from` refers to with references of type `kind`, in order.
    pub(super) fn reference_targets(&self, from: u32, kind: [u8; 4]) -> &[u32] {
        let found = self
            .references
            .iter()
            .find(|reference| reference.from == from && reference.kind == kind);
        found.map_or(&[], |reference| &reference.to)
    }

    /// Returns the alpha item of item `of`, and whether the colours are premultiplied by it.
    ///
    /// The alpha item refers to the picture with `auxl`. A `prem` reference from the picture to its
    /// alpha means premultiplied colours.
    pub(super) fn alpha(&self, of: u32) -> Option<(&Item<'a>, bool)> {
        let refers =
            |reference: &&Reference| &reference.kind == b"auxl" && reference.to.contains(&of);
        let alpha = self
            .references
            .iter()
            .filter(refers)
            .filter_map(|reference| self.item(reference.from))
            .find(|item| item.properties.is_alpha)?;
        Some((
            alpha,
            self.reference_targets(of, *b"prem").contains(&alpha.id),
        ))
    }

    /// Copies the data of an item from its extents.
    ///
    /// # Errors
    /// [`Error::Truncated`] if an extent is not inside the file or the `idat` box.
    /// [`Error::Damaged`] if the item is longer than the file.
    pub(super) fn data(&self, item: &Item<'a>) -> Result<Vec<u8>, Error> {
        let mut data = Vec::new();
        for extent in &item.extents {
            let source = if extent.in_idat { self.idat } else { self.file };
            let rest = usize::try_from(extent.offset)
                .ok()
                .and_then(|offset| source.get(offset..));
            let rest = rest.ok_or(Error::TRUNCATED)?;
            let length = usize::try_from(extent.length).map_err(|_| Error::TRUNCATED)?;
            let part = if length == 0 {
                rest
            } else {
                rest.get(..length).ok_or(Error::TRUNCATED)?
            };
            // Extents may overlap, so a small file could otherwise expand to an item of any length.
            if data.len() + part.len() > self.file.len() {
                return Err(DAMAGED);
            }
            data.extend_from_slice(part);
        }
        Ok(data)
    }

    /// Parses the boxes inside `meta`.
    ///
    /// # Errors
    /// [`Error::Damaged`] if a box is invalid, or `iinf`, `iloc` or `iprp` is missing.
    /// [`Error::TooComplex`] if a table is too large.
    fn read_tables(&mut self, content: &'a [u8]) -> Result<(), Error> {
        // The boxes are not collected in a vector: a box has at least 8 bytes, so a hostile file
        // could have millions of them.
        if Boxes::new(content).any(|found| found.is_err()) {
            return Err(DAMAGED);
        }
        let table = |kind| children(content, kind).next();
        self.idat = table(*b"idat").unwrap_or_default();
        if let Some(primary) = table(*b"pitm") {
            let (version, _, primary) = full_box(primary).ok_or(DAMAGED)?;
            let id = NumberReader(primary).read_u32(if version == 0 { 2 } else { 4 });
            self.primary = Some(id.ok_or(DAMAGED)?);
        }
        // Items first: the other tables refer to them by ID.
        self.read_items(table(*b"iinf").ok_or(DAMAGED)?)?;
        self.read_locations(table(*b"iloc").ok_or(DAMAGED)?)?;
        self.read_properties(table(*b"iprp").ok_or(DAMAGED)?)?;
        if let Some(references) = table(*b"iref") {
            self.read_references(references)?;
        }
        Ok(())
    }

    /// Parses `iinf`, which lists IDs and types of the items (ISO/IEC 14496-12, section 8.11.6).
    ///
    /// # Errors
    /// [`Error::Damaged`] if an entry is invalid. [`Error::TooComplex`] above [`MAX_ITEMS`].
    fn read_items(&mut self, content: &'a [u8]) -> Result<(), Error> {
        let (version, _, entries) = full_box(content).ok_or(DAMAGED)?;
        let start = if version == 0 { 2 } else { 4 };
        let mut count = Counter::new(Complexity::Items, MAX_ITEMS);
        for entry in Boxes::new(entries.get(start..).ok_or(DAMAGED)?) {
            count.add(1)?;
            let entry = entry.map_err(|_| DAMAGED)?;
            if &entry.kind != b"infe" {
                return Err(DAMAGED);
            }
            let (version, _, content) = full_box(entry.content).ok_or(DAMAGED)?;
            // Versions 0 and 1 have no item type. HEIF does not use them for pictures.
            if version >= 2 {
                self.items.push(read_item(version, content).ok_or(DAMAGED)?);
            }
        }
        self.items.sort_by_key(|item| item.id);
        self.items.dedup_by_key(|item| item.id);
        Ok(())
    }

    /// Parses `iloc`, which states the extents of each item (ISO/IEC 14496-12, section 8.11.3).
    ///
    /// # Errors
    /// [`Error::Damaged`] if the table is invalid. [`Error::TooComplex`] above [`MAX_ITEMS`] items
    /// or [`MAX_LINKS`] extents.
    fn read_locations(&mut self, content: &'a [u8]) -> Result<(), Error> {
        let (version, _, content) = full_box(content).ok_or(DAMAGED)?;
        let mut numbers = NumberReader(content);
        // Four lengths of fields in bytes, 4 bits each. Version 0 has no index.
        let sizes = numbers.read_u32(2).ok_or(DAMAGED)?;
        let [offset_size, length_size, base_size, index_size] =
            [12, 8, 4, 0].map(|shift| (sizes >> shift & 15) as usize);
        let index_size = if version == 0 { 0 } else { index_size };
        let sizes = [offset_size, length_size, base_size, index_size];
        if sizes.iter().any(|size| *size > 8) {
            return Err(DAMAGED);
        }
        let id_size = if version < 2 { 2 } else { 4 };
        let locations = numbers.read_u32(id_size).ok_or(DAMAGED)?;
        Counter::new(Complexity::ItemLocations, MAX_ITEMS).add(locations.into())?;
        let mut total = Counter::new(Complexity::ItemExtents, MAX_LINKS);
        for _ in 0..locations {
            let id = numbers.read_u32(id_size).ok_or(DAMAGED)?;
            // Construction method: offsets are relative to the file (0), to `idat` (1), or to the
            // data of another item (2).
            let method = match version {
                0 => 0,
                _ => numbers.read_u32(2).ok_or(DAMAGED)? & 15,
            };
            let _reference = numbers.read(2).ok_or(DAMAGED)?;
            let base = numbers.read(base_size).ok_or(DAMAGED)?;
            let count = numbers.read(2).ok_or(DAMAGED)?;
            total.add(count)?;
            let mut extent = || {
                let _index = numbers.read(index_size)?;
                Some(Extent {
                    in_idat: method == 1,
                    offset: base.checked_add(numbers.read(offset_size)?)?,
                    length: numbers.read(length_size)?,
                })
            };
            let extents = (0..count).map(|_| extent()).collect::<Option<Vec<_>>>();
            let extents = extents.ok_or(DAMAGED)?;
            // Method 2 is not supported by browsers either. Such an item keeps no extents.
            if let Some(item) = self.item_mut(id).filter(|_| method < 2) {
                item.extents = extents;
            }
        }
        Ok(())
    }

    /// Parses `iprp`: the properties in `ipco`, and their associations with items in `ipma`
    /// (ISO/IEC 23008-12, section 9.3).
    ///
    /// # Errors
    /// [`Error::Damaged`] if a box is invalid. [`Error::TooComplex`] above [`MAX_PROPERTIES`]
    /// properties, [`MAX_ITEMS`] items or [`MAX_LINKS`] associations.
    fn read_properties(&mut self, content: &'a [u8]) -> Result<(), Error> {
        if Boxes::new(content).any(|found| found.is_err()) {
            return Err(DAMAGED);
        }
        let mut properties = Vec::new();
        let mut count = Counter::new(Complexity::Properties, MAX_PROPERTIES);
        for property in children(content, *b"ipco").flat_map(Boxes::new) {
            count.add(1)?;
            properties.push(property.map_err(|_| DAMAGED)?);
        }
        let mut entries = Counter::new(Complexity::ItemsWithProperties, MAX_ITEMS);
        let mut total = Counter::new(Complexity::ItemProperties, MAX_LINKS);
        for content in children(content, *b"ipma") {
            let (version, flags, content) = full_box(content).ok_or(DAMAGED)?;
            let mut numbers = NumberReader(content);
            for _ in 0..numbers.read_u32(4).ok_or(DAMAGED)? {
                entries.add(1)?;
                let id_size = if version < 1 { 2 } else { 4 };
                let id = numbers.read_u32(id_size).ok_or(DAMAGED)?;
                let count = numbers.read_u32(1).ok_or(DAMAGED)?;
                total.add(count.into())?;
                let mut item = self.item_mut(id);
                for _ in 0..count {
                    // The highest bit marks an essential property. Unknown essential properties are
                    // ignored like all unknown ones.
                    let (size, mask) = if flags & 1 == 1 {
                        (2, 0x7FFF)
                    } else {
                        (1, 0x7F)
                    };
                    let index = numbers.read_u32(size).ok_or(DAMAGED)? & mask;
                    // Indices start at 1. 0 means no property.
                    let property = (index as usize)
                        .checked_sub(1)
                        .and_then(|index| properties.get(index));
                    if let (Some(item), Some(property)) = (&mut item, property) {
                        item.properties.add(*property).ok_or(DAMAGED)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Parses `iref`, the references between items (ISO/IEC 14496-12, section 8.11.12).
    ///
    /// # Errors
    /// [`Error::Damaged`] if an entry is invalid. [`Error::TooComplex`] above [`MAX_LINKS`].
    fn read_references(&mut self, content: &'a [u8]) -> Result<(), Error> {
        let (version, _, content) = full_box(content).ok_or(DAMAGED)?;
        let id_size = if version == 0 { 2 } else { 4 };
        let mut total = Counter::new(Complexity::ItemReferences, MAX_LINKS);
        for found in Boxes::new(content) {
            let found = found.map_err(|_| DAMAGED)?;
            let mut numbers = NumberReader(found.content);
            let from = numbers.read_u32(id_size).ok_or(DAMAGED)?;
            let count = numbers.read(2).ok_or(DAMAGED)?;
            // Plus 1, so that references without targets count too.
            total.add(1 + count)?;
            let to = (0..count)
                .map(|_| numbers.read_u32(id_size))
                .collect::<Option<Vec<_>>>();
            self.references.push(Reference {
                kind: found.kind,
                from,
                to: to.ok_or(DAMAGED)?,
            });
        }
        Ok(())
    }
}

/// Counts the entries of a table, so that a table above its limit is rejected early.
struct Counter {
    what: Complexity,
    value: u64,
    limit: u64,
}

impl Counter {
    fn new(what: Complexity, limit: u64) -> Self {
        Self {
            what,
            value: 0,
            limit,
        }
    }

    /// Adds `more` entries.
    ///
    /// # Errors
    /// [`Error::TooComplex`] above the limit.
    fn add(&mut self, more: u64) -> Result<(), Error> {
        self.value = self.value.saturating_add(more);
        Error::check_limit(self.what, self.value, self.limit)
    }
}

/// Returns the contents of all boxes of type `kind`. Stops at the first invalid box.
fn children(content: &[u8], kind: [u8; 4]) -> impl Iterator<Item = &[u8]> {
    Boxes::new(content)
        .flatten()
        .filter(move |found| found.kind == kind)
        .map(|found| found.content)
}

/// Parses an `infe` box of version 2 or 3. Returns `None` if it is too short.
fn read_item<'a>(version: u8, content: &[u8]) -> Option<Item<'a>> {
    let mut numbers = NumberReader(content);
    let id = numbers.read_u32(if version == 2 { 2 } else { 4 })?;
    let _protection = numbers.read(2)?;
    Some(Item {
        id,
        kind: numbers.0.array(0)?,
        ..Item::default()
    })
}

/// Whether the last top-level box, which extends beyond the end of the file, has a known type.
fn is_known_box_last(file: &[u8]) -> bool {
    let mut offset = 0_usize;
    loop {
        let (Some(length), Some(kind)) = (file.be32(offset), file.array::<4>(offset + 4)) else {
            return false;
        };
        let known = [
            b"mdat", b"meta", b"moov", b"free", b"skip", b"uuid", b"moof",
        ]
        .contains(&&kind);
        let length = match length {
            1 => file
                .array(offset + 8)
                .map(u64::from_be_bytes)
                .and_then(|length| usize::try_from(length).ok()),
            length => usize::try_from(length).ok(),
        };
        match length.and_then(|length| offset.checked_add(length)) {
            Some(end) if end > offset && end <= file.len() => offset = end,
            _ => return known,
        }
    }
}
