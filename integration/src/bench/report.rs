//! The table of medians, for people and for programs.

use std::fmt;

use serde_json::{Map, Value, json};

use super::rows::{GROUPS, Goal, Group, RowPlan};

/// The place that goals are ratios to.
const PEER: &str = "runsc-systrap";

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
    /// Parts of one processor in hundred.
    Percent,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Unit::Ns => "ns",
            Unit::Ms => "ms",
            Unit::MiB => "MiB",
            Unit::Count => "",
            Unit::Percent => "%",
        })
    }
}

/// What came out in one place.
#[derive(Debug, Clone, Default)]
struct Cell {
    samples: Vec<f64>,
    failure: Option<String>,
}

/// One measure in all places. Less is better.
#[derive(Debug)]
pub struct Row {
    /// What it is.
    pub plan: RowPlan,
    cells: Vec<Cell>,
}

impl Row {
    /// The median of a place; `None` if it has no samples or failed.
    pub fn median(&self, place: usize) -> Option<f64> {
        let cell = self.cells.get(place).filter(|cell| cell.failure.is_none())?;
        let mut samples = cell.samples.clone();
        samples.sort_by(f64::total_cmp);
        samples.get(samples.len().checked_sub(1)? / 2).copied()
    }

    fn failure(&self, place: usize) -> Option<&str> {
        self.cells.get(place)?.failure.as_deref()
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
    /// A report without samples.
    pub fn new(places: Vec<String>, rows: &[RowPlan]) -> Self {
        let cells = vec![Cell::default(); places.len()];
        Self { places, rows: rows.iter().map(|&plan| Row { plan, cells: cells.clone() }).collect() }
    }

    fn cell(&mut self, name: &str, place: usize) -> Option<&mut Cell> {
        self.rows.iter_mut().find(|row| row.plan.name == name)?.cells.get_mut(place)
    }

    /// Adds a sample.
    pub fn add(&mut self, name: &str, place: usize, value: f64) {
        if let Some(cell) = self.cell(name, place) {
            cell.samples.push(value);
        }
    }

    /// Tells that a place cannot do it. The first failure is kept.
    pub fn fail(&mut self, name: &str, place: usize, error: &anyhow::Error) {
        if let Some(cell) = self.cell(name, place) {
            cell.failure.get_or_insert_with(|| format!("{error:#}"));
        }
    }

    /// Whether nothing failed but what peers cannot do.
    pub fn is_complete(&self) -> bool {
        let is_peer = |name: &String| name == "crun" || name.starts_with("runsc");
        let ours = (0..self.places.len())
            .filter(|&number| self.places.get(number).is_some_and(|name| !is_peer(name)));
        ours.into_iter().all(|number| self.rows.iter().all(|row| row.failure(number).is_none()))
    }

    /// Number of the last place.
    pub(super) fn own(&self) -> usize {
        self.places.len().saturating_sub(1)
    }

    /// The last place's median divided by that of another.
    pub(super) fn ratio(&self, row: &Row, other: usize) -> Option<f64> {
        Some(row.median(self.own())? / row.median(other)?).filter(|ratio| ratio.is_finite())
    }

    /// Whether the row reaches its goal; `None` if it has none or what it is compared with is not there.
    pub fn meets(&self, row: &Row) -> Option<bool> {
        match row.plan.goal? {
            Goal::Most(most) => Some(row.median(self.own())? <= most),
            Goal::OfSystrap(most) => {
                let peer = self.places.iter().position(|place| place == PEER)?;
                Some(self.ratio(row, peer)? <= most)
            }
        }
    }

    /// The report for programs.
    pub fn to_json(&self) -> Value {
        let by_place = |value: &dyn Fn(usize) -> Value| -> Map<String, Value> {
            (self.places.iter().enumerate()).map(|(number, place)| (place.clone(), value(number))).collect()
        };
        let row = |row: &Row| {
            json!({
                "name": row.plan.name,
                "unit": row.plan.unit.to_string(),
                "medians": by_place(&|number| json!(row.median(number))),
                "failures": by_place(&|number| json!(row.failure(number))),
                "meets_goal": self.meets(row),
            })
        };
        json!({ "rows": self.rows.iter().map(row).collect::<Vec<_>>() })
    }

    fn goal_of(&self, row: &Row) -> String {
        let goal = match row.plan.goal {
            None => return String::new(),
            Some(Goal::OfSystrap(most)) => format!("≤{most} of systrap"),
            Some(Goal::Most(most)) => format!("≤{most}"),
        };
        match self.meets(row) {
            None => goal,
            Some(true) => format!("{goal}: met"),
            Some(false) => format!("{goal}: missed"),
        }
    }
}

/// Three digits, or all before the point.
fn figure(value: Option<f64>, failure: Option<&str>) -> String {
    match (value, failure) {
        (_, Some(_)) => "failed".to_owned(),
        (None, None) => "-".to_owned(),
        (Some(value), None) if value >= 100.0 => format!("{value:.0}"),
        (Some(value), None) if value >= 10.0 => format!("{value:.1}"),
        (Some(value), None) => format!("{value:.2}"),
    }
}

/// A Markdown table for each group, and what failed.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_in = |row: &Row, group: &Group| group.rows.iter().any(|plan| plan.name == row.plan.name);
        for group in GROUPS {
            let rows: Vec<_> = self.rows.iter().filter(|row| is_in(row, group)).collect();
            if !rows.is_empty() {
                self.table(f, group, &rows)?;
            }
        }
        for row in &self.rows {
            for (number, place) in self.places.iter().enumerate() {
                if let Some(failure) = row.failure(number) {
                    let first = failure.lines().next().unwrap_or_default();
                    writeln!(f, "{}: {place} failed: {first}", row.plan.name)?;
                }
            }
        }
        Ok(())
    }
}

