//! `cloister spawn`.

use std::process::ExitCode;

use clap::Args;
use cloister_runtime::container::Created;
use cloister_runtime::foreground::Foreground;
use cloister_runtime::state::ContainerId;
use cloister_runtime::template::{Personal, Template, TemplateName, spawn};

use super::create::HandleArgs;
use super::run::{go_on, see_through};
use super::template::RootArgs;
use super::{Context, print};

/// Make a container that is a copy of a template
///
/// Its processes go on where they were when the template was made. It shares memory with the template and with other copies until
/// it writes. Random numbers differ from those of other copies; a program can watch /proc/cloister/generation, whose number
/// changes. Standard input, output and error are those of this command.
///
/// The exit code is its first process', 128+N if signal N ended it, and 1 if the copy cannot be made.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cloister spawn python\n  \
    cloister spawn python --id job-7 --env JOB=7 --hostname job-7 --detach\n  \
    cloister spawn python --count 64 </dev/null >/dev/null")]
pub(crate) struct Spawn {
    #[command(flatten)]
    root: RootArgs,
    #[command(flatten)]
    handles: HandleArgs,
    /// Name of the container, or, with --count, how the names begin [default: made of the template's]
    #[arg(long)]
    id: Option<ContainerId>,
    /// Host name [default: the template's]
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// Set a variable: in the environment of what `exec` runs, and in /proc/cloister/environment for what runs already
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = parse_variable)]
    env: Vec<String>,
    /// Make so many copies, and do not wait; their names are printed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with_all = ["pid_file", "console_socket"])]
    count: Option<u32>,
    /// Do not wait; the name is printed, and `delete` removes the container later
    #[arg(short, long)]
    detach: bool,
    /// Name of the template
    name: TemplateName,
}

impl Spawn {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let template = self.root.templates(context)?.open(&self.name)?;
        if !self.detach && self.count.is_none() {
            let foreground = Foreground::begin()?;
            let (id, created) = self.make(context, &template, None, true)?;
            return see_through(created, &id, Some(foreground), false, |created, _| go_on(created, &id));
        }
        for number in 1..=self.count.unwrap_or(1) {
            let number = self.count.map(|_| number);
            let (id, mut created) = self.make(context, &template, number, false)?;
            go_on(&mut created, &id)?;
            created.release()?;
            print(format!("{id}\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Makes the copy with this number if there are several.
    fn make(
        &self,
        context: &Context,
        template: &Template,
        number: Option<u32>,
        foreground: bool,
    ) -> anyhow::Result<(ContainerId, Created)> {
        let id: ContainerId = match (&self.id, number) {
            (Some(id), None) => id.clone(),
            (Some(id), Some(number)) => format!("{id}-{number}").parse()?,
            (None, _) => {
                let mut bytes = [0; 6];
                rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())?;
                let end: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("{}-{end}", self.name).parse()?
            }
        };
        let personal = Personal { hostname: self.hostname.clone(), environment: self.env.clone() };
        let options = self.handles.options(context, &id, foreground)?;
        let created = spawn(&context.store()?, template, &id, &personal, options)?;
        Ok((id, created))
    }
}

/// Parses `NAME=VALUE`.
fn parse_variable(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((name, _)) if !name.is_empty() => Ok(text.to_owned()),
        _ => Err(format!("{text:?} is no NAME=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_have_names_and_values() {
        assert_eq!(parse_variable("A=b=c"), Ok("A=b=c".to_owned()));
        assert_eq!(parse_variable("A="), Ok("A=".to_owned()));
        parse_variable("A").unwrap_err();
        parse_variable("=b").unwrap_err();
    }
}
