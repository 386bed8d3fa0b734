//! Limits on the tables of a HEIF file. They are read before the picture's size is known, so the
//! number of entries in each table is limited.

use veraicon_picture::{Complexity, Error, probe};

const ID: u8 = 1;

fn boxed(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(8 + content.len()).unwrap();
    [&length.to_be_bytes(), &kind, content].concat()
}

/// Returns a full box with version 0 and no flags.
fn full(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    boxed(kind, &[&[0; 4], content].concat())
}

fn u32_bytes(count: usize) -> [u8; 4] {
    u32::try_from(count).unwrap().to_be_bytes()
}

/// Returns the low 16 bits of a count. The reader counts the entries themselves.
fn u16_bytes(count: usize) -> [u8; 2] {
    let [.., high, low] = u32_bytes(count);
    [high, low]
}

/// Number of entries in each table.
#[derive(Clone, Copy)]
struct Tables {
    items: usize,
    locations: usize,
    extents: usize,
    properties: usize,
    /// Items in the property associations. Only the first one exists.
    owners: usize,
    /// Properties of each of these items.
    owned: u8,
    /// References from one item to another.
    references: usize,
    /// Empty `free` boxes.
    empty: usize,
}

const MINIMAL: Tables = Tables {
    items: 1,
    locations: 1,
    extents: 1,
    properties: 1,
    owners: 1,
    owned: 1,
    references: 0,
    empty: 0,
};

impl Tables {
    fn file(self) -> Vec<u8> {
        let entry = boxed(*b"infe", &[2, 0, 0, 0, 0, ID, 0, 0, b'a', b'v', b'0', b'1']);
        let items = [&u16_bytes(self.items)[..], &entry.repeat(self.items)].concat();

        let extents = [&u16_bytes(self.extents)[..], &[0; 8].repeat(self.extents)].concat();
        let location = [&[0, ID, 0, 0], &extents[..]].concat();
        let locations = [
            &[0x44, 0][..],
            &u16_bytes(self.locations),
            &location.repeat(self.locations),
        ];

        let size = full(*b"ispe", &[u32_bytes(96), u32_bytes(64)].concat());
        let properties = boxed(*b"ipco", &size.repeat(self.properties));
        let owned = [&[self.owned][..], &[1].repeat(self.owned.into())].concat();
        let other = [&[0, 99], &owned[..]].concat();
        let owners = [
            &u32_bytes(self.owners)[..],
            &[0, ID],
            &owned,
            &other.repeat(self.owners - 1),
        ];
        let owners = full(*b"ipma", &owners.concat());

        let reference = boxed(*b"cdsc", &[0, ID, 0, 1, 0, ID]);
        let meta = [
            full(*b"pitm", &[0, ID]),
            full(*b"iinf", &items),
            full(*b"iloc", &locations.concat()),
            boxed(*b"iprp", &[properties, owners].concat()),
            full(*b"iref", &reference.repeat(self.references)),
            boxed(*b"free", &[]).repeat(self.empty),
        ];
        [
            boxed(*b"ftyp", b"avif\0\0\0\0avif"),
            full(*b"meta", &meta.concat()),
        ]
        .concat()
    }
}

/// Returns the refused table, its count, and the limit.
fn refusal(tables: Tables) -> Option<(Complexity, u64, u64)> {
    match probe(&tables.file()) {
        Err(Error::TooComplex { what, value, limit }) => Some((what, value, limit)),
        _ => None,
    }
}

#[test]
fn tables_up_to_the_limits_are_read() {
    let tables = Tables {
        items: 4096,
        locations: 4096,
        extents: 16,
        properties: 4096,
        owners: 4096,
        owned: 16,
        references: 32_768,
        empty: 100_000,
    };
    let header = probe(&tables.file()).unwrap();
    assert_eq!((header.width, header.height), (96, 64));
}

#[test]
fn longer_tables_are_refused() {
    let items = Tables {
        items: 900_000,
        ..MINIMAL
    };
    assert_eq!(refusal(items), Some((Complexity::Items, 4097, 4096)));
    let locations = Tables {
        locations: 25_000,
        ..MINIMAL
    };
    assert_eq!(
        refusal(locations),
        Some((Complexity::ItemLocations, 25_000, 4096))
    );
    let extents = Tables {
        extents: 65_535,
        locations: 2,
        ..MINIMAL
    };
    assert_eq!(
        refusal(extents),
        Some((Complexity::ItemExtents, 131_070, 65_536))
    );
    let properties = Tables {
        properties: 25_000,
        ..MINIMAL
    };
    assert_eq!(
        refusal(properties),
        Some((Complexity::Properties, 4097, 4096))
    );
    let owners = Tables {
        owners: 120_000,
        ..MINIMAL
    };
    assert_eq!(
        refusal(owners),
        Some((Complexity::ItemsWithProperties, 4097, 4096))
    );
    let owned = Tables {
        owners: 4096,
        owned: 255,
        ..MINIMAL
    };
    let (what, value, limit) = refusal(owned).unwrap();
    assert_eq!((what, limit), (Complexity::ItemProperties, 65_536));
    assert!((65_537..=65_536 + 255).contains(&value), "{value}");
    let references = Tables {
        references: 100_000,
        ..MINIMAL
    };
    assert_eq!(
        refusal(references),
        Some((Complexity::ItemReferences, 65_538, 65_536))
    );
}
