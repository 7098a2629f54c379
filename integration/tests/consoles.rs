//! Terminals of containers: handed over by `--console-socket`, shared by `script`, and under `tmux`.

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use anyhow::{Context, Result, ensure};
    use cloister_integration::console::{ConsoleSocket, Terminal};
    use cloister_integration::process::{self, Finished, Status};
    use cloister_integration::{Container, Place, Program, Rootfs, soon};
    use serde_json::json;

    const LIMIT: Duration = Duration::from_secs(120);

    /// Does the work with a bundle whose process has a terminal.
    fn with_terminal(
        name: &str,
        args: &[&str],
        work: impl FnOnce(&Container<'_>) -> Result<()>,
    ) -> Result<()> {
        let program = Program::new(Rootfs::Small, args.iter().copied()).with_env("PS1", "sh> ");
        Container::with(&format!("consoles/{name}"), Place::Cloister(None), &program, |container| {
            container.configure(|config| {
                config["process"]["terminal"] = json!(true);
                config["process"]["consoleSize"] = json!({ "height": 33, "width": 99 });
            })?;
            let outcome = work(container);
            let removed = container.ok(&["delete", "--force", "ID"]);
            outcome?;
            removed.map(drop)
        })
    }

    const SHELL: [&str; 3] = ["bash", "--norc", "-i"];

    fn socket(container: &Container<'_>, name: &str) -> Result<ConsoleSocket> {
        ConsoleSocket::bind(&container.session.dir().join(name))
    }

    /// What an interactive shell shows that its terminal does all that one does. (`""` is for the words on the screen not to
    /// be those that were typed.)
    fn use_shell(terminal: &mut Terminal) -> Result<()> {
        terminal.press("tty\r")?;
        terminal.expect("/dev/pts/")?;
        terminal.press("echo contr\"\"olled > /dev/tty\r")?;
        terminal.expect("controlled")?;
        terminal.resize(40, 120)?;
        terminal.press("stty size\r")?;
        terminal.expect("40 120\r\n")?;

        let runs = "sh -c 'echo ru\"\"ns; exec sleep 1000'\r";
        terminal.press(runs)?;
        terminal.expect("runs")?;
        terminal.press("\x03")?;
        terminal.expect("^C")?;
        terminal.press("echo co\"\"de $?\r")?;
        terminal.expect("code 130")?;

        terminal.press(runs)?;
        terminal.expect("runs")?;
        terminal.press("\x1a")?;
        terminal.expect("Stopped")?;
        terminal.press("kill %1; wait; echo no m\"\"ore\r")?;
        terminal.expect("no more")?;

        terminal
            .press("sh -c 'trap \"echo res''ized\" WINCH; echo ru\"\"ns; while :; do sleep 0.05; done'\r")?;
        terminal.expect("runs")?;
        terminal.resize(30, 100)?;
        terminal.expect("resized")?;
        terminal.press("\x03")?;
        terminal.expect("^C")?;
        terminal.expect("sh>")?;

        terminal.press("sh -c 'echo ru\"\"ns; exec cat'\r")?;
        terminal.expect("runs")?;
        terminal.press("twice\r")?;
        terminal.expect("twice\r\ntwice\r\n")?;
        terminal.press("\x04exit 5\r")?;
        terminal.expect("exit")
    }

    #[test]
    fn a_shell_of_a_container() -> Result<()> {
        with_terminal("a_shell_of_a_container", &SHELL, |container| {
            let socket = socket(container, "console")?;
            container.ok(&["create", "--bundle", "BUNDLE", "--console-socket", socket.argument()?, "ID"])?;
            let mut terminal = socket.terminal()?;
            let mut waiting = container.command(&["wait", "ID"])?.spawn()?;
            container.ok(&["start", "ID"])?;
            terminal.expect("sh>")?;
            terminal.press("stty size\r")?;
            terminal.expect("33 99\r\n")?;
            use_shell(&mut terminal)?;
            terminal.expect_end()?;
            ensure!(waiting.wait()?.code() == Some(5), "the exit code is not the shell's");
            Ok(())
        })
    }

    #[test]
    fn a_shell_beside_a_container() -> Result<()> {
        let program = Program::new(Rootfs::Small, ["sleep", "1000"]);
        Container::with("consoles/a_shell_beside_a_container", Place::Cloister(None), &program, |container| {
            container.start()?;
            let socket = socket(container, "console")?;
            let flags = [
                "exec",
                "--detach",
                "--tty",
                "--env",
                "PS1=sh> ",
                "--console-socket",
                socket.argument()?,
                "ID",
            ];
            container.ok(&[&flags[..], &SHELL].concat())?;
            let mut terminal = socket.terminal()?;
            terminal.expect("sh>")?;
            use_shell(&mut terminal)?;
            terminal.expect_end()?;
            // One that hangs up takes its session along.
            let script =
                "trap 'echo hung up > /work/end; exit' HUP; : > /work/ready; while :; do sleep 0.05; done";
            container.ok(&[&flags[..], &["sh", "-c", script]].concat())?;
            let terminal = socket.terminal()?;
            container.wait_for_file("ready")?;
            drop(terminal);
            container.wait_for_file("end")?;
            container.ok(&["delete", "--force", "ID"]).map(drop)
        })
    }

    /// Runs a command of the runtime on a terminal of 33 rows and 99 columns that `script` makes.
    fn on_terminal(container: &Container<'_>, args: &[&str]) -> Result<Finished> {
        let command = container.command(args)?;
        let words = [command.get_program()].into_iter().chain(command.get_args());
        let quoted = words.map(|word| format!("'{}'", word.to_string_lossy())).collect::<Vec<_>>().join(" ");
        let line = format!("stty rows 33 cols 99; {quoted}");
        let mut script = Command::new("script");
        process::run(script.args(["--quiet", "--return", "--command", &line, "/dev/null"]), b"", LIMIT)
    }

    #[test]
    fn on_the_terminal_of_script() -> Result<()> {
        let asks = "tty; stty size; exit 4";
        let right = |done: Finished| {
            let text = &done.stdout;
            ensure!(
                done.status == Status::Code(4) && text.contains("/dev/pts/") && text.contains("33 99"),
                "{done}"
            );
            Ok(())
        };
        with_terminal("on_the_terminal_of_script", &["sh", "-c", asks], |container| {
            right(on_terminal(container, &["run", "--bundle", "BUNDLE", "ID"])?)?;
            right(on_terminal(container, &["do", "--", "sh", "-c", asks])?)?;
            container.configure(|config| {
                config["process"]["terminal"] = json!(false);
                config["process"]["args"] = json!(["sleep", "1000"]);
            })?;
            container.start()?;
            right(on_terminal(container, &["exec", "--tty", "ID", "sh", "-c", asks])?)
        })
    }

    /// A `tmux` server of its own with one window.
    struct Tmux(String);

    impl Tmux {
        fn start(container: &Container<'_>, args: &[&str]) -> Result<Self> {
            let this = Self(container.session.dir().join("tmux").to_str().context("odd path")?.to_owned());
            let command = container.command(args)?;
            let program = command.get_program().to_str().context("odd path")?;
            let args: Vec<_> = command.get_args().filter_map(|arg| arg.to_str()).collect();
            let size = ["new-session", "-d", "-x", "90", "-y", "30", program];
            this.call(&[&size[..], &args].concat())?;
            this.call(&["set-option", "-g", "status", "off"])?;
            Ok(this)
        }

        fn call(&self, args: &[&str]) -> Result<String> {
            let mut command = Command::new("tmux");
            command.env("TERM", "xterm").args(["-S", &self.0, "-f", "/dev/null"]).args(args);
            let done =
                process::run(&mut command, b"", LIMIT).context("is tmux installed? see tools/setup")?;
            ensure!(done.status == Status::Code(0), "tmux {args:?}\n{done}");
            Ok(done.stdout)
        }

        fn press(&self, keys: &[&str]) -> Result<()> {
            self.call(&[&["send-keys"], keys].concat()).map(drop)
        }

        fn expect(&self, words: &str) -> Result<()> {
            soon(|| {
                let screen = self.call(&["capture-pane", "-p"])?;
                ensure!(screen.contains(words), "no {words:?} on the screen:\n{screen}");
                Ok(())
            })
        }
    }

    #[test]
    fn under_tmux() -> Result<()> {
        with_terminal("under_tmux", &SHELL, |container| {
            let tmux = Tmux::start(container, &["run", "--bundle", "BUNDLE", "ID"])?;
            tmux.expect("sh>")?;
            tmux.call(&["resize-window", "-x", "70", "-y", "20"])?;
            tmux.press(&["stty size", "Enter"])?;
            tmux.expect("\n20 70\n")?;
            tmux.press(&["sh -c 'echo on\"\"ce; exec sleep 1000'", "Enter"])?;
            tmux.expect("\nonce\n")?;
            tmux.press(&["C-c"])?;
            tmux.press(&["echo co\"\"de $?", "Enter"])?;
            tmux.expect("code 130\n")?;
            tmux.press(&["sh -c 'echo twi\"\"ce; exec sleep 1000'", "Enter"])?;
            tmux.expect("\ntwice\n")?;
            tmux.press(&["C-z"])?;
            tmux.expect("Stopped")?;
            // The end of the terminal is that of the shell, and so of the container.
            tmux.call(&["kill-server"])?;
            soon(|| {
                let list = container.ok(&["list", "--quiet"])?;
                ensure!(list.stdout.is_empty(), "{list}");
                Ok(())
            })
        })
    }
}
