//! Many small structures at scattered addresses, read a page at a time: they were allocated one
//! after the other, and a range for each costs more than the bytes between them.

use rspy_process::{Address, Batch, Memory};

/// As many pages are read together.
const PAGES: usize = 1024;
const PAGE_SHIFT: u32 = 12;

/// Calls `visit` with the `len` bytes at each of these addresses, in the order of addresses; whether
/// all could be read.
pub(super) fn read(
    memory: &impl Memory,
    batch: &mut Batch,
    addresses: &mut [Address],
    len: usize,
    mut visit: impl FnMut(Address, &[u8]),
) -> bool {
    addresses.sort_unstable();
    let mut is_whole = true;
    let mut rest = &*addresses;
    while !rest.is_empty() {
        batch.clear();
        let mut pages = rest.chunk_by(is_same_page).take(PAGES);
        let together: Vec<&[Address]> = pages.by_ref().collect();
        for page in &together {
            if let [first, ..] = page {
                batch.push(*first, offset_in(page, page.len() - 1) + len);
            }
        }
        memory.read_many(batch);
        for (index, page) in together.iter().enumerate() {
            let Ok(bytes) = batch.get(index) else {
                is_whole = false;
                continue;
            };
            for (number, at) in page.iter().enumerate() {
                let offset = offset_in(page, number);
                if let Some(bytes) = bytes.get(offset..offset + len) {
                    visit(*at, bytes);
                }
            }
        }
        rest = &rest[together.iter().map(|page| page.len()).sum()..];
    }
    is_whole
}

fn is_same_page(one: &Address, other: &Address) -> bool {
    one.0 >> PAGE_SHIFT == other.0 >> PAGE_SHIFT
}

/// How far address `number` of a page is from its first one.
fn offset_in(page: &[Address], number: usize) -> usize {
    (page[number].0 - page[0].0) as usize
}
