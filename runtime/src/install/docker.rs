//! Docker's `daemon.json`: an entry of `runtimes` (`dockerd(8)`, "Daemon configuration file").

use serde_json::{Map, Value, json};

use super::Change;

/// Returns the configuration after a change.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn changed(text: &str, change: Change<'_>) -> Result<String, String> {
    let mut config: Map<String, Value> = match text.trim() {
        "" => Map::new(),
        text => serde_json::from_str(text).map_err(|error| error.to_string())?,
    };
    match change {
        Change::Add(runtime) => {
            let program = runtime.program.to_str().ok_or("the program's path is no text")?;
            let mut entry = json!({ "path": program });
            if !runtime.flags.is_empty() {
                entry["runtimeArgs"] = json!(runtime.flags);
            }
            let runtimes = config.entry("runtimes").or_insert_with(|| json!({}));
            let runtimes = runtimes.as_object_mut().ok_or("`runtimes` is no object")?;
            if runtimes.get(runtime.name) == Some(&entry) {
                return Ok(text.to_owned());
            }
            runtimes.insert(runtime.name.to_owned(), entry);
        }
        Change::Remove(name) => {
            let Some(runtimes) = config.get_mut("runtimes") else { return Ok(text.to_owned()) };
            let runtimes = runtimes.as_object_mut().ok_or("`runtimes` is no object")?;
            if runtimes.remove(name).is_none() {
                return Ok(text.to_owned());
            }
            if runtimes.is_empty() {
                config.remove("runtimes");
            }
            if config.get("default-runtime").is_some_and(|default| default == name) {
                config.remove("default-runtime");
            }
        }
    }
    Ok(format!("{:#}\n", Value::Object(config)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::install::Runtime;
    use std::path::Path;

    #[test]
    fn an_entry_comes_and_goes() {
        let flags = ["--debug".to_owned()];
        let runtime = Runtime { name: "cloister", program: Path::new("/opt/cloister"), flags: &flags };
        let before = r#"{"log-level": "warn", "runtimes": {"other": {"path": "/x"}}}"#;
        let after = changed(before, Change::Add(&runtime)).unwrap();
        let value: Value = serde_json::from_str(&after).unwrap();
        assert_eq!(
            value["runtimes"]["cloister"],
            json!({ "path": "/opt/cloister", "runtimeArgs": ["--debug"] })
        );
        assert_eq!(
            (&value["log-level"], &value["runtimes"]["other"]["path"]),
            (&json!("warn"), &json!("/x"))
        );
        let back: Value =
            serde_json::from_str(&changed(&after, Change::Remove("cloister")).unwrap()).unwrap();
        assert_eq!(back, serde_json::from_str::<Value>(before).unwrap());
        assert_eq!(changed(before, Change::Remove("cloister")).unwrap(), before, "nothing to remove");
    }

    #[test]
    fn the_default_goes_with_its_entry() {
        let text = r#"{"default-runtime": "c", "runtimes": {"c": {"path": "/x"}}}"#;
        assert_eq!(changed(text, Change::Remove("c")).unwrap(), "{}\n");
    }

    #[test]
    fn what_is_not_understood_is_left_alone() {
        let runtime = Runtime { name: "c", program: Path::new("/c"), flags: &[] };
        for bad in ["[]", "{", r#"{"runtimes": 7}"#] {
            assert!(changed(bad, Change::Add(&runtime)).is_err(), "{bad}");
        }
        assert!(changed("", Change::Add(&runtime)).unwrap().contains("/c"));
    }
}
