//! containerd's `config.toml`: a runtime of the CRI plugin that drives this program by the shim for `runc`.
//!
//! Source of behaviour: containerd's `docs/cri/config.md`. Version 3 of the file has another name of the plugin.

use toml_edit::{DocumentMut, Item, Table, TableLike, value};

use super::Change;

/// The shim that drives programs with `runc`'s command line.
const SHIM: &str = "io.containerd.runc.v2";
/// The plugin's name in versions 2 and 3 of the file.
const PLUGINS: [(i64, &str); 2] = [(2, "io.containerd.grpc.v1.cri"), (3, "io.containerd.cri.v1.runtime")];

/// Returns the configuration after a change.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn changed(text: &str, change: Change<'_>) -> Result<String, String> {
    // Of an error's lines, the last says what it is.
    let mut config: DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| error.message().to_owned())?;
    if text.trim().is_empty() {
        config.insert("version", value(2));
    }
    let version = config.get("version").and_then(Item::as_integer).unwrap_or(1);
    let known = PLUGINS.iter().find(|(known, _)| *known == version);
    let (_, plugin) = known.ok_or_else(|| format!("its version is {version}; versions 2 and 3 are known"))?;
    let path = ["plugins", plugin, "containerd", "runtimes"];
    match change {
        Change::Add(runtime) => {
            if !runtime.flags.is_empty() {
                return Err(
                    "containerd passes no flags to runtimes; set CLOISTER_ variables in its environment"
                        .into(),
                );
            }
            let program = runtime.program.to_str().ok_or("the program's path is no text")?;
            let runtimes = path
                .iter()
                .try_fold(config.as_table_mut() as &mut dyn TableLike, |table, name| descend(table, name))?;
            let entry = descend(runtimes, runtime.name)?;
            set(entry, "runtime_type", SHIM);
            let options = descend(entry, "options")?;
            set(options, "BinaryName", program);
        }
        Change::Remove(name) => {
            let mut table: &mut dyn TableLike = config.as_table_mut();
            for name in path {
                let Some(next) = table.get_mut(name).and_then(Item::as_table_like_mut) else {
                    return Ok(text.to_owned());
                };
                table = next;
            }
            if table.remove(name).is_none() {
                return Ok(text.to_owned());
            }
        }
    }
    Ok(config.to_string())
}

/// Returns the table `name` of a table; it is made if there is none, without a header of its own unless it gets values.
fn descend<'a>(table: &'a mut dyn TableLike, name: &str) -> Result<&'a mut dyn TableLike, String> {
    let mut new = Table::new();
    new.set_implicit(true);
    let item = table.entry(name).or_insert(Item::Table(new));
    item.as_table_like_mut().ok_or_else(|| format!("`{name}` is no table"))
}

/// Sets a value, unless it is the same: so comments behind it stay.
fn set(table: &mut dyn TableLike, name: &str, text: &str) {
    if table.get(name).and_then(Item::as_str) != Some(text) {
        table.insert(name, value(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::install::Runtime;
    use std::path::Path;

    const BEFORE: &str = "# ours\nversion = 2\n\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"x\" # pinned\n\n\
        [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n  runtime_type = \"io.containerd.runc.v2\"\n";

    fn runtime() -> Runtime<'static> {
        Runtime { name: "cloister", program: Path::new("/opt/cloister"), flags: &[] }
    }

    #[test]
    fn an_entry_comes_and_goes_beside_comments() {
        let after = changed(BEFORE, Change::Add(&runtime())).unwrap();
        assert!(after.starts_with(BEFORE), "{after}");
        let added = after.strip_prefix(BEFORE).unwrap();
        let header = "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.cloister";
        assert_eq!(
            added,
            format!(
                "\n{header}]\nruntime_type = \"io.containerd.runc.v2\"\n\n{header}.options]\nBinaryName = \"/opt/cloister\"\n"
            )
        );
        assert_eq!(changed(&after, Change::Add(&runtime())).unwrap(), after);
        assert_eq!(changed(&after, Change::Remove("cloister")).unwrap(), BEFORE);
        assert_eq!(changed(BEFORE, Change::Remove("cloister")).unwrap(), BEFORE);
    }

    #[test]
    fn versions_have_their_plugins() {
        let after = changed("version = 3\n", Change::Add(&runtime())).unwrap();
        assert!(
            after.contains("[plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.cloister]"),
            "{after}"
        );
        assert!(changed("", Change::Add(&runtime())).unwrap().starts_with("version = 2\n"));
    }

    #[test]
    fn what_is_not_understood_is_left_alone() {
        for (bad, word) in [
            ("version = 1\n", "versions 2 and 3"),
            ("version =", ""),
            ("version = 2\nplugins = 7\n", "plugins"),
        ] {
            let problem = changed(bad, Change::Add(&runtime())).unwrap_err();
            assert!(problem.contains(word) && problem.lines().count() == 1, "{problem}");
        }
        let flags = ["--debug".to_owned()];
        changed("", Change::Add(&Runtime { flags: &flags, ..runtime() })).unwrap_err();
    }
}
