//! The table of medians, for people and for programs.

use std::fmt;

use serde_json::{Value, json};

/// Unit of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds.
    Ns,
    /// Milliseconds.
    Ms,
    /// Mebibytes.
    MiB,
    /// A number of things.
    Count,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Unit::Ns => "ns",
            Unit::Ms => "ms",
            Unit::MiB => "MiB",
            Unit::Count => "",
        })
    }
}

/// One measure in all places. Less is better.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: Unit,
    /// The samples of each place, in the order of the report's places.
    pub samples: Vec<Vec<f64>>,
}

impl Row {
    /// The median of a place; `None` if it has no samples.
    pub fn median(&self, place: usize) -> Option<f64> {
        let mut samples = self.samples.get(place)?.clone();
        samples.sort_by(f64::total_cmp);
        samples.get(samples.len().checked_sub(1)? / 2).copied()
    }
}

/// All rows.
#[derive(Debug)]
pub struct Report {
    /// The names of the places; the last is the one that the others are compared with.
    pub places: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
}

impl Report {
    /// Adds a sample, and the row if it is new.
    pub fn add(&mut self, name: &str, unit: Unit, place: usize, value: f64) {
        let number = self.rows.iter().position(|row| row.name == name).unwrap_or_else(|| {
            let samples = vec![Vec::new(); self.places.len()];
            self.rows.push(Row { name: name.to_owned(), unit, samples });
            self.rows.len() - 1
        });
        if let Some(samples) = self.rows.get_mut(number).and_then(|row| row.samples.get_mut(place)) {
            samples.push(value);
        }
    }

    /// Cloister's median divided by that of each other place.
    fn ratios(&self, row: &Row) -> Vec<Option<f64>> {
        let last = self.places.len().saturating_sub(1);
        let own = row.median(last);
        let ratio = |place| own.zip(row.median(place)).map(|(own, other)| own / other);
        (0..last).map(ratio).collect()
    }

    /// The report for programs.
    pub fn to_json(&self) -> Value {
        let row = |row: &Row| {
            let medians: serde_json::Map<String, Value> = (self.places.iter().enumerate())
                .map(|(number, place)| (place.clone(), json!(row.median(number))))
                .collect();
            json!({ "name": row.name, "unit": row.unit.to_string(), "medians": medians })
        };
        json!({ "rows": self.rows.iter().map(row).collect::<Vec<_>>() })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<24}{:>5}", "", "")?;
        for place in &self.places {
            write!(f, "{place:>16}")?;
        }
        let others = self.places.len().saturating_sub(1);
        for place in self.places.iter().take(others) {
            write!(f, "{:>18}", format!("/ {place}"))?;
        }
        writeln!(f)?;
        for row in &self.rows {
            write!(f, "{:<24}{:>5}", row.name, row.unit)?;
            for place in 0..self.places.len() {
                write!(
                    f,
                    "{:>16}",
                    row.median(place).map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"))
                )?;
            }
            for ratio in self.ratios(row) {
                write!(f, "{:>18}", ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ratios() {
        let mut report = Report { places: vec!["other".to_owned(), "own".to_owned()], rows: Vec::new() };
        for value in [30.0, 10.0, 20.0] {
            report.add("row", Unit::Ns, 0, value);
        }
        report.add("row", Unit::Ns, 1, 5.0);
        assert_eq!(report.rows[0].median(0), Some(20.0));
        assert_eq!(report.ratios(&report.rows[0]), [Some(0.25)]);
        assert_eq!(report.to_json()["rows"][0]["medians"]["own"], 5.0);
        report.add("missing", Unit::Ms, 0, 1.0);
        assert_eq!(report.ratios(&report.rows[1]), [None]);
        assert!(report.to_string().contains("0.25"));
    }
}
