//! The cases.

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::bench::Bench;

/// All cases by name.
pub(crate) const ALL: [(&str, fn()); 18] = [
    ("verbs_in_order", verbs_in_order),
    ("verbs_out_of_order", verbs_out_of_order),
    ("a_second_container_of_the_same_id", a_second_container_of_the_same_id),
    ("kill_before_start", kill_before_start),
    ("delete_by_force", delete_by_force),
    ("run_passes_output_and_exit_code", run_passes_output_and_exit_code),
    ("run_passes_signals_on", run_passes_signals_on),
    ("run_can_be_ended_by_others", run_can_be_ended_by_others),
    ("run_tells_which_process_was_killed", run_tells_which_process_was_killed),
    ("run_detached", run_detached),
    ("run_of_what_cannot_be_executed", run_of_what_cannot_be_executed),
    ("do_passes_output_and_exit_code", do_passes_output_and_exit_code),
    ("do_leaves_nothing_when_killed", do_leaves_nothing_when_killed),
    ("hooks_run_at_their_points", hooks_run_at_their_points),
    ("a_failing_hook_undoes_the_creation", a_failing_hook_undoes_the_creation),
    ("a_kernel_that_hangs", a_kernel_that_hangs),
    ("a_kernel_of_another_build", a_kernel_of_another_build),
    ("a_kernel_that_refuses_or_crashes", a_kernel_that_refuses_or_crashes),
];

fn verbs_in_order() {
    let bench = Bench::new(&["linger"]);
    let pid_file = bench.text("pid");
    bench.succeeds(&["create", "--pid-file", &pid_file, "c"]);
    let state = bench.state("c");
    assert_eq!(state["status"], "created");
    assert_eq!(state["annotations"], json!({ "key": "value" }));
    assert_eq!(state["pid"].to_string(), fs::read_to_string(&pid_file).unwrap());
    bench.succeeds(&["start", "c"]);
    assert_eq!(bench.state("c")["status"], "running");
    let list: Value = serde_json::from_str(&bench.succeeds(&["list", "-f", "json"])).unwrap();
    assert_eq!((&list[0]["id"], &list[0]["status"]), (&"c".into(), &"running".into()));
    assert!(bench.succeeds(&["list"]).contains("running"));
    assert_eq!(bench.succeeds(&["list", "-q"]), "c\n");
    let mut wait = bench.command(&["wait", "c"]).spawn().unwrap();
    bench.succeeds(&["kill", "c", "HUP"]);
    assert_eq!(wait.wait().unwrap().code(), Some(129));
    bench.until("the end is seen", || bench.state("c")["status"] == "stopped");
    assert_eq!(bench.state("c")["pid"], 0);
    bench.succeeds(&["delete", "c"]);
    bench.assert_clean();
}

fn verbs_out_of_order() {
    let bench = Bench::new(&["sleep"]);
    bench.succeeds(&["create", "c"]);
    bench.fails(&["delete", "c"], 1, &["cannot delete container c: it is created"]);
    bench.succeeds(&["start", "c"]);
    bench.fails(&["start", "c"], 1, &["cannot start container c: it is running"]);
    bench.fails(&["delete", "c"], 1, &["cannot delete container c: it is running"]);
    bench.succeeds(&["kill", "--all", "c", "9"]);
    bench.until("the end is seen", || bench.state("c")["status"] == "stopped");
    bench.fails(&["kill", "c"], 1, &["cannot signal container c: container not running"]);
    bench.succeeds(&["kill", "--all", "c"]);
    bench.succeeds(&["delete", "c"]);
    bench.fails(&["delete", "c"], 1, &["container c does not exist"]);
    bench.assert_clean();
}

fn a_second_container_of_the_same_id() {
    let bench = Bench::new(&["sleep"]);
    bench.succeeds(&["create", "c"]);
    bench.fails(&["create", "c"], 1, &["container c exists already"]);
    bench.fails(&["run", "c"], 1, &["container c exists already"]);
    assert_eq!(bench.state("c")["status"], "created", "the first one is not touched");
    bench.succeeds(&["delete", "--force", "c"]);
    bench.assert_clean();
}

