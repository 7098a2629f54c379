//! What is measured: one entry for each row.
//!
//! Goals are those that the project set itself against gVisor's systrap; see `docs/performance.md`.

use std::fmt;

use super::report::Unit;
use super::scripts::PROGRAMS;
use crate::Rootfs;

/// What a row is to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// At most this part of what gVisor's systrap takes.
    OfSystrap(f64),
    /// At most this much.
    Most(f64),
}

/// The goal where there is nothing to gain: as gVisor's systrap, but for what two measurements of the same differ by.
pub(super) const EQUAL: f64 = 1.1;

/// How a row is measured.
#[derive(Debug, Clone, Copy)]
pub enum Measure {
    /// By the row of this name of a program in `bench/`.
    Operation(&'static str),
    /// From the call of the runtime to the command's end, this many sandboxes at once.
    Start(Rootfs, &'static [&'static str], usize),
    /// A command of the runtime. It has no native figure.
    Lifecycle(Step),
    /// The second script, run by `bash` after the first one was.
    Script(Rootfs, &'static str, &'static str),
    /// What this many sandboxes that sleep take, each. It has no native figure.
    Idle(usize, Idle),
    /// Containers that were saved. It has no native figure.
    Copies(Copies),
}

/// What containers cost that were saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copies {
    /// From the call that makes a copy of a program with 512 MiB of live data to its first output.
    FirstOutput,
    /// The proportional share of memory of each of so many copies of it.
    Memory(u32),
    /// Putting a shell that waits to the disk, and bringing it back.
    SuspendAndWake,
}

/// A command in the life of one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// `create`.
    Create,
    /// `start`.
    Start,
    /// `exec` of a command.
    Exec(&'static [&'static str]),
    /// `delete --force`.
    Delete,
    /// `--version`.
    Version,
}

/// What sandboxes take that have nothing to do.
#[derive(Debug, Clone, Copy)]
pub enum Idle {
    /// The proportional share of memory of all processes.
    Memory,
    /// The number of processes.
    Processes,
    /// The number of threads.
    Threads,
    /// Time on processors, all sandboxes together.
    Processor,
}

/// A row.
#[derive(Debug, Clone, Copy)]
pub struct RowPlan {
    /// Its name.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// How it is measured.
    pub measure: Measure,
    /// What it is to reach.
    pub goal: Option<Goal>,
}

/// Rows that belong together.
#[derive(Debug)]
pub struct Group {
    /// Its name, by which it can be asked for.
    pub name: &'static str,
    /// The rows.
    pub rows: &'static [RowPlan],
}

/// Its name, and those of its rows.
impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.rows.iter().map(|row| row.name).collect();
        write!(f, "{}: {}", self.name, names.join(", "))
    }
}

const fn operation(program: &'static str, name: &'static str, goal: f64) -> RowPlan {
    RowPlan { name, unit: Unit::Ns, measure: Measure::Operation(program), goal: Some(Goal::OfSystrap(goal)) }
}

const fn call(name: &'static str, goal: f64) -> RowPlan {
    operation("calls", name, goal)
}

const fn file(name: &'static str, goal: f64) -> RowPlan {
    operation("files", name, goal)
}

const fn event(name: &'static str, goal: f64) -> RowPlan {
    operation("events", name, goal)
}

const fn process(name: &'static str, goal: f64) -> RowPlan {
    operation("processes", name, goal)
}

const fn memory(name: &'static str, goal: f64) -> RowPlan {
    operation("memory", name, goal)
}