impl Report {
    fn table(&self, f: &mut fmt::Formatter<'_>, group: &Group, rows: &[&Row]) -> fmt::Result {
        let others = self.places.get(..self.own()).unwrap_or_default();
        let mut head = vec![group.name.to_owned(), "unit".to_owned()];
        head.extend(self.places.iter().cloned());
        head.extend(others.iter().map(|place| format!("÷ {place}")));
        head.push("goal".to_owned());
        let line = |row: &&Row| {
            let mut line = vec![row.plan.name.to_owned(), row.plan.unit.to_string()];
            line.extend((0..self.places.len()).map(|place| figure(row.median(place), row.failure(place))));
            line.extend((0..others.len()).map(|place| figure(self.ratio(row, place), None)));
            line.push(self.goal_of(row));
            line
        };
        let lines: Vec<_> = std::iter::once(head).chain(rows.iter().map(line)).collect();
        let width = |column: usize| {
            let widths = lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count());
            widths.max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..lines.first().map_or(0, Vec::len)).map(width).collect();
        for (number, line) in lines.iter().enumerate() {
            for (cell, &width) in line.iter().zip(&widths) {
                write!(f, "| {cell:<width$} ")?;
            }
            writeln!(f, "|")?;
            if number == 0 {
                widths.iter().try_for_each(|&width| write!(f, "|{:-<1$}", "", width + 2))?;
                writeln!(f, "|")?;
            }
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::Measure;
    use super::*;

    fn report(goal: Goal) -> Report {
        let plan = RowPlan {
            name: "stat_root",
            unit: Unit::Ns,
            measure: Measure::Operation("files"),
            goal: Some(goal),
        };
        let mut report = Report::new(vec![PEER.to_owned(), "own".to_owned()], &[plan]);
        for value in [30.0, 10.0, 20.0] {
            report.add("stat_root", 0, value);
        }
        report
    }

    #[test]
    fn medians_ratios_and_goals() {
        let mut report = report(Goal::OfSystrap(0.3));
        assert_eq!(report.meets(&report.rows[0]), None);
        report.add("stat_root", 1, 5.0);
        assert_eq!(report.rows[0].median(0), Some(20.0));
        assert_eq!(report.ratio(&report.rows[0], 0), Some(0.25));
        assert_eq!(report.meets(&report.rows[0]), Some(true));
        assert_eq!(report.to_json()["rows"][0]["medians"]["own"], 5.0);
        assert!(report.to_string().contains("≤0.3 of systrap: met"), "{report}");
    }

    #[test]
    fn a_missed_goal() {
        let mut report = report(Goal::Most(2.0));
        report.add("stat_root", 1, 5.0);
        assert_eq!(report.meets(&report.rows[0]), Some(false));
    }

    #[test]
    fn a_failure_hides_the_samples() {
        let mut report = report(Goal::OfSystrap(1.0));
        report.add("stat_root", 1, 5.0);
        report.fail("stat_root", 0, &anyhow::anyhow!("no such call\nmore"));
        assert_eq!(report.rows[0].median(0), None);
        assert_eq!(report.meets(&report.rows[0]), None);
        assert!(report.to_string().contains("stat_root: runsc-systrap failed: no such call"), "{report}");
        assert!(report.is_complete(), "a peer may fail");
        assert_eq!(report.to_json()["rows"][0]["failures"][PEER], "no such call\nmore");
    }

    #[test]
    fn a_failure_of_ours_makes_the_report_incomplete() {
        let mut report = report(Goal::OfSystrap(1.0));
        report.fail("stat_root", 1, &anyhow::anyhow!("no such call"));
        assert!(!report.is_complete());
    }

    #[test]
    fn each_group_has_a_table_with_its_rows() {
        let rows = super::super::select(&["stat_root".to_owned(), "cmd_version".to_owned()]);
        let text = Report::new(vec!["own".to_owned()], &rows).to_string();
        let heads: Vec<_> = text.lines().filter(|line| line.contains("unit")).collect();
        assert_eq!(heads.len(), 2, "{text}");
        assert!(text.find("| stat_root").unwrap() < text.find("| start").unwrap(), "{text}");
    }
}
