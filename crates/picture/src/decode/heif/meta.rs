//! The items of a HEIF file (ISO/IEC 14496-12, section 8.11; ISO/IEC 23008-12, section 6).

use super::boxes::{Boxes, NumberReader, full_box};
use super::properties::Properties;
use crate::bytes::Bytes;
use crate::error::{Complexity, Error};

/// Most items, and most entries of each table that lists them: a grid of 100 megapixels in tiles of
/// 256 × 256 pixels and as many tiles of its alpha are 3,100. Phones write 50 to 200.
const MAX_ITEMS: u64 = 4096;
/// Most properties. Items share theirs, but for the sizes and configurations of a few.
const MAX_PROPERTIES: u64 = 4096;
/// Most properties of items, references and extents, over all items: of each a few an item.
const MAX_LINKS: u64 = 16 * MAX_ITEMS;

const DAMAGED: Error = Error::damaged("the table of items");

/// A coded or derived picture, or what belongs to one.
#[derive(Default)]
pub(super) struct Item<'a> {
    pub(super) id: u32,
    pub(super) kind: [u8; 4],
    pub(super) properties: Properties<'a>,
    extents: Vec<Extent>,
}

struct Extent {
    /// In the item data box instead of the file.
    in_idat: bool,
    offset: u64,
    /// 0 for all that follows.
    length: u64,
}

struct Reference {
    kind: [u8; 4],
    from: u32,
    to: Vec<u32>,
}

impl Reference {
    /// Whether it makes this item a part of another one, or something beside it: alpha, a depth map, a thumbnail.
    fn makes_subordinate(&self, item: u32) -> bool {
        match &self.kind {
            b"auxl" | b"thmb" => self.from == item,
            b"dimg" => self.to.contains(&item),
            _ => false,
        }
    }
}

/// The content of the meta box.
pub(super) struct Meta<'a> {
    file: &'a [u8],
    idat: &'a [u8],
    /// The item that the file says to show.
    primary: Option<u32>,
    /// By their identifiers, for hostile tables name each of many items often.
    items: Vec<Item<'a>>,
    references: Vec<Reference>,
}

impl<'a> Meta<'a> {
    /// Walks a file; one that ends inside a box is cut.
    pub(super) fn read(file: &'a [u8]) -> Result<Self, Error> {
        let mut meta = None;
        for next in Boxes::new(file) {
            match next {
                Ok(found) if &found.kind == b"meta" && meta.is_none() => meta = Some(found.content),
                Ok(_) => {}
                Err(error) if meta.is_none() => return Err(error),
                // Cut, unless what follows is junk that no box begins.
                Err(error) => {
                    if is_known_box_last(file) {
                        return Err(error);
                    }
                }
            }
        }
        let (_, _, content) = meta.and_then(full_box).ok_or(Error::UnsupportedFormat {
            what: "AVIF without a still",
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

    /// Of the file, in bytes.
    pub(super) fn length(&self) -> usize {
        self.file.len()
    }

    /// The picture to show. A sequence may leave open which of its stills that is; then it is the first that stands
    /// for itself.
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
        primary.ok_or(Error::damaged("no primary item"))
    }

    /// Whether the file says that it is a sequence (AV1 Image File Format, section 6.3).
    fn is_sequence(&self) -> bool {
        let first = Boxes::new(self.file).flatten().next();
        first
            .filter(|first| &first.kind == b"ftyp")
            .is_some_and(|brands| brands.content.as_chunks().0.contains(b"avis"))
    }

    pub(super) fn item(&self, id: u32) -> Option<&Item<'a>> {
        let index = self.items.binary_search_by_key(&id, |item| item.id).ok()?;
        self.items.get(index)
    }

    fn item_mut(&mut self, id: u32) -> Option<&mut Item<'a>> {
        let index = self.items.binary_search_by_key(&id, |item| item.id).ok()?;
        self.items.get_mut(index)
    }

    /// The items that `from` refers to in this way.
    pub(super) fn reference_targets(&self, from: u32, kind: [u8; 4]) -> &[u32] {
        let found = self
            .references
            .iter()
            .find(|reference| reference.from == from && reference.kind == kind);
        found.map_or(&[], |reference| &reference.to)
    }

    /// The alpha of an item, and whether its colours are multiplied by it (section 6.9.2.2).
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

    /// The bytes of an item.
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
            // Extents may overlap; an item longer than its file is a bomb.
            if data.len() + part.len() > self.file.len() {
                return Err(DAMAGED);
            }
            data.extend_from_slice(part);
        }
        Ok(data)
    }

    fn read_tables(&mut self, content: &'a [u8]) -> Result<(), Error> {
        // Not gathered, for boxes may be as many as an eighth of the bytes.
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
        self.read_items(table(*b"iinf").ok_or(DAMAGED)?)?;
        self.read_locations(table(*b"iloc").ok_or(DAMAGED)?)?;
        self.read_properties(table(*b"iprp").ok_or(DAMAGED)?)?;
        if let Some(references) = table(*b"iref") {
            self.read_references(references)?;
        }
        Ok(())
    }

    /// Item information: what each item is (8.11.6).
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
            if version >= 2 {
                self.items.push(read_item(version, content).ok_or(DAMAGED)?);
            }
        }
        self.items.sort_by_key(|item| item.id);
        self.items.dedup_by_key(|item| item.id);
        Ok(())
    }

    /// Item locations: where the bytes of each item are (8.11.3).
    fn read_locations(&mut self, content: &'a [u8]) -> Result<(), Error> {
        let (version, _, content) = full_box(content).ok_or(DAMAGED)?;
        let mut numbers = NumberReader(content);
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
            // Those built of other items are none that browsers show.
            if let Some(item) = self.item_mut(id).filter(|_| method < 2) {
                item.extents = extents;
            }
        }
        Ok(())
    }

    /// Item properties, and which item has which (23008-12, section 9.3).
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
                    let (size, mask) = if flags & 1 == 1 {
                        (2, 0x7FFF)
                    } else {
                        (1, 0x7F)
                    };
                    let index = numbers.read_u32(size).ok_or(DAMAGED)? & mask;
                    // 0 stands for none.
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

    /// Item references (8.11.12).
    fn read_references(&mut self, content: &'a [u8]) -> Result<(), Error> {
        let (version, _, content) = full_box(content).ok_or(DAMAGED)?;
        let id_size = if version == 0 { 2 } else { 4 };
        let mut total = Counter::new(Complexity::ItemReferences, MAX_LINKS);
        for found in Boxes::new(content) {
            let found = found.map_err(|_| DAMAGED)?;
            let mut numbers = NumberReader(found.content);
            let from = numbers.read_u32(id_size).ok_or(DAMAGED)?;
            let count = numbers.read(2).ok_or(DAMAGED)?;
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

/// What a table has of something, so that it is refused before it costs much.
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

    fn add(&mut self, more: u64) -> Result<(), Error> {
        self.value = self.value.saturating_add(more);
        Error::check_limit(self.what, self.value, self.limit)
    }
}

/// The contents of the boxes of one kind.
fn children(content: &[u8], kind: [u8; 4]) -> impl Iterator<Item = &[u8]> {
    Boxes::new(content)
        .flatten()
        .filter(move |found| found.kind == kind)
        .map(|found| found.content)
}

/// An entry of the item information, of version 2 or 3.
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

/// Whether the last box of a file, which is longer than what remains, is one that such files have.
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
