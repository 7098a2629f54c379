//! Mount options, as `config.json` and `mount(8)` name them.

/// What a list of options comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// `MS_*` flags.
    pub(super) flags: u64,
    /// Whether the option `bind` or `rbind` is there.
    pub(super) bind: bool,
    /// Options that are not flags, in order.
    pub(super) data: Vec<String>,
}

/// Option, its flag, and whether the flag is set or cleared by it.
const FLAGS: &[(&str, u64, bool)] = &[
    ("async", libc::MS_SYNCHRONOUS, false),
    ("atime", libc::MS_NOATIME, false),
    ("defaults", 0, true),
    ("dev", libc::MS_NODEV, false),
    ("diratime", libc::MS_NODIRATIME, false),
    ("dirsync", libc::MS_DIRSYNC, true),
    ("exec", libc::MS_NOEXEC, false),
    ("iversion", libc::MS_I_VERSION, true),
    ("lazytime", libc::MS_LAZYTIME, true),
    ("mand", libc::MS_MANDLOCK, true),
    ("noatime", libc::MS_NOATIME, true),
    ("nodev", libc::MS_NODEV, true),
    ("nodiratime", libc::MS_NODIRATIME, true),
    ("noexec", libc::MS_NOEXEC, true),
    ("noiversion", libc::MS_I_VERSION, false),
    ("nolazytime", libc::MS_LAZYTIME, false),
    ("nomand", libc::MS_MANDLOCK, false),
    ("norelatime", libc::MS_RELATIME, false),
    ("nostrictatime", libc::MS_STRICTATIME, false),
    ("nosuid", libc::MS_NOSUID, true),
    ("private", libc::MS_PRIVATE, true),
    ("relatime", libc::MS_RELATIME, true),
    ("ro", libc::MS_RDONLY, true),
    ("rprivate", libc::MS_PRIVATE | libc::MS_REC, true),
    ("rro", libc::MS_RDONLY, true),
    ("rshared", libc::MS_SHARED | libc::MS_REC, true),
    ("rslave", libc::MS_SLAVE | libc::MS_REC, true),
    ("runbindable", libc::MS_UNBINDABLE | libc::MS_REC, true),
    ("rw", libc::MS_RDONLY, false),
    ("shared", libc::MS_SHARED, true),
    ("silent", libc::MS_SILENT, true),
    ("slave", libc::MS_SLAVE, true),
    ("strictatime", libc::MS_STRICTATIME, true),
    ("suid", libc::MS_NOSUID, false),
    ("sync", libc::MS_SYNCHRONOUS, true),
    ("unbindable", libc::MS_UNBINDABLE, true),
];

/// Names of all options that are known, for `features`.
#[must_use]
pub fn names() -> Vec<String> {
    let mut names: Vec<_> = FLAGS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    names.extend(["bind".to_owned(), "rbind".to_owned()]);
    names.sort();
    names
}

/// Sorts a list of options; later ones win.
pub(super) fn parse<'a>(options: impl IntoIterator<Item = &'a String>) -> Options {
    let mut parsed = Options::default();
    for option in options {
        match option.as_str() {
            "bind" => {
                parsed.bind = true;
                parsed.flags |= libc::MS_BIND;
            }
            "rbind" => {
                parsed.bind = true;
                parsed.flags |= libc::MS_BIND | libc::MS_REC;
            }
            name => match FLAGS.iter().find(|(known, ..)| *known == name) {
                Some((_, flag, true)) => parsed.flags |= flag,
                Some((_, flag, false)) => parsed.flags &= !flag,
                None => parsed.data.push(option.clone()),
            },
        }
    }
    parsed
}

/// A size as `tmpfs(5)` takes it: bytes, with a suffix of k, m or g, or a percentage of `memory`.
pub(super) fn parse_size(text: &str, memory: u64) -> Option<u64> {
    if let Some(percent) = text.strip_suffix('%') {
        return Some(memory / 100 * percent.parse::<u64>().ok()?);
    }
    let (digits, shift) = match text.char_indices().last()? {
        (at, 'k' | 'K') => (text.get(..at)?, 10),
        (at, 'm' | 'M') => (text.get(..at)?, 20),
        (at, 'g' | 'G') => (text.get(..at)?, 30),
        _ => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_options_win_and_others_are_kept() {
        let options = ["ro", "nosuid", "rbind", "size=1m", "rw"].map(String::from);
        let parsed = parse(&options);
        assert_eq!(parsed.flags, libc::MS_NOSUID | libc::MS_BIND | libc::MS_REC);
        assert!(parsed.bind);
        assert_eq!(parsed.data, ["size=1m"]);
    }

    #[test]
    fn sizes_have_suffixes() {
        assert_eq!(parse_size("65536k", 0), Some(64 << 20));
        assert_eq!(parse_size("1G", 0), Some(1 << 30));
        assert_eq!(parse_size("50%", 1000), Some(500));
        assert_eq!(parse_size("17", 0), Some(17));
        for bad in ["", "k", "x1", "99999999999999g"] {
            assert_eq!(parse_size(bad, 0), None, "{bad}");
        }
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(FLAGS.is_sorted_by_key(|(name, ..)| *name));
    }
}
