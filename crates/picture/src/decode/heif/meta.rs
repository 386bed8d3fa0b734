//! The items of a HEIF file (ISO/IEC 14496-12, section 8.11; ISO/IEC 23008-12, section 6).

use super::boxes::{Box, Boxes, Reader, full};
use super::properties::Properties;
use crate::Error;
use crate::bytes::Bytes;

/// Extents of all items together, which a few bytes can claim many of.
const MAX_EXTENTS: usize = 1 << 16;

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

/// The content of the meta box.
pub(super) struct Meta<'a> {
    file: &'a [u8],
    idat: &'a [u8],
    primary: u32,
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
        let (_, _, content) = meta.and_then(full).ok_or(Error::UnsupportedFormat {
            what: "AVIF without a still",
        })?;
        let mut meta = Self {
            file,
            idat: &[],
            primary: 0,
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

    /// The picture to show.
    pub(super) fn primary(&self) -> Result<&Item<'a>, Error> {
        self.item(self.primary)
            .ok_or(Error::damaged("no primary item"))
    }

    pub(super) fn item(&self, id: u32) -> Option<&Item<'a>> {
        let at = self.items.binary_search_by_key(&id, |item| item.id).ok()?;
        self.items.get(at)
    }

    fn item_mut(&mut self, id: u32) -> Option<&mut Item<'a>> {
        let at = self.items.binary_search_by_key(&id, |item| item.id).ok()?;
        self.items.get_mut(at)
    }

    /// The items that `from` refers to in this way.
    pub(super) fn referred(&self, from: u32, kind: [u8; 4]) -> &[u32] {
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
        Some((alpha, self.referred(of, *b"prem").contains(&alpha.id)))
    }

    /// The bytes of an item.
    pub(super) fn data(&self, item: &Item<'a>) -> Result<Vec<u8>, Error> {
        let mut data = Vec::new();
        for extent in &item.extents {
            let source = if extent.in_idat { self.idat } else { self.file };
            let rest = usize::try_from(extent.offset)
                .ok()
                .and_then(|offset| source.get(offset..));
            let rest = rest.ok_or(Error::CUT)?;
            let length = usize::try_from(extent.length).map_err(|_| Error::CUT)?;
            let part = if length == 0 {
                rest
            } else {
                rest.get(..length).ok_or(Error::CUT)?
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
        let mut tables = Vec::new();
        for found in Boxes::new(content) {
            let found = found.map_err(|_| DAMAGED)?;
            if &found.kind == b"idat" {
                self.idat = found.content;
            }
            tables.push(found);
        }
        let table = |kind: &[u8; 4]| {
            tables
                .iter()
                .find(|table| table.kind == *kind)
                .map(|table| table.content)
        };
        let (version, _, primary) = table(b"pitm").and_then(full).ok_or(DAMAGED)?;
        self.primary = Reader(primary)
            .short(if version == 0 { 2 } else { 4 })
            .ok_or(DAMAGED)?;
        self.read_items(table(b"iinf").ok_or(DAMAGED)?)
            .ok_or(DAMAGED)?;
        self.read_locations(table(b"iloc").ok_or(DAMAGED)?)
            .ok_or(DAMAGED)?;
        self.read_properties(table(b"iprp").ok_or(DAMAGED)?)
            .ok_or(DAMAGED)?;
        if let Some(references) = table(b"iref") {
            self.read_references(references).ok_or(DAMAGED)?;
        }
        Ok(())
    }

    /// Item information: what each item is (8.11.6).
    fn read_items(&mut self, content: &'a [u8]) -> Option<()> {
        let (version, _, entries) = full(content)?;
        let entries = entries.get(if version == 0 { 2 } else { 4 }..)?;
        for entry in Boxes::new(entries) {
            let entry = entry.ok().filter(|entry| &entry.kind == b"infe")?;
            let (version, _, content) = full(entry.content)?;
            if version < 2 {
                continue;
            }
            let mut numbers = Reader(content);
            let id = numbers.short(if version == 2 { 2 } else { 4 })?;
            let _protection = numbers.number(2)?;
            let kind = numbers.0.array(0)?;
            self.items.push(Item {
                id,
                kind,
                ..Item::default()
            });
        }
        self.items.sort_by_key(|item| item.id);
        self.items.dedup_by_key(|item| item.id);
        Some(())
    }

    /// Item locations: where the bytes of each item are (8.11.3).
    fn read_locations(&mut self, content: &'a [u8]) -> Option<()> {
        let (version, _, content) = full(content)?;
        let mut numbers = Reader(content);
        let sizes = numbers.short(2)?;
        let [offset_size, length_size, base_size, index_size] =
            [12, 8, 4, 0].map(|shift| (sizes >> shift & 15) as usize);
        let index_size = if version == 0 { 0 } else { index_size };
        if [offset_size, length_size, base_size, index_size]
            .iter()
            .any(|size| *size > 8)
        {
            return None;
        }
        let id_size = if version < 2 { 2 } else { 4 };
        let count = numbers.short(id_size)?;
        let mut extents_in_all = 0;
        for _ in 0..count {
            let id = numbers.short(id_size)?;
            let method = if version == 0 {
                0
            } else {
                numbers.short(2)? & 15
            };
            let _reference = numbers.number(2)?;
            let base = numbers.number(base_size)?;
            let count = usize::try_from(numbers.number(2)?).ok()?;
            extents_in_all += count;
            if extents_in_all > MAX_EXTENTS {
                return None;
            }
            let mut extents = Vec::new();
            for _ in 0..count {
                let _index = numbers.number(index_size)?;
                let offset = base.checked_add(numbers.number(offset_size)?)?;
                let length = numbers.number(length_size)?;
                extents.push(Extent {
                    in_idat: method == 1,
                    offset,
                    length,
                });
            }
            // Those built of other items are none that browsers show.
            if let Some(item) = self.item_mut(id).filter(|_| method < 2) {
                item.extents = extents;
            }
        }
        Some(())
    }

    /// Item properties, and which item has which (23008-12, section 9.3).
    fn read_properties(&mut self, content: &'a [u8]) -> Option<()> {
        let mut properties = Vec::new();
        let mut associations = Vec::new();
        for found in Boxes::new(content) {
            let found = found.ok()?;
            match &found.kind {
                b"ipco" => {
                    for property in Boxes::new(found.content) {
                        properties.push(property.ok()?);
                    }
                }
                b"ipma" => associations.push(found.content),
                _ => {}
            }
        }
        for content in associations {
            let (version, flags, content) = full(content)?;
            let mut numbers = Reader(content);
            for _ in 0..numbers.short(4)? {
                let id = numbers.short(if version < 1 { 2 } else { 4 })?;
                let count = numbers.short(1)?;
                let mut of_item: Vec<Box<'a>> = Vec::new();
                for _ in 0..count {
                    let index = if flags & 1 == 1 {
                        numbers.short(2)? & 0x7FFF
                    } else {
                        numbers.short(1)? & 0x7F
                    };
                    // 0 stands for none.
                    of_item.extend(
                        (index as usize)
                            .checked_sub(1)
                            .and_then(|index| properties.get(index).copied()),
                    );
                }
                if let Some(item) = self.item_mut(id) {
                    for property in of_item {
                        item.properties.add(property)?;
                    }
                }
            }
        }
        Some(())
    }

    /// Item references (8.11.12).
    fn read_references(&mut self, content: &'a [u8]) -> Option<()> {
        let (version, _, content) = full(content)?;
        let id_size = if version == 0 { 2 } else { 4 };
        for found in Boxes::new(content) {
            let found = found.ok()?;
            let mut numbers = Reader(found.content);
            let from = numbers.short(id_size)?;
            let count = numbers.number(2)?;
            let to = (0..count)
                .map(|_| numbers.short(id_size))
                .collect::<Option<Vec<_>>>()?;
            self.references.push(Reference {
                kind: found.kind,
                from,
                to,
            });
        }
        Some(())
    }
}

/// Whether the last box of a file, which is longer than what remains, is one that such files have.
fn is_known_box_last(file: &[u8]) -> bool {
    let mut at = 0_usize;
    loop {
        let (Some(length), Some(kind)) = (file.be32(at), file.array::<4>(at + 4)) else {
            return false;
        };
        let known = [
            b"mdat", b"meta", b"moov", b"free", b"skip", b"uuid", b"moof",
        ]
        .contains(&&kind);
        let length = match length {
            1 => file
                .array(at + 8)
                .map(u64::from_be_bytes)
                .and_then(|length| usize::try_from(length).ok()),
            length => usize::try_from(length).ok(),
        };
        match length.and_then(|length| at.checked_add(length)) {
            Some(end) if end > at && end <= file.len() => at = end,
            _ => return known,
        }
    }
}
