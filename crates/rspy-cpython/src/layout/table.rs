//! The tables as files have them: sections of names and numbers, and the
//! variants that are laid over them.

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use serde::{Deserialize, Serialize};

use super::LayoutError;
use super::field::Field;
use crate::version::{Abi, Version};

/// Every version's file: (`3.13`, text).
static FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/layouts.rs"));

/// Largest offset or size that is believed. `_PyRuntime` is the largest
/// structure, with half a megabyte.
const MAX_OFFSET: u64 = 16 << 20;

type Section = BTreeMap<String, u64>;

#[derive(Deserialize)]
struct File {
    #[serde(rename = "version")]
    _version: Option<String>,
    #[serde(rename = "patch")]
    _patch: Option<u8>,
    rules: BTreeMap<String, toml::Value>,
    #[serde(default)]
    variant: Vec<Variant>,
    #[serde(flatten)]
    sections: BTreeMap<String, Section>,
}

impl File {
    fn parse(text: &str) -> Result<File, LayoutError> {
        toml::from_str(text).map_err(|error| LayoutError::Damaged(error.message().to_owned()))
    }

    /// The file of this version, parsed when it is first asked for: that takes longer than
    /// all else of attaching, which can ask for one file several times.
    fn of(version: Version) -> Option<&'static Result<File, LayoutError>> {
        static PARSED: LazyLock<Vec<OnceLock<Result<File, LayoutError>>>> =
            LazyLock::new(|| FILES.iter().map(|_| OnceLock::new()).collect());
        let name = format!("{}.{}", version.major, version.minor);
        let mut files = FILES.iter().zip(PARSED.iter());
        let ((_, text), parsed) = files.find(|((known, _), _)| *known == name)?;
        Some(parsed.get_or_init(|| File::parse(text)))
    }
}

#[derive(Deserialize)]
struct Variant {
    abi: Option<String>,
    patch_from: Option<u8>,
    patch_until: Option<u8>,
    #[serde(default)]
    rules: BTreeMap<String, toml::Value>,
    #[serde(flatten)]
    sections: BTreeMap<String, Section>,
}

impl Variant {
    fn applies(&self, version: Version, abi: Abi) -> bool {
        self.abi.as_ref().is_none_or(|letters| *letters == abi.to_string())
            && self.patch_from.is_none_or(|from| from <= version.patch)
            && self.patch_until.is_none_or(|until| version.patch <= until)
    }
}

/// One version's offsets, with the variants for its patch release and ABI
/// already laid over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Table {
    rules: BTreeMap<String, toml::Value>,
    sections: BTreeMap<String, Section>,
    has_abi: bool,
}

impl Table {
    /// The table for this version and ABI.
    pub fn of(version: Version, abi: Abi) -> Result<Table, LayoutError> {
        match File::of(version) {
            Some(Ok(file)) => Ok(Table::laid_over(file, version, abi)),
            Some(Err(error)) => Err(error.clone()),
            None => Err(LayoutError::UnknownVersion { version, known: known_versions() }),
        }
    }

    /// The table that a file of this text is for this version and ABI.
    pub fn parse(text: &str, version: Version, abi: Abi) -> Result<Table, LayoutError> {
        Ok(Table::laid_over(&File::parse(text)?, version, abi))
    }

    fn laid_over(file: &File, version: Version, abi: Abi) -> Table {
        let letters = abi.to_string();
        let has_abi =
            letters.is_empty() || file.variant.iter().any(|v| v.abi.as_deref() == Some(letters.as_str()));
        let mut table = Table { rules: file.rules.clone(), sections: file.sections.clone(), has_abi };
        for variant in file.variant.iter().filter(|variant| variant.applies(version, abi)) {
            table.rules.extend(variant.rules.clone());
            for (section, fields) in &variant.sections {
                let fields = fields.iter().map(|(name, number)| (name.clone(), *number));
                table.sections.entry(section.clone()).or_default().extend(fields);
            }
        }
        table
    }

    /// Whether the file says anything of this ABI: else the table is that of the
    /// ordinary build and only good together with the target's debug offsets.
    pub fn knows_abi(&self) -> bool {
        self.has_abi
    }

    /// The number at `section.name`.
    pub fn number(&self, section: &str, name: &str) -> Option<u64> {
        self.sections.get(section)?.get(name).copied().filter(|number| *number <= MAX_OFFSET)
    }

    /// All of a section.
    pub fn section(&self, section: &str) -> impl Iterator<Item = (&str, u64)> {
        self.sections.get(section).into_iter().flatten().map(|(name, number)| (name.as_str(), *number))
    }

    /// Replaces one number.
    pub fn set(&mut self, section: &str, name: &str, number: u64) {
        self.sections.entry(section.to_owned()).or_default().insert(name.to_owned(), number);
    }

    /// Removes a section.
    pub fn forget(&mut self, section: &str) {
        self.sections.remove(section);
    }

    /// A member that this version may lack.
    pub fn optional<T>(&self, section: &str, name: &str) -> Option<Field<T>> {
        self.number(section, name).map(|offset| Field::new(offset as u32))
    }

    /// A member without which the version cannot be served.
    pub fn required<T>(&self, section: &'static str, name: &'static str) -> Result<Field<T>, LayoutError> {
        self.optional(section, name).ok_or(LayoutError::Missing { section, name })
    }

    /// A size without which the version cannot be served, in bytes.
    pub fn size(&self, section: &'static str, name: &'static str) -> Result<usize, LayoutError> {
        match self.number(section, name) {
            Some(size) => Ok(size as usize),
            None => Err(LayoutError::Missing { section, name }),
        }
    }

    /// The text of a rule.
    pub fn rule(&self, name: &'static str) -> Option<&str> {
        self.rules.get(name)?.as_str()
    }

    /// The number of a rule.
    pub fn rule_number(&self, name: &'static str) -> Option<u64> {
        u64::try_from(self.rules.get(name)?.as_integer()?).ok()
    }
}

/// The versions there are tables for, in order.
pub fn known_versions() -> String {
    let mut names: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
    names.sort_by_key(|name| {
        let mut parts = name.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        (parts.next(), parts.next())
    });
    names.join(", ")
}

/// The newest known version, whose debug offsets an unknown one is tried with.
pub fn newest_known() -> Option<(u8, u8)> {
    let numbers = FILES.iter().filter_map(|(name, _)| {
        let (major, minor) = name.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    });
    numbers.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        version = "3.99"
        patch = 0
        [rules]
        lines = "locations"
        [thread]
        next = 8
        "a.b" = 16
        [[variant]]
        abi = "t"
        [variant.thread]
        next = 24
        [[variant]]
        patch_from = 3
        patch_until = 4
        [variant.thread]
        "a.b" = 32
    "#;

    #[test]
    fn variants_are_laid_over() {
        let number = |patch, free_threaded, name| {
            let version = Version { major: 3, minor: 99, patch };
            let abi = Abi { free_threaded, debug: false };
            Table::parse(TEXT, version, abi).unwrap().number("thread", name)
        };
        assert_eq!(number(0, false, "next"), Some(8));
        assert_eq!(number(0, true, "next"), Some(24));
        assert_eq!(number(2, false, "a.b"), Some(16));
        assert_eq!(number(3, false, "a.b"), Some(32));
        assert_eq!(number(5, false, "a.b"), Some(16));
        assert_eq!(number(5, false, "c"), None);
    }

    #[test]
    fn every_file_parses() {
        for (name, text) in FILES {
            let version = Version::from_text(&format!("{name}.0 ")).unwrap();
            Table::parse(text, version, Abi::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}
