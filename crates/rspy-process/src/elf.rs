//! Executables and libraries: where their symbols, sections and writable
//! segments lie in the target's memory.
//!
//! Only the parts that are asked for are read: a symbol table is read once for
//! all wanted names, and no file is read as a whole. Files and memory are both
//! hostile: every size is bounded and every sum checked.

mod debugdata;

use std::fs::File;
use std::os::unix::fs::FileExt;

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::dynamic::{DT_STRSZ, DT_STRTAB, DT_SYMTAB};
use goblin::elf::program_header::{PF_W, PT_DYNAMIC, PT_LOAD, PT_NOTE, ProgramHeader};
use goblin::elf::section_header::{SHT_DYNSYM, SHT_NOBITS, SHT_SYMTAB, SectionHeader};
use goblin::elf::{Header, Symtab};

use crate::maps::LoadedFile;
use crate::{Address, Memory};

/// Largest table read at once, in bytes: Chromium's symbol table is 60 MB.
const MAX_TABLE: u64 = 256 << 20;
/// Longest note that is compared, in bytes. A build id takes 36.
const MAX_NOTE: u64 = 64 << 10;
/// Bytes of one symbol (`Elf64_Sym`).
const SYMBOL_SIZE: u64 = 24;

/// Why an ELF file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// It is no ELF file, or damaged.
    #[error("not a usable ELF image: {0}")]
    Malformed(&'static str),
    /// ELF, but not for this machine.
    #[error("a {bits}-bit ELF image for machine {machine}: only 64-bit x86-64 is supported")]
    Foreign {
        /// 32 or 64.
        bits: u8,
        /// `e_machine`.
        machine: u16,
    },
    /// It could not be read.
    #[error("reading the ELF image failed: {0}")]
    Io(#[from] std::io::Error),
    /// It could not be read from memory.
    #[error(transparent)]
    Memory(#[from] crate::ReadError),
}

impl From<goblin::error::Error> for ElfError {
    fn from(_: goblin::error::Error) -> ElfError {
        ElfError::Malformed("a table is damaged")
    }
}

/// A symbol, at its address in the target.
#[derive(Clone, Debug)]
pub struct Symbol {
    /// As in the symbol table.
    pub name: String,
    /// In the target's memory.
    pub address: Address,
    /// In bytes; 0 where the table does not tell.
    pub size: u64,
}

/// A stretch of the target's memory that belongs to an image.
#[derive(Clone, Debug)]
pub struct Region {
    /// First byte.
    pub start: Address,
    /// In bytes.
    pub len: u64,
}

/// What was found in one ELF image. All addresses are the target's.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// Wanted symbols that exist.
    pub symbols: Vec<Symbol>,
    /// The section `.PyRuntime` (CPython 3.10 and later), if there are section headers.
    pub py_runtime: Option<Region>,
    /// Writable segments, `.bss` included.
    pub writable: Vec<Region>,
}

impl Image {
    /// The address of `name`, if it was wanted and exists.
    pub fn symbol(&self, name: &str) -> Option<Address> {
        self.symbols.iter().find(|symbol| symbol.name == name).map(|symbol| symbol.address)
    }
}

/// Whether `file` on disk is still what `loaded` was mapped from: headers and
/// notes, which hold the build id and are never written, are the same. Device
/// and inode numbers would not do: overlay file systems report others.
pub fn is_image_of(file: &File, memory: &impl Memory, loaded: &LoadedFile) -> bool {
    is_same_image(file, memory, loaded).unwrap_or(false)
}

fn is_same_image(file: &File, memory: &impl Memory, loaded: &LoadedFile) -> Result<bool, ElfError> {
    let on_disk = FileLayout { file };
    let in_memory = MemoryLayout { memory, base: loaded.base };
    let bytes = on_disk.bytes(0, 64)?;
    if bytes != in_memory.bytes(0, 64)? {
        return Ok(false);
    }
    let header = header(&bytes)?;
    let programs = program_headers(&on_disk, &header)?;
    if programs != program_headers(&in_memory, &header)? {
        return Ok(false);
    }
    let bias = bias(&programs, loaded)?;
    for note in programs.iter().filter(|program| program.p_type == PT_NOTE) {
        if note.p_filesz > MAX_NOTE {
            return Err(ElfError::Malformed("a note of absurd size"));
        }
        let at = Address(note.p_vaddr.wrapping_add(bias));
        let mapped = memory.bytes(at, bounded(note.p_filesz)?)?;
        if mapped != on_disk.bytes(note.p_offset, note.p_filesz)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads an image from its file.
pub fn from_file(file: &File, loaded: &LoadedFile, wanted: &[&str]) -> Result<Image, ElfError> {
    let layout = FileLayout { file };
    let header = header(&layout.bytes(0, 64)?)?;
    let programs = program_headers(&layout, &header)?;
    let bias = bias(&programs, loaded)?;
    let mut image = Image { writable: writable(&programs, bias), ..Image::default() };

    let sections = section_headers(&layout, &header).unwrap_or_default();
    let names = sections.get(usize::from(header.e_shstrndx)).map(|section| layout.section(section));
    let names = names.and_then(Result::ok).unwrap_or_default();
    let named = |name: &str| sections.iter().find(|section| is_text_at(&names, section.sh_name, name));
    image.py_runtime = named(".PyRuntime")
        .map(|section| Region { start: Address(section.sh_addr.wrapping_add(bias)), len: section.sh_size });
    // .dynsym is the smaller one and has what an interpreter exports.
    for kind in [SHT_DYNSYM, SHT_SYMTAB] {
        if image.symbols.len() < wanted.len() {
            collect_section(&mut image, &layout, &sections, kind, bias, wanted)?;
        }
    }
    if image.symbols.len() < wanted.len()
        && let Some(packed) = named(".gnu_debugdata")
    {
        collect_packed(&mut image, &layout.section(packed)?, bias, wanted)?;
    }
    Ok(image)
}

/// Reads an image from the target's memory: what its dynamic segment tells, that
/// is, exported symbols. For files that cannot be opened any more.
pub fn from_memory(memory: &impl Memory, loaded: &LoadedFile, wanted: &[&str]) -> Result<Image, ElfError> {
    let layout = MemoryLayout { memory, base: loaded.base };
    let header = header(&layout.bytes(0, 64)?)?;
    let programs = program_headers(&layout, &header)?;
    let bias = bias(&programs, loaded)?;
    let mut image = Image { writable: writable(&programs, bias), ..Image::default() };

    let dynamic = programs
        .iter()
        .find(|program| program.p_type == PT_DYNAMIC)
        .ok_or(ElfError::Malformed("no dynamic segment"))?;
    let at = Address(dynamic.p_vaddr.wrapping_add(bias));
    let entries = memory.bytes(at, dynamic.p_memsz.min(1 << 16) as usize)?;
    let value = |tag: u64| {
        let mut entries = entries.chunks_exact(16);
        entries.find_map(|entry| (crate::word(entry, 0, 8)? == tag).then(|| crate::word(entry, 8, 8))?)
    };
    // The loader has turned these into addresses, unless the segment is read-only.
    let absolute = |value: u64| if value < loaded.base.0 { value.wrapping_add(bias) } else { value };
    let (Some(symbols), Some(strings), Some(strings_len)) =
        (value(DT_SYMTAB).map(absolute), value(DT_STRTAB).map(absolute), value(DT_STRSZ))
    else {
        return Err(ElfError::Malformed("no dynamic symbols"));
    };
    // Nothing tells the number of symbols directly; every linker puts the strings behind them.
    let symbols_len = strings.checked_sub(symbols).ok_or(ElfError::Malformed("symbols behind strings"))?;
    let table = memory.bytes(Address(symbols), bounded(symbols_len)?)?;
    let strings = memory.bytes(Address(strings), bounded(strings_len)?)?;
    collect(&mut image, &table, &strings, bias, wanted)?;
    Ok(image)
}

/// Where the bytes of an image come from: offsets of the file.
trait Layout {
    fn bytes(&self, offset: u64, len: u64) -> Result<Vec<u8>, ElfError>;

    fn section(&self, section: &SectionHeader) -> Result<Vec<u8>, ElfError> {
        if section.sh_type == SHT_NOBITS {
            return Ok(Vec::new());
        }
        self.bytes(section.sh_offset, section.sh_size)
    }
}

struct FileLayout<'a> {
    file: &'a File,
}

impl Layout for FileLayout<'_> {
    fn bytes(&self, offset: u64, len: u64) -> Result<Vec<u8>, ElfError> {
        // No more than the file has is allocated, whatever its headers say.
        let size = self.file.metadata()?.len();
        if offset.checked_add(len).is_none_or(|end| end > size) {
            return Err(ElfError::Malformed("a table lies outside the file"));
        }
        let mut bytes = vec![0; bounded(len)?];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

struct UnpackedLayout {
    file: Vec<u8>,
}

impl Layout for UnpackedLayout {
    fn bytes(&self, offset: u64, len: u64) -> Result<Vec<u8>, ElfError> {
        let range = usize::try_from(offset).ok().and_then(|start| {
            let end = start.checked_add(usize::try_from(len).ok()?)?;
            self.file.get(start..end)
        });
        range.map(<[u8]>::to_vec).ok_or(ElfError::Malformed("a table lies outside the file"))
    }
}

struct MemoryLayout<'a, M> {
    memory: &'a M,
    base: Address,
}

impl<M: Memory> Layout for MemoryLayout<'_, M> {
    fn bytes(&self, offset: u64, len: u64) -> Result<Vec<u8>, ElfError> {
        Ok(self.memory.bytes(self.base.offset(offset), bounded(len)?)?)
    }
}

fn bounded(len: u64) -> Result<usize, ElfError> {
    if len > MAX_TABLE {
        return Err(ElfError::Malformed("a table of absurd size"));
    }
    Ok(len as usize)
}

fn context() -> Ctx {
    Ctx::new(Container::Big, Endian::Little)
}

fn header(bytes: &[u8]) -> Result<Header, ElfError> {
    let header = goblin::elf::Elf::parse_header(bytes)
        .map_err(|_| ElfError::Malformed("it does not begin with an ELF header"))?;
    let bits = if header.e_ident[goblin::elf::header::EI_CLASS] == goblin::elf::header::ELFCLASS64 {
        64
    } else {
        32
    };
    if bits != 64 || header.e_machine != goblin::elf::header::EM_X86_64 {
        return Err(ElfError::Foreign { bits, machine: header.e_machine });
    }
    Ok(header)
}

fn program_headers(layout: &impl Layout, header: &Header) -> Result<Vec<ProgramHeader>, ElfError> {
    let count = usize::from(header.e_phnum);
    let bytes = layout.bytes(header.e_phoff, count as u64 * 56)?;
    let headers = goblin::elf64::program_header::ProgramHeader::from_bytes(&bytes, count);
    Ok(headers.into_iter().map(ProgramHeader::from).collect())
}

fn section_headers(layout: &impl Layout, header: &Header) -> Result<Vec<SectionHeader>, ElfError> {
    let count = usize::from(header.e_shnum);
    let bytes = layout.bytes(header.e_shoff, count as u64 * 64)?;
    // Its `parse` takes offset 0 for "no headers"; the length is exact, which
    // `from_bytes` requires.
    let headers = goblin::elf64::section_header::SectionHeader::from_bytes(&bytes, count);
    Ok(headers.into_iter().map(SectionHeader::from).collect())
}

/// What to add to an address in the file to get the target's.
fn bias(programs: &[ProgramHeader], loaded: &LoadedFile) -> Result<u64, ElfError> {
    let first = programs
        .iter()
        .find(|program| program.p_type == PT_LOAD)
        .ok_or(ElfError::Malformed("nothing to load"))?;
    // The first segment holds offset 0 for every linker in use.
    Ok(loaded.base.0.wrapping_sub(first.p_vaddr.wrapping_sub(first.p_offset)))
}

fn writable(programs: &[ProgramHeader], bias: u64) -> Vec<Region> {
    let segments = programs.iter().filter(|program| program.p_type == PT_LOAD && program.p_flags & PF_W != 0);
    segments
        .map(|program| Region { start: Address(program.p_vaddr.wrapping_add(bias)), len: program.p_memsz })
        .collect()
}

/// Adds the wanted symbols of the section of this kind: the format allows for one.
fn collect_section(
    image: &mut Image,
    layout: &impl Layout,
    sections: &[SectionHeader],
    kind: u32,
    bias: u64,
    wanted: &[&str],
) -> Result<(), ElfError> {
    let Some(table) = sections.iter().find(|section| section.sh_type == kind) else { return Ok(()) };
    let Some(strings) = sections.get(table.sh_link as usize) else { return Ok(()) };
    collect(image, &layout.section(table)?, &layout.section(strings)?, bias, wanted)
}

/// Adds the wanted symbols of one table to `image`; the first definition wins.
fn collect(
    image: &mut Image,
    table: &[u8],
    strings: &[u8],
    bias: u64,
    wanted: &[&str],
) -> Result<(), ElfError> {
    let count = table.len() / SYMBOL_SIZE as usize;
    for symbol in Symtab::parse(table, 0, count, context())?.iter() {
        if symbol.st_shndx == 0 || symbol.st_value == 0 {
            continue;
        }
        if let Some(name) = wanted.iter().find(|wanted| is_text_at(strings, symbol.st_name, wanted))
            && image.symbol(name).is_none()
        {
            image.symbols.push(Symbol {
                name: (*name).to_owned(),
                address: Address(symbol.st_value.wrapping_add(bias)),
                size: symbol.st_size,
            });
        }
    }
    Ok(())
}

/// `.gnu_debugdata`: an xz-compressed ELF file that has the symbol table which
/// was stripped (Fedora and its relatives).
fn collect_packed(image: &mut Image, packed: &[u8], bias: u64, wanted: &[&str]) -> Result<(), ElfError> {
    let layout = UnpackedLayout { file: debugdata::unpack(packed)? };
    let sections = section_headers(&layout, &header(&layout.bytes(0, 64)?)?)?;
    collect_section(image, &layout, &sections, SHT_SYMTAB, bias, wanted)
}

/// Whether the NUL-terminated text at `offset` of a string table is `text`. Looks no
/// further than that: a table without an end to its texts costs nothing.
fn is_text_at(strings: &[u8], offset: usize, text: &str) -> bool {
    let rest = strings.get(offset..).and_then(|rest| rest.strip_prefix(text.as_bytes()));
    rest.is_some_and(|rest| rest.first() == Some(&0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maps::loaded_files;

    /// This test program itself: its file, its memory, and both agree.
    fn itself() -> (crate::Process, LoadedFile) {
        let process = crate::Process::open(std::process::id()).unwrap();
        let executable = process.executable().unwrap();
        let files = loaded_files(&process.maps().unwrap());
        let file = files.into_iter().find(|file| file.path == executable).unwrap();
        (process, file)
    }

    #[unsafe(no_mangle)]
    static RSPY_ELF_TEST_SYMBOL: u64 = 0x7273_7079;

    #[test]
    fn symbols_lie_where_the_file_says() {
        let (process, loaded) = itself();
        let file = File::open(&loaded.path).unwrap();
        assert!(is_image_of(&file, process.memory(), &loaded));
        let image = from_file(&file, &loaded, &["RSPY_ELF_TEST_SYMBOL", "no such symbol"]).unwrap();
        let address = image.symbol("RSPY_ELF_TEST_SYMBOL").unwrap();
        assert_eq!(address.0, &raw const RSPY_ELF_TEST_SYMBOL as u64);
        assert_eq!(process.memory().u64(address), Ok(RSPY_ELF_TEST_SYMBOL));
        assert_eq!(image.symbols.len(), 1);
    }

    #[test]
    fn another_file_is_not_taken_for_it() {
        let (process, loaded) = itself();
        let other = File::open("/proc/self/maps").unwrap();
        assert!(!is_image_of(&other, process.memory(), &loaded));
        let libc =
            loaded_files(&process.maps().unwrap()).into_iter().find(|f| f.path != loaded.path).unwrap();
        assert!(!is_image_of(&File::open(&libc.path).unwrap(), process.memory(), &loaded));
    }

    #[test]
    fn exported_symbols_are_found_in_memory() {
        let (process, _) = itself();
        let files = loaded_files(&process.maps().unwrap());
        let libc = files.iter().find(|file| file.file_name().starts_with("libc.so")).unwrap();
        let from_memory = from_memory(process.memory(), libc, &["malloc"]).unwrap();
        let from_file = from_file(&File::open(&libc.path).unwrap(), libc, &["malloc"]).unwrap();
        assert_eq!(from_memory.symbol("malloc"), from_file.symbol("malloc"));
        assert!(from_memory.symbol("malloc").is_some());
    }

    #[test]
    fn damaged_files_are_errors() {
        let (_, loaded) = itself();
        let path = std::env::temp_dir().join(format!("rspy-elf-{}", std::process::id()));
        let len = std::fs::copy(&loaded.path, &path).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        for at in (0..64).chain(len - 64..len) {
            let mut good = [0];
            file.read_exact_at(&mut good, at).unwrap();
            for byte in [0, 0xff] {
                file.write_all_at(&[byte], at).unwrap();
                // Only that it neither panics nor allocates what headers claim.
                let _ = from_file(&file, &loaded, &["malloc"]);
            }
            file.write_all_at(&good, at).unwrap();
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn symbols_are_found_in_packed_debug_data() {
        let folder = std::env::temp_dir().join(format!("rspy-debugdata-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let script = "echo 'static volatile int hidden = 7; int main(void) { return hidden; }' >p.c &&
            cc -o full p.c && nm full | grep ' hidden$' && cp full packed && xz packed && strip full &&
            objcopy --add-section .gnu_debugdata=packed.xz full";
        let made =
            std::process::Command::new("sh").arg("-ec").arg(script).current_dir(&folder).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let told = String::from_utf8(made.stdout).unwrap();
        let expected = u64::from_str_radix(told.split(' ').next().unwrap(), 16).unwrap();

        let loaded = LoadedFile {
            path: folder.join("full"),
            deleted: false,
            base: Address(0x5555_0000_0000),
            mappings: Vec::new(),
        };
        let file = File::open(&loaded.path).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let image = from_file(&file, &loaded, &["hidden"]).unwrap();
        assert_eq!(image.symbol("hidden"), Some(loaded.base.offset(expected)));
    }
}
