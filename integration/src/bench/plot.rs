//! The ratios as a picture.

use std::fmt::Write;

use super::report::Report;

const ROW: f64 = 22.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 760.0;
const TOP: f64 = 30.0;
/// The ends of the scale, powers of ten.
const SCALE: (f64, f64) = (-2.0, 2.0);
const COLOURS: [&str; 6] = ["#999999", "#56b4e9", "#e69f00", "#d55e00", "#009e73", "#cc79a7"];

/// Where a ratio lies; what is beyond the scale lies at its end.
fn x(ratio: f64) -> f64 {
    let part = (ratio.log10().clamp(SCALE.0, SCALE.1) - SCALE.0) / (SCALE.1 - SCALE.0);
    LEFT + part * (RIGHT - LEFT)
}

/// A row of dots for each measure: what the last place takes, divided by what each other place does, on a scale of powers
/// of ten. Dots left of the line are where the last place is better.
pub fn svg(report: &Report) -> String {
    let rows: Vec<_> = report.rows.iter().filter(|row| row.median(report.own()).is_some()).collect();
    #[expect(clippy::cast_precision_loss, reason = "the numbers are small")]
    let y = |number: usize| TOP + ROW * (number as f64 + 0.5);
    let bottom = y(rows.len());
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        RIGHT + 30.0,
        bottom + 40.0
    );
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    for ratio in [0.01_f64, 0.1, 1.0, 10.0, 100.0] {
        let (at, width) = (x(ratio), if ratio.to_bits() == 1.0_f64.to_bits() { 2 } else { 1 });
        line(format!(
            "<line x1=\"{at}\" x2=\"{at}\" y1=\"{TOP}\" y2=\"{bottom}\" stroke=\"#cccccc\" stroke-width=\"{width}\"/>\
             <text x=\"{at}\" y=\"{}\" text-anchor=\"middle\">{ratio}</text>",
            bottom + 14.0
        ));
    }
    for (place, (name, colour)) in
        report.places.iter().take(report.own()).zip(COLOURS.iter().cycle()).enumerate()
    {
        #[expect(clippy::cast_precision_loss, reason = "the numbers are small")]
        let at = LEFT + 115.0 * place as f64;
        line(format!(
            "<circle cx=\"{at}\" cy=\"14\" r=\"5\" fill=\"{colour}\"/><text x=\"{}\" y=\"18\">÷ {}</text>",
            at + 9.0,
            escaped(name)
        ));
        for (number, row) in rows.iter().enumerate() {
            if let Some(ratio) = report.ratio(row, place).filter(|ratio| *ratio > 0.0) {
                let (cx, cy) = (x(ratio), y(number));
                line(format!("<circle cx=\"{cx:.1}\" cy=\"{cy}\" r=\"5\" fill=\"{colour}\"/>"));
            }
        }
    }
    for (number, row) in rows.iter().enumerate() {
        let (right, below) = (LEFT - 12.0, y(number) + 4.0);
        line(format!(
            "<text x=\"{right}\" y=\"{below}\" text-anchor=\"end\">{}</text>",
            escaped(row.plan.name)
        ));
    }
    // Writing to a string cannot fail.
    let _ = writeln!(out, "</svg>");
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::super::report::Unit;
    use super::super::rows::{Measure, RowPlan};
    use super::*;

    #[test]
    fn one_dot_for_each_ratio_and_one_for_its_place() {
        let plan = |name| RowPlan { name, unit: Unit::Ns, measure: Measure::Operation("files"), goal: None };
        let mut report = Report::new(vec!["a<b".to_owned(), "own".to_owned()], &[plan("one"), plan("none")]);
        report.add("one", 0, 2.0);
        report.add("one", 1, 1.0);
        let picture = svg(&report);
        assert_eq!(picture.matches("<circle").count(), 2, "{picture}");
        assert!(picture.contains("a&lt;b") && !picture.contains("none"), "{picture}");
    }

    #[test]
    fn the_scale_is_of_powers_of_ten() {
        assert!((x(1.0) - (LEFT + RIGHT) / 2.0).abs() < 1e-9);
        assert!((x(1e9) - RIGHT).abs() < 1e-9 && (x(0.0) - LEFT).abs() < 1e-9);
    }
}