const fn start(rootfs: Rootfs, name: &'static str, args: &'static [&'static str], goal: f64) -> RowPlan {
    let measure = Measure::Start(rootfs, args, 1);
    RowPlan { name, unit: Unit::Ms, measure, goal: Some(Goal::OfSystrap(goal)) }
}

const fn step(name: &'static str, step: Step, goal: f64) -> RowPlan {
    RowPlan { name, unit: Unit::Ms, measure: Measure::Lifecycle(step), goal: Some(Goal::OfSystrap(goal)) }
}

const fn idle(name: &'static str, unit: Unit, count: usize, what: Idle, most: f64) -> RowPlan {
    RowPlan { name, unit, measure: Measure::Idle(count, what), goal: Some(Goal::Most(most)) }
}

const fn copies(name: &'static str, unit: Unit, what: Copies, goal: Goal) -> RowPlan {
    RowPlan { name, unit, measure: Measure::Copies(what), goal: Some(goal) }
}

/// All rows, in the order of the report.
pub const GROUPS: &[Group] = &[
    Group { name: "micro", rows: MICRO },
    Group { name: "start", rows: START },
    Group { name: "files", rows: FILES },
    Group { name: "programs", rows: PROGRAMS },
    Group { name: "idle", rows: IDLE },
    Group { name: "copies", rows: COPIES },
];

const MICRO: &[RowPlan] = &[
    call("cpu_spin", EQUAL),
    call("memcpy_64k", EQUAL),
    call("getppid_raw", 0.6),
    call("getppid_libc", 0.4),
    call("getppid_2threads", 0.5),
    call("sched_yield", 0.6),
    call("clock_vdso", EQUAL),
    call("clock_sys", 0.1),
    call("read_zero", 0.4),
    call("write_null", 0.5),
    file("pread4k_tmpfs", 0.6),
    file("pread4k_root_image", 0.5),
    file("pread4k_root_new", 0.6),
    file("pwrite4k_tmpfs", 0.7),
    file("pwrite4k_root", 0.5),
    file("open_close_root", 0.4),
    file("open_close_tmpfs", 0.5),
    file("stat_root", 0.25),
    file("stat_deep", 0.2),
    file("stat_absent", 0.25),
    file("fstat_root", 0.4),
    file("create_unlink_root", 0.5),
    file("create_unlink_tmpfs", 0.6),
    file("readdir_usrbin", 0.6),
    event("pipe_write_read", 0.3),
    event("eventfd_write_read", 0.2),
    event("epoll_ready", 0.4),
    event("sleep_overrun", 0.3),
    event("futex_wake_none", 0.2),
    event("futex_pingpong", 1.2),
    event("pipe_pingpong", 0.4),
    event("unix_pingpong", 0.4),
    event("tcp_pingpong", 0.5),
    process("thread_create_join", 0.4),
    process("fork_exit_wait", 0.08),
    process("fork_exec_true", 0.25),
    process("fork_exec_static", 0.2),
    process("vfork_exec_true", 0.25),
    process("signal_self", 0.4),
    process("segv_mprotect", 0.08),
    memory("mmap_munmap", 0.08),
    memory("mmap_touch_munmap", 0.1),
    memory("mprotect_flip", 0.25),
    memory("anon_fault", 0.6),
    memory("anon_fault_4k", 0.6),
    memory("cow_fault", 0.6),
    memory("file_fault_root", 0.9),
    memory("file_fault_tmpfs", 0.95),
];

const START: &[RowPlan] = &[
    start(Rootfs::Small, "start_true", &["/bin/true"], 0.25),
    start(Rootfs::Dev, "start_python", PYTHON, 0.3),
    start(Rootfs::Node, "start_node", &["node", "-e", "console.log(1)"], 0.45),
    RowPlan {
        name: "start_4_at_once",
        unit: Unit::Ms,
        measure: Measure::Start(Rootfs::Dev, PYTHON, 4),
        goal: None,
    },
    step("oci_create", Step::Create, 0.4),
    step("oci_start", Step::Start, 0.4),
    step("exec_true", Step::Exec(&["/bin/true"]), 0.6),
    step("exec_python", Step::Exec(PYTHON), 0.6),
    step("oci_delete", Step::Delete, 0.6),
    step("cmd_version", Step::Version, 0.3),
];

const FILES: &[RowPlan] = &[
    file("seqread_image", 0.67),
    file("seqwrite_root", 0.67),
    file("randread4k_image", 0.5),
    file("randread4k_tmpfs", 0.67),
    file("files_create", 0.5),
    file("files_stat", 0.4),
    file("files_read", 0.4),
    file("files_unlink", 0.5),
    file("files_create_tmpfs", 0.6),
    file("files_stat_tmpfs", 0.8),
    file("files_read_tmpfs", 0.6),
    file("files_unlink_tmpfs", 0.95),
];

const IDLE: &[RowPlan] = &[
    idle("idle_memory", Unit::MiB, 1, Idle::Memory, 5.0),
    idle("idle_processes", Unit::Count, 1, Idle::Processes, 4.0),
    idle("idle_threads", Unit::Count, 1, Idle::Threads, 6.0),
    idle("idle_cpu", Unit::Percent, 1, Idle::Processor, 0.1),
    idle("idle_memory_each_of_50", Unit::MiB, 50, Idle::Memory, 2.0),
    idle("idle_cpu_of_50", Unit::Percent, 50, Idle::Processor, 0.1),
];

const COPIES: &[RowPlan] = &[
    copies("spawn_python_512m", Unit::Ms, Copies::FirstOutput, Goal::Most(15.0)),
    copies("memory_each_of_64_copies", Unit::MiB, Copies::Memory(64), Goal::Most(3.0)),
    copies("suspend_wake_shell", Unit::Ms, Copies::SuspendAndWake, Goal::Most(40.0)),
];

const PYTHON: &[&str] = &["python3", "-c", "print(1)"];

/// The rows that are asked for by the names of their groups, or by how their own names begin; all if nothing is.
pub fn select(words: &[String]) -> Vec<RowPlan> {
    let is_wanted = |group: &Group, row: &RowPlan| {
        words.is_empty() || words.iter().any(|word| group.name == word || row.name.starts_with(word.as_str()))
    };
    let of_group =
        |group: &'static Group| group.rows.iter().filter(move |row| is_wanted(group, row)).copied();
    GROUPS.iter().flat_map(of_group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Vec<&'static str> {
        let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
        select(&words).iter().map(|row| row.name).collect()
    }

    #[test]
    fn names_are_unique_and_none_is_that_of_a_group() {
        let mut all = names(&[]);
        all.extend(GROUPS.iter().map(|group| group.name));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn rows_are_selected_by_group_and_by_beginning() {
        assert_eq!(names(&["stat_"]), ["stat_root", "stat_deep", "stat_absent"]);
        assert_eq!(names(&["idle"]).len(), IDLE.len());
        assert_eq!(names(&["files", "cmd_version"]).len(), FILES.len() + 1);
        assert!(names(&["nothing of the kind"]).is_empty());
    }

    #[test]
    fn the_programs_have_the_rows_that_are_asked_of_them() {
        for row in select(&[]) {
            if let Measure::Operation(program) = row.measure {
                let path = crate::paths::crate_dir().join(format!("bench/{program}.c"));
                let source = std::fs::read_to_string(&path).unwrap();
                let has = |start: &str, end| source.contains(&format!("{start}({}{end}", row.name));
                assert!(
                    has("ROW", ")") || has("PROGRAM_ROW", ","),
                    "{} has no row {}",
                    path.display(),
                    row.name
                );
            }
        }
    }
}
