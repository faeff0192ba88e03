//! What the tables of `rspy heap` are sorted by.

use clap::ValueEnum;

/// What a table is sorted by: not every table has every column.
#[derive(ValueEnum, Copy, Clone, Debug, PartialEq, Eq)]
pub enum HeapKey {
    /// What it takes, with what the allocators round up; of advice what it saves, of changes what is more
    #[value(alias = "own", alias = "saved")]
    Footprint,
    /// The same as `sys.getsizeof` counts it
    #[value(alias = "getsizeof")]
    Size,
    /// How many there are
    Count,
    /// What one takes on average
    Mean,
    /// What the largest takes
    Largest,
    /// What would be freed with it (--retained)
    Retained,
    /// How often it is referred to (--type, --top)
    References,
    /// In which generation of the collector it is (--type, --top)
    Generation,
    /// How many different ones there are (--duplicates)
    Different,
    /// What it takes now, and would take (--advise)
    Before,
    /// What it would take (--advise)
    After,
    /// The name of the type, or of what else a row is of
    #[value(alias = "name")]
    Type,
}

impl HeapKey {
    /// What it is called on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}
