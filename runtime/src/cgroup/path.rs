//! What `linux.cgroupsPath` means.

use std::path::{Component, Path, PathBuf};

use super::{CgroupError, Policy};

/// Where a group is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// From the root of each hierarchy.
    Absolute(PathBuf),
    /// Below the group of this process.
    Relative(PathBuf),
}

/// Returns where the group of a configuration is; without a path it is named after the container, below our own group.
///
/// # Errors
///
/// A path that leads upwards, or is not of the form that the policy asks for.
pub(super) fn place(path: Option<&Path>, id: &str, policy: Policy) -> Result<Place, CgroupError> {
    let Some(path) = path.filter(|path| !path.as_os_str().is_empty()) else {
        return Ok(match policy {
            Policy::Systemd => {
                Place::Absolute(["system.slice", &format!("cloister-{id}.scope")].iter().collect())
            }
            Policy::Configured | Policy::Ignored => Place::Relative(id.into()),
        });
    };
    let fail = |problem| CgroupError::Path { path: path.display().to_string(), problem };
    if policy == Policy::Systemd {
        return systemd(path.to_str().unwrap_or_default())
            .map(Place::Absolute)
            .ok_or_else(|| fail("is not of the form SLICE:PREFIX:NAME, which --systemd-cgroup asks for"));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(fail("must not contain \"..\""));
    }
    let names: PathBuf = path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
    if names.as_os_str().is_empty() {
        return Err(fail("names the root of the hierarchy, which others are in"));
    }
    Ok(if path.is_absolute() { Place::Absolute(names) } else { Place::Relative(names) })
}

/// The path that systemd gives a scope (or slice) in a slice: `a-b.slice` is in `a.slice`.
fn systemd(text: &str) -> Option<PathBuf> {
    let mut parts = text.split(':');
    let (slice, prefix, name) = (parts.next()?, parts.next()?, parts.next()?);
    let is_plain = |word: &str| !word.contains('/') && word != "." && word != "..";
    if parts.next().is_some() || name.is_empty() || ![slice, prefix, name].into_iter().all(is_plain) {
        return None;
    }
    let slice = if slice.is_empty() { "system.slice" } else { slice };
    let stem = slice.strip_suffix(".slice").filter(|stem| !stem.is_empty())?;
    let mut path = PathBuf::new();
    if stem != "-" {
        if stem.split('-').any(str::is_empty) {
            return None;
        }
        let ends = stem.match_indices('-').map(|(at, _)| at).chain([stem.len()]);
        path.extend(ends.filter_map(|end| Some(format!("{}.slice", stem.get(..end)?))));
    }
    path.push(match (name.ends_with(".slice"), prefix) {
        (true, _) => name.to_owned(),
        (false, "") => format!("{name}.scope"),
        (false, prefix) => format!("{prefix}-{name}.scope"),
    });
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(path: &str) -> Result<Place, String> {
        place(Some(Path::new(path)), "c", Policy::Configured).map_err(|error| error.to_string())
    }

    #[test]
    fn paths_are_absolute_or_ours() {
        assert_eq!(configured("/a//b/").unwrap(), Place::Absolute("a/b".into()));
        assert_eq!(configured("a/./b").unwrap(), Place::Relative("a/b".into()));
        assert_eq!(configured("").unwrap(), Place::Relative("c".into()));
        for bad in ["/", "..", "/a/../../b"] {
            assert!(configured(bad).unwrap_err().contains("linux.cgroupsPath"), "{bad}");
        }
    }

    #[test]
    fn systemd_nests_slices() {
        let path = |text: &str| systemd(text).map(|path| path.display().to_string());
        assert_eq!(path("a-b.slice:crio:7").unwrap(), "a.slice/a-b.slice/crio-7.scope");
        assert_eq!(path(":runc:7").unwrap(), "system.slice/runc-7.scope");
        assert_eq!(path("-.slice::pod.slice").unwrap(), "pod.slice");
        for bad in
            ["", "a", "a.slice:b", "a.slice:b:", "a.slice:b:c:d", "a:b:c", "a--b.slice:c:d", "x.slice:../b:c"]
        {
            assert_eq!(path(bad), None, "{bad}");
        }
        place(Some(Path::new("/a")), "c", Policy::Systemd).unwrap_err();
    }
}
