//! The columns of `cloister ps`, named as in `ps(1)`, "Standard format specifiers".

use std::time::Duration;

use anyhow::bail;
use cloister_proto::control::Process;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A column.
#[derive(Debug)]
pub(super) struct Column {
    /// The names that choose it.
    names: &'static [&'static str],
    /// Its title.
    pub(super) header: &'static str,
    /// What it shows of a process.
    pub(super) value: fn(&Process) -> String,
}

const COLUMNS: [Column; 12] = [
    Column { names: &["uid", "euid", "user", "euser", "ruid"], header: "UID", value: |p| p.uid.to_string() },
    Column { names: &["pid", "tgid"], header: "PID", value: |p| p.pid.to_string() },
    Column { names: &["ppid"], header: "PPID", value: |p| p.ppid.to_string() },
    Column { names: &["c", "%cpu", "pcpu"], header: "C", value: cpu_share },
    Column { names: &["s", "state", "stat"], header: "S", value: |p| char::from(p.state).to_string() },
    Column { names: &["stime", "start", "start_time", "bsdstart"], header: "STIME", value: start },
    Column { names: &["tty", "tt", "tname"], header: "TTY", value: |_| "?".into() },
    Column {
        names: &["time", "cputime"],
        header: "TIME",
        value: |p| clock(Duration::from_nanos(p.cpu_time)),
    },
    Column { names: &["etime"], header: "ELAPSED", value: |p| clock(age(p)) },
    Column { names: &["nlwp", "thcount"], header: "NLWP", value: |p| p.threads.to_string() },
    Column {
        names: &["comm", "ucmd", "ucomm"],
        header: "COMMAND",
        value: |p| printable(&p.name.to_string()),
    },
    Column { names: &["args", "cmd", "command"], header: "CMD", value: command },
];

/// The columns that are shown if none are chosen; `-ef` of `ps(1)`, with the state.
const USUAL: &str = "uid,pid,ppid,c,s,stime,time,cmd";
/// Those of `-f` and `-ef`.
const FULL: &str = "uid,pid,ppid,c,stime,tty,time,cmd";
/// Those of `aux` as far as they are known.
const BY_USER: &str = "uid,pid,c,tty,s,stime,time,cmd";

/// Returns the columns that options as of `ps(1)` choose.
pub(super) fn parse(options: &[String]) -> anyhow::Result<Vec<&'static Column>> {
    let mut chosen = String::new();
    let mut words = options.iter();
    while let Some(word) = words.next() {
        let list = match word.as_str() {
            "-e" | "-A" | "ax" | "--" => continue,
            "-f" | "-ef" | "-Af" => FULL,
            "aux" | "-aux" | "u" => BY_USER,
            "-o" | "-eo" | "-Ao" | "o" => match words.next() {
                Some(list) => list,
                None => bail!("{word} needs a list of columns, such as pid,args"),
            },
            word => match word.strip_prefix("-o").or_else(|| word.strip_prefix("-eo")) {
                Some(list) => list,
                None => {
                    bail!("the option {word} of ps is not known; choose columns with -o, such as -o pid,args")
                }
            },
        };
        if !chosen.is_empty() {
            chosen.push(',');
        }
        chosen.push_str(list);
    }
    let names = if chosen.is_empty() { USUAL } else { &chosen };
    names
        .split([',', ' '])
        .filter(|name| !name.is_empty())
        .map(|name| {
            let known = COLUMNS.iter().find(|column| column.names.contains(&name));
            known.ok_or_else(|| anyhow::anyhow!("{name:?} is no column; there are {}", all_names()))
        })
        .collect()
}

fn all_names() -> String {
    COLUMNS.iter().filter_map(|column| column.names.first().copied()).collect::<Vec<_>>().join(", ")
}

fn age(process: &Process) -> Duration {
    let now = u64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(0);
    Duration::from_nanos(now.saturating_sub(process.start_time))
}

/// How many hundredths of a processor it has used since it began.
fn cpu_share(process: &Process) -> String {
    let age = u64::try_from(age(process).as_nanos()).unwrap_or(u64::MAX).max(1);
    (u128::from(process.cpu_time) * 100 / u128::from(age)).min(9999).to_string()
}

/// The time of the day for what began in the last day, else the date.
fn start(process: &Process) -> String {
    let begun = i64::try_from(process.start_time).unwrap_or(i64::MAX);
    let begun =
        Timestamp::UNIX_EPOCH.checked_add(SignedDuration::from_nanos(begun)).unwrap_or(Timestamp::MAX);
    let form = if age(process) < Duration::from_hours(24) { "%H:%M" } else { "%b%d" };
    begun.to_zoned_datetime(TimeZone::system()).strftime(form).to_string()
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let days = if days > 0 { format!("{days}-") } else { String::new() };
    format!("{days}{hours:02}:{:02}:{:02}", seconds / 60 % 60, seconds % 60)
}

fn command(process: &Process) -> String {
    printable(&process.command.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
}

/// The names are the guest's choice, and must not move the reader's cursor.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(options: &[&str]) -> Result<String, String> {
        let options: Vec<String> = options.iter().map(|word| (*word).to_owned()).collect();
        let columns = parse(&options).map_err(|error| error.to_string())?;
        Ok(columns.iter().map(|column| column.header).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn options_choose_columns() {
        assert_eq!(chosen(&[]).unwrap(), "UID PID PPID C S STIME TIME CMD");
        assert_eq!(chosen(&["-ef"]).unwrap(), "UID PID PPID C STIME TTY TIME CMD");
        assert_eq!(chosen(&["-e", "-o", "pid,comm", "-oargs"]).unwrap(), "PID COMMAND CMD");
        assert!(chosen(&["-o"]).unwrap_err().contains("list of columns"));
        assert!(chosen(&["-o", "nope"]).unwrap_err().contains("there are uid, pid"));
        assert!(chosen(&["--forest"]).unwrap_err().contains("--forest"));
    }

    #[test]
    fn values_are_for_people() {
        let process = Process {
            pid: 7,
            ppid: 1,
            uid: 0,
            state: b'S',
            cpu_time: 90_061_000_000_000,
            start_time: 0,
            threads: 2,
            name: "x\x1b".into(),
            command: vec!["a".into(), "b c\n".into()],
        };
        let value = |name: &str| (parse(&["-o".into(), name.into()]).unwrap()[0].value)(&process);
        assert_eq!(value("time"), "1-01:01:01");
        assert_eq!(value("args"), "a b c?");
        assert_eq!(value("comm"), "x?");
        assert_eq!(value("start"), "Jan01");
    }
}