fn kill_before_start() {
    let bench = Bench::new(&["sleep"]);
    bench.succeeds(&["create", "c"]);
    bench.succeeds(&["kill", "c", "KILL"]);
    bench.until("the end is seen", || bench.state("c")["status"] == "stopped");
    bench.succeeds(&["delete", "c"]);
    bench.assert_clean();
}

fn delete_by_force() {
    let bench = Bench::new(&["sleep"]);
    bench.succeeds(&["run", "--detach", "c"]);
    bench.succeeds(&["delete", "-f", "c"]);
    bench.succeeds(&["delete", "-f", "c"]);
    bench.assert_clean();
}

fn run_passes_output_and_exit_code() {
    let bench = Bench::new(&["say", "hello"]);
    assert_eq!(bench.succeeds(&["run", "c"]), "hello");
    bench.assert_clean();
    bench.configure(&["exit", "7"], |_| {});
    assert_eq!(bench.run(&["run", "c"]).status.code(), Some(7));
    bench.assert_clean();
    bench.succeeds(&["--log", &bench.text("log"), "list"]);
    assert_eq!(bench.run(&["run", "--keep", "c"]).status.code(), Some(7));
    assert_eq!(bench.state("c")["status"], "stopped");
    bench.succeeds(&["delete", "c"]);
    bench.assert_clean();
}

fn run_passes_signals_on() {
    let bench = Bench::new(&["sleep"]);
    for (signal, code) in [(Signal::TERM, 143), (Signal::USR1, 138), (Signal::INT, 130)] {
        let mut run = bench.command(&["run", "c"]).spawn().unwrap();
        bench.until("it runs", || {
            let output = bench.run(&["state", "c"]);
            String::from_utf8_lossy(&output.stdout).contains("running")
        });
        kill_process(Pid::from_child(&run), signal).unwrap();
        assert_eq!(run.wait().unwrap().code(), Some(code));
        bench.assert_clean();
    }
}

fn run_can_be_ended_by_others() {
    let bench = Bench::new(&["sleep"]);
    for (command, code) in [(&["kill", "c", "TERM"][..], 143), (&["delete", "--force", "c"], 1)] {
        let mut run = bench.command(&["run", "c"]).stderr(Stdio::null()).spawn().unwrap();
        bench.until("it runs", || {
            let output = bench.run(&["state", "c"]);
            String::from_utf8_lossy(&output.stdout).contains("running")
        });
        bench.succeeds(command);
        assert_eq!(run.wait().unwrap().code(), Some(code));
        bench.assert_clean();
    }
}

fn run_tells_which_process_was_killed() {
    let bench = Bench::new(&["sleep"]);
    for name in ["cloister-boot", "cloister-gofer"] {
        let run = bench.command(&["run", "c"]).stderr(Stdio::piped()).spawn().unwrap();
        bench.until("it runs", || {
            let output = bench.run(&["state", "c"]);
            String::from_utf8_lossy(&output.stdout).contains("running")
        });
        kill_process(bench.process(name), Signal::KILL).unwrap();
        let output = run.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(text, format!("cloister: cannot wait for the container: {name} ended (signal 9)\n"));
        assert_eq!(output.status.code(), Some(1));
        bench.assert_clean();
    }
}

fn run_detached() {
    let bench = Bench::new(&["sleep"]);
    bench.succeeds(&["run", "-d", "--pid-file", &bench.text("pid"), "c"]);
    assert_eq!(bench.state("c")["status"], "running");
    bench.succeeds(&["delete", "--force", "c"]);
    bench.assert_clean();
}

fn run_of_what_cannot_be_executed() {
    let bench = Bench::new(&["missing"]);
    bench.fails(&["run", "c"], 1, &["cannot start container c: no such file or directory"]);
    bench.assert_clean();
}

