//! Which CPython a target runs.

use std::fmt;

/// A CPython version, as `sys.version_info` has it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Version {
    /// 2 or 3.
    pub major: u8,
    /// The `N` of 3.N.
    pub minor: u8,
    /// The patch release.
    pub patch: u8,
}

impl Version {
    /// From `PY_VERSION_HEX`, which `Py_Version` and the debug offsets hold.
    /// `None` unless it is one that CPython could have.
    pub fn from_hex(hex: u64) -> Option<Version> {
        let [0, 0, 0, 0, major, minor, patch, _level] = hex.to_be_bytes() else { return None };
        let version = Version { major, minor, patch };
        version.is_plausible().then_some(version)
    }

    /// From the beginning of `sys.version`, such as `3.11.2 (main, …) [GCC …]`
    /// or `3.13.5 experimental free-threading build (…`.
    pub fn from_text(text: &str) -> Option<Version> {
        let number = text.split(|c: char| c != '.' && !c.is_ascii_digit()).next()?;
        let mut parts = number.split('.');
        let mut part = || parts.next()?.parse::<u8>().ok();
        let (major, minor, patch) = (part()?, part()?, part()?);
        let version = Version { major, minor, patch };
        version.is_plausible().then_some(version)
    }

    fn is_plausible(self) -> bool {
        (self.major == 2 && self.minor == 7) || (self.major == 3 && self.minor < 100)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// How a build differs from the ordinary one, in the letters of `sys.abiflags`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Abi {
    /// `t`: free-threaded (`--disable-gil`).
    pub free_threaded: bool,
    /// `d`: `--with-pydebug`.
    pub debug: bool,
}

impl fmt::Display for Abi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.free_threaded { "t" } else { "" })?;
        f.write_str(if self.debug { "d" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_from_text_and_hex() {
        let version = |major, minor, patch| Some(Version { major, minor, patch });
        assert_eq!(Version::from_text("2.7.18 (default, Apr  9"), version(2, 7, 18));
        assert_eq!(Version::from_text("3.13.5 experimental free-threading"), version(3, 13, 5));
        assert_eq!(Version::from_text("3.15.0b1 (main"), version(3, 15, 0));
        assert_eq!(Version::from_text("3.x"), None);
        assert_eq!(Version::from_text("4.1.1 (x"), None);
        assert_eq!(Version::from_hex(0x030b_07f0), version(3, 11, 7));
        assert_eq!(Version::from_hex(0x1_030b_07f0), None);
    }
}
