//! The list of what is known not to work inside Cloister yet.
//!
//! `known-failures.txt` has a line for each: the test, the case, and the reason. A case that is listed and passes fails
//! the run as well, so that the list stays true.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, bail};

use crate::Place;
use crate::paths;

/// How a case came out.
pub type Outcome = std::result::Result<(), String>;

/// The reasons of the cases of one test that are known to fail, by case.
fn known_failures(test: &str) -> Result<BTreeMap<String, String>> {
    let path = paths::crate_dir().join("known-failures.txt");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text, test).with_context(|| format!("{} is malformed", path.display()))
}

fn parse(text: &str, test: &str) -> Result<BTreeMap<String, String>> {
    let mut known = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = line.splitn(3, char::is_whitespace);
        let (Some(of_test), Some(case), Some(reason)) = (words.next(), words.next(), words.next()) else {
            bail!("`{line}` has no reason");
        };
        if of_test == test {
            known.insert(case.to_owned(), reason.trim().to_owned());
        }
    }
    Ok(known)
}

/// Judges the cases of a test: each must pass, or for Cloister be listed and fail.
///
/// # Errors
/// With all cases that came out otherwise.
pub fn judge(place: Place, test: &str, outcomes: &[(String, Outcome)]) -> Result<()> {
    let mut known = match place {
        Place::Cloister(_) => known_failures(test)?,
        Place::Native | Place::Crun | Place::Runsc(_) => BTreeMap::new(),
    };
    let mut wrong = Vec::new();
    for (case, outcome) in outcomes {
        match (outcome, known.remove(case)) {
            (Ok(()), None) | (Err(_), Some(_)) => {}
            (Ok(()), Some(reason)) => {
                wrong.push(format!("{test} {case}: passes, but is listed as failing ({reason})"));
            }
            (Err(why), None) => wrong.push(format!("{test} {case}: {why}")),
        }
    }
    wrong.extend(
        known.keys().map(|case| format!("{test} {case}: is listed as failing, but there is no such case")),
    );
    if !wrong.is_empty() {
        bail!("{} of {} cases:\n  {}", wrong.len(), outcomes.len(), wrong.join("\n  "));
    }
    Ok(())
}

/// Judges a test that is one case, named `whole` in the list.
///
/// # Errors
/// See [`judge`].
pub fn judge_whole(place: Place, test: &str, outcome: Result<()>) -> Result<()> {
    let outcome = outcome.map_err(|error| format!("{error:#}"));
    judge(place, test, &[("whole".to_owned(), outcome)])
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reasons_are_required() {
        parse("guest/x case", "guest/x").unwrap_err();
        let known = parse("# why\n\nguest/x one  not there yet\nguest/y two  other\n", "guest/x").unwrap();
        assert_eq!(known.into_iter().collect::<Vec<_>>(), [("one".to_owned(), "not there yet".to_owned())]);
    }
}