fn do_passes_output_and_exit_code() {
    let bench = Bench::new(&[]);
    assert_eq!(bench.succeeds(&["do", "--", "say", "hello"]), "hello");
    assert_eq!(bench.run(&["do", "exit", "9"]).status.code(), Some(9));
    bench.fails(&["do", "missing"], 127, &["cannot execute missing: no such file or directory"]);
    bench.assert_clean();
}

fn do_leaves_nothing_when_killed() {
    let bench = Bench::new(&[]);
    let mut command = bench.command(&["do", "call", "!"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = command.stdout.take().unwrap();
    output.read_exact(&mut [0]).unwrap();
    command.kill().unwrap();
    assert_eq!(command.wait().unwrap().signal(), Some(9));
    // The sandbox had our pipe as its output: it reads as ended when nobody has it any more.
    assert_eq!(output.read(&mut [0]).unwrap(), 0);
    bench.until("the sandbox is gone", || bench.processes().is_empty());
    bench.assert_clean();
}

fn hooks_run_at_their_points() {
    let bench = Bench::new(&[]);
    let trace = bench.text("trace");
    let hook = |name: &str| {
        let script = format!(r#"sed 's/.*"status":"\([a-z]*\)".*/{name} \1/' >>{trace}; echo >>{trace}"#);
        json!([{ "path": "/bin/sh", "args": ["sh", "-c", script] }])
    };
    bench.configure(&["exit", "0"], |config| {
        let points =
            ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
        config["hooks"] = points.map(|point| (point.to_owned(), hook(point))).into_iter().collect();
    });
    bench.succeeds(&["run", "c"]);
    let trace = fs::read_to_string(&trace).unwrap();
    let lines: Vec<_> = trace.lines().filter(|line| !line.is_empty()).collect();
    let expected = [
        "prestart creating",
        "createRuntime creating",
        "createContainer creating",
        "startContainer created",
        "poststart running",
        "poststop stopped",
    ];
    assert_eq!(lines, expected);
    bench.assert_clean();
}

fn a_failing_hook_undoes_the_creation() {
    let bench = Bench::new(&[]);
    bench.configure(&["exit", "0"], |config| {
        let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", "echo no network >&2; exit 1"] });
        config["hooks"] = json!({ "createRuntime": [hook] });
    });
    let pid_file = bench.text("pid");
    bench.fails(
        &["create", "--pid-file", &pid_file, "c"],
        1,
        &["createRuntime hook /bin/sh failed", "no network"],
    );
    assert!(!fs::exists(pid_file).unwrap());
    bench.assert_clean();
}

fn a_kernel_that_hangs() {
    let bench = Bench::new(&["exit", "0"]);
    let start = Instant::now();
    let arguments = ["--platform", "hangs", "--start-timeout", "1", "create", "c"];
    bench.fails(&arguments, 1, &["cannot start the sandbox's kernel", "timed out"]);
    assert!(start.elapsed() < Duration::from_secs(8));
    bench.assert_clean();
}

fn a_kernel_of_another_build() {
    let bench = Bench::new(&["exit", "0"]);
    let parts =
        ["the peer is build another (protocol 0)", "install all of Cloister's programs from one build"];
    bench.fails(&["--platform", "lies", "create", "c"], 1, &parts);
    bench.assert_clean();
}

fn a_kernel_that_refuses_or_crashes() {
    let bench = Bench::new(&["exit", "0"]);
    let parts = ["cannot create the container: cannot mount /proc: out of memory"];
    bench.fails(&["--platform", "refuses", "run", "c"], 1, &parts);
    bench.assert_clean();
    // Being the first of its process namespace, it is not ended by its own `SIGABRT` but by what follows in `abort`.
    let parts = ["cannot create the container: cloister-boot ended (signal", "everything is lost"];
    bench.fails(&["--platform", "crashes", "run", "c"], 1, &parts);
    bench.assert_clean();
}
