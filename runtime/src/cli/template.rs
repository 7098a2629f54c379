//! `cloister template`: containers that were saved, to have copies made of them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use cloister_proto::container::Overlay;
use cloister_runtime::bundle::{Bundle, prepare};
use cloister_runtime::snapshot::Manifest;
use cloister_runtime::state::{ContainerId, RootWrites};
use cloister_runtime::template::{self, Description, Source, TemplateName, Templates};
use serde::Serialize;

use super::list::{Format, table_of};
use super::{Context, print};

/// Keep containers as templates, of which `spawn` makes copies
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  \
    cloister template create python --from warm\n  \
    cloister spawn python --env JOB=7\n  \
    cloister template ls")]
pub(crate) enum Template {
    Create(Create),
    Ls(Ls),
    Inspect(Inspect),
    Rm(Rm),
}

/// Where templates are.
#[derive(Debug, Args)]
pub(super) struct RootArgs {
    /// Folder that holds the templates; by default `@templates` in the folder of containers' state
    #[arg(long, value_name = "DIR", env = "CLOISTER_TEMPLATE_ROOT")]
    template_root: Option<PathBuf>,
}

impl RootArgs {
    pub(super) fn templates(&self, context: &Context) -> anyhow::Result<Templates> {
        Ok(match &self.template_root {
            Some(root) => Templates::new(std::path::absolute(root)?),
            None => Templates::of(&context.store()?),
        })
    }
}

/// Make a template of a container, which goes on, or of a snapshot
///
/// Copies share the root file system of the host. So the container must not write there: its root is read-only, or it runs with
/// --overlay root:memory. Other mounts of the host are shared by the copies, as volumes are.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cloister --overlay root:memory run --detach --bundle /srv/py warm\n  \
    cloister template create python --from warm\n  \
    cloister --overlay root:memory template create python --from /srv/saved/py --bundle /srv/py")]
pub(crate) struct Create {
    #[command(flatten)]
    root: RootArgs,
    /// Container that runs, or the folder of a snapshot if there is a slash in it
    #[arg(long, value_name = "ID|DIR")]
    from: PathBuf,
    /// Folder of the OCI bundle that a snapshot was made with
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    bundle: PathBuf,
    /// Name of the template
    name: TemplateName,
}

/// List the templates
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cloister template ls\n  cloister template ls --format json")]
pub(crate) struct Ls {
    #[command(flatten)]
    root: RootArgs,
    /// Form of the list
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Print what a template is as JSON
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cloister template inspect python | jq .manifest.build")]
pub(crate) struct Inspect {
    #[command(flatten)]
    root: RootArgs,
    /// Name of the template
    name: TemplateName,
}

/// Remove a template
///
/// It is refused while the memory of another template, or of a container that is suspended, is in this one. Copies that run keep
/// what they have.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cloister template rm python")]
pub(crate) struct Rm {
    #[command(flatten)]
    root: RootArgs,
    /// Name of the template
    name: TemplateName,
}

/// What is printed of a template.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Printed<'a> {
    name: &'a TemplateName,
    path: &'a Path,
    bytes: u64,
    #[serde(flatten)]
    description: &'a Description,
    manifest: &'a Manifest,
}

impl<'a> From<&'a template::Template> for Printed<'a> {
    fn from(template: &'a template::Template) -> Self {
        let template::Template { name, path, description, manifest } = template;
        Self { name, path, bytes: template.bytes(), description, manifest }
    }
}

impl Template {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::Create(command) => command.run(context)?,
            Self::Ls(command) => command.run(context)?,
            Self::Inspect(command) => {
                let template = command.root.templates(context)?.open(&command.name)?;
                print(serde_json::to_string_pretty(&Printed::from(&template))? + "\n")?;
            }
            Self::Rm(command) => {
                command.root.templates(context)?.remove(&command.name, &context.store()?)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Create {
    fn run(self, context: &Context) -> anyhow::Result<()> {
        let templates = self.root.templates(context)?;
        // An id has no slash.
        let id = self.from.to_str().and_then(|from| from.parse::<ContainerId>().ok());
        if let Some(id) = id {
            return Ok(templates.create_from_container(&self.name, context.store()?.open(&id)?)?);
        }
        let bundle = Bundle::load(&self.bundle)?;
        let prepared = prepare(&bundle, context.overlay(Overlay::None), None)?;
        let writes = RootWrites::of(&prepared.spec.root);
        Ok(templates.create_from_image(&self.name, &self.from, &bundle, writes)?)
    }
}

impl Ls {
    fn run(self, context: &Context) -> anyhow::Result<()> {
        let templates = self.root.templates(context)?.list()?;
        print(match self.format {
            Format::Table => table_of(HEADER.map(str::to_owned), templates.iter().map(row)),
            Format::Json => {
                serde_json::to_string(&templates.iter().map(Printed::from).collect::<Vec<_>>())? + "\n"
            }
        })
    }
}

const HEADER: [&str; 5] = ["NAME", "BYTES", "GENERATION", "FROM", "CREATED"];

fn row(template: &template::Template) -> [String; 5] {
    let from = match &template.description.source {
        Source::Container(id) => id.clone(),
        Source::Image(path) => path.display().to_string(),
    };
    [
        template.name.to_string(),
        template.bytes().to_string(),
        template.manifest.generation.to_string(),
        from,
        template.description.created.clone(),
    ]
}
